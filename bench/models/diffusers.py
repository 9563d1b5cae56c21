"""A Stable Diffusion 1.x, 2.x or XL checkpoint in diffusers' folder format: a local folder or a hub id."""

from ..errors import SyncbenchError, quoted
from .parts.checkpoint import check_folder
from .parts.composed import Composed, Parts
from .parts.denoiser import Precision
from .parts.stable_diffusion import StableDiffusion
from .parts.weights import Folder


class Diffusers(Composed):
    """Weights are read from safetensors only. Anything else a folder holds (safety checker, images) is left alone."""

    id = "diffusers"

    def __init__(
        self,
        *,
        path: str = "",
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
    ) -> None:
        """`path`: a folder, or a hub id (`owner/name`) at branch, tag or `commit`; `variant`: e.g. fp16.

        `dtype` is the precision of the denoising network; `batch` the views in one call of it, each of them
        twice when guided. Raises SyncbenchError when the folder is not a complete pipeline, or is not on this machine.
        """
        super().__init__(device, dtype, batch)
        if not path:
            raise SyncbenchError("model diffusers needs a checkpoint: --set model.path=FOLDER (or a hub id owner/name)")
        self._path = path
        self.source: Folder = self.folder(path, commit=commit, variant=variant)
        """The pipeline's folder on this machine."""
        check_folder(self.source.path, self.source.variant)

    @property
    def name(self) -> str:
        """What tables call it: the hub id, or the last part of the folder's path."""
        shown = self._path if self.source.commit else self.source.path.resolve().name
        return quoted(shown or self.id, 100)

    def parts(self) -> Parts:
        """Those of its folder."""
        found = StableDiffusion(self.source)
        return Parts(
            network=found.unet,
            conditioners=(found.text,),
            codec=found.codec,
            levels=found.levels,
            window=found.window(),
            folders={"pipeline": found.revision()},
        )
