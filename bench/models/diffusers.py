"""A Stable Diffusion 1.x, 2.x or XL checkpoint in diffusers' folder format: a local folder or a hub id."""

from dataclasses import replace
from typing import Unpack

from ..errors import quoted
from .parts.checkpoint import check_folder
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.single_file import single_file
from .parts.stable_diffusion import StableDiffusion


class Diffusers(Recipe):
    """A checkpoint of safetensors files. Other parts of the folder (safety checker, images) are not read."""

    id = "diffusers"

    def __init__(
        self,
        *,
        path: str = "",
        file: str = "",
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`path`: a folder, or a hub id (`owner/name`) at branch, tag or `commit`; `variant`: e.g. fp16.

        `file`: a checkpoint of one .safetensors file, whose weights are read in place of the folder's; of the folder,
        which has to be of the same family, only configuration and vocabulary are needed then. `dtype` is the precision
        of the denoising network; `batch` the views in one call of it, each of them twice when guided. Raises
        SyncbenchError when the folder is not a complete pipeline, or is not on this machine.
        """
        self._file = file
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)

    def check(self) -> None:
        """Refuse a folder or a file that is not a complete pipeline."""
        if self._file:
            self.source = replace(self.source, single=single_file(self._file))
        check_folder(self.source)

    @property
    def name(self) -> str:
        """Name of the model in tables: the file's name, the hub id, or the last part of the folder's path."""
        return quoted(self.source.single.stem, 100) if self.source.single else super().name

    def parts(self) -> Parts:
        """The network, text encoders, codec and noise levels of the checkpoint's folder."""
        found = StableDiffusion(self.source)
        return Parts(
            network=found.unet,
            conditioners=(found.text,),
            codec=found.codec,
            levels=found.levels,
            window=found.window(),
            folders={"pipeline": found.revision()},
        )
