"""What every recipe of a published checkpoint has alike: the options, the folder and the check of its fingerprint."""

from typing import ClassVar

from ...errors import SyncbenchError, quoted
from .composed import Composed
from .denoiser import Precision
from .fingerprint import Fingerprint
from .weights import Folder


class Recipe(Composed):
    """A published checkpoint: a folder, or a hub id (`owner/name`) whose snapshot is on this machine.

    A recipe gives `id`, `paper`, `licence`, `fingerprint` and `parts()`; a constructor only where it has more options.
    """

    fingerprint: ClassVar[Fingerprint]
    """What has to be found in the folder."""

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
        """`path`: a folder, or a hub id at branch, tag or `commit`; `variant`: e.g. fp16.

        `dtype` is the precision of the denoising network; `batch` the views in one call of it, each once per pass of
        guidance. Raises SyncbenchError when the folder is not what this recipe reads, or is not on this machine.
        """
        super().__init__(device, dtype, batch)
        if not path:
            raise SyncbenchError(
                f"model {self.id} needs a checkpoint: --set model.path=FOLDER (or a hub id owner/name)"
            )
        self._path = path
        self.source: Folder = self.folder(path, commit=commit, variant=variant)
        """The checkpoint's folder on this machine."""
        self.check()

    def check(self) -> None:
        """Refuse a folder that is not what this recipe reads. Raises SyncbenchError."""
        self.fingerprint.check(self.source)

    @property
    def name(self) -> str:
        """What tables call it: the hub id, or the last part of the folder's path."""
        shown = self._path if self.source.commit else self.source.path.resolve().name
        return quoted(shown or self.id, 100)
