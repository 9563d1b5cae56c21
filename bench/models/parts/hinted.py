"""The base class of recipes that add networks to Stable Diffusion, each of which reads a condition of an item."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Unpack

from annotated_types import Interval, Len

from ...errors import SyncbenchError, quoted
from .checkpoint import check_folder
from .denoiser import Precision
from .placement import Memory
from .recipe import Recipe
from .single_file import single_file
from .weights import Folder


class Hinted(Recipe):
    """Stable Diffusion 1.x, 2.x or XL, and a network for each name in `nets`: the conditions that it reads.

    They are pictures in [0, 1] of a view's size, of as many channels as their network reads, or of one. An item without
    one of the conditions is left out. A recipe defines `kind`, the `fingerprint` of such a network, `fit` and `parts`.
    """

    kind: ClassVar[str]
    """The name of such a network in errors."""

    def __init__(
        self,
        *,
        path: str = "",
        file: str = "",
        nets: Annotated[dict[str, str], Len(min_length=1)] | None = None,
        scales: dict[str, Annotated[float, Interval(ge=0, le=10)]] | None = None,
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`nets`: a folder or hub id for each condition; `scales`: the factor on each network's output, 1 if not given.

        Outputs of several networks are summed. Other options are those of the model `diffusers`. Raises
        SyncbenchError for networks that were made for another family than the base.
        """
        if not nets:
            raise SyncbenchError(
                f'model {self.id} needs {self.kind}s: --set \'model.nets={{"depth": "FOLDER"}}\' (or hub ids '
                "owner/name)"
            )
        self._scales = scales or {}
        self._nets, self._file = nets, file
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)

    def check(self) -> None:
        """Raise SyncbenchError for an incomplete base or network, or networks of another family than the base."""
        if self._file:
            self.source = replace(self.source, single=single_file(self._file))
        check_folder(self.source)
        for name in self._scales.keys() - self._nets.keys():
            raise SyncbenchError(f"model {self.id} has a scale for '{name}' and no network: add it to model.nets")
        self.nets = {name: self.addition(path, f"{self.kind} for {name}") for name, path in self._nets.items()}
        for name, folder in self.nets.items():
            self.fingerprint.check(folder)
            self.fit(name, folder)

    @abstractmethod
    def fit(self, name: str, folder: Folder) -> None:
        """Raise SyncbenchError if the network for condition `name` was made for another family than the base."""

    def scale(self, name: str) -> float:
        """The factor on the output of the network for condition `name`."""
        return self._scales.get(name, 1.0)

    @property
    def name(self) -> str:
        """Name of the model in tables: the base and the conditions."""
        base = self.source.single.stem if self.source.single else super().name
        return quoted("+".join([base, *self.nets]), 100)

    def revisions(self, base: str) -> Mapping[str, str]:
        """Revisions of the base and of every network, the latter with their scales."""
        own = {name: f"{folder.revision()} * {self.scale(name)}" for name, folder in self.nets.items()}
        return {"pipeline": base, **own}
