"""The base class of recipes of published checkpoints: their options, their folder and the check of its fingerprint."""

from dataclasses import replace
from typing import ClassVar

from ...errors import SyncbenchError, quoted
from .composed import Composed
from .denoiser import Precision
from .files import variants
from .fingerprint import Fingerprint
from .placement import Memory, Offload
from .weights import Folder


class Recipe(Composed):
    """A published checkpoint: a folder, or a hub id (`owner/name`) whose snapshot is on this machine.

    A recipe gives `id`, `paper`, `licence`, `fingerprint` and `parts()`; a constructor only where it has more options.
    """

    fingerprint: ClassVar[Fingerprint]
    """What the folder must hold."""

    def __init__(
        self,
        *,
        path: str = "",
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        offload: Offload = "none",
        tiled: bool = False,
        compile: bool = False,
    ) -> None:
        """`path`: a folder, or a hub id at branch, tag or `commit`; `variant`: e.g. fp16.

        `dtype` is the precision of the denoising network; `batch` the views in one call of it, each once per pass of
        guidance. `offload` keeps weights in the machine's memory while they are not used: those of whole `parts`, or of
        single `layers`, which is slowest. `tiled` codes large pictures tile by tile, which changes them. `compile` has
        the denoising network compiled. Raises SyncbenchError when the folder is not what this recipe reads, or is not
        on this machine.
        """
        self.memory: Memory = {"offload": offload, "tiled": tiled, "compile": compile}
        super().__init__(device, dtype, batch)
        _ = self.placement  # refuses options that cannot be had together
        if not path:
            raise SyncbenchError(
                f"model {self.id} needs a checkpoint: --set model.path=FOLDER (or a hub id owner/name)"
            )
        self._path = path
        self.source: Folder = self.folder(path, commit=commit, variant=variant)
        """The checkpoint's folder on this machine."""
        self.check()

    def check(self) -> None:
        """Raise SyncbenchError for a folder that is not what this recipe reads."""
        self.fingerprint.check(self.source)

    def addition(self, path: str, what: str, weights: str = "diffusion_pytorch_model") -> Folder:
        """The folder of a ControlNet or adapter, in the checkpoint's variant or in the only variant that it has."""
        found = self.folder(path, what=what)
        known = sorted(set(variants(found.path, weights)))
        plain = any(found.path.glob(f"{weights}.safetensors*"))
        chosen = self.source.variant if self.source.variant in known else known[0] if known and not plain else None
        return replace(found, variant=chosen)

    @property
    def name(self) -> str:
        """Name of the model in tables: the hub id, or the last part of the folder's path."""
        shown = self._path if self.source.commit else self.source.path.resolve().name
        return quoted(shown or self.id, 100)
