"""T2I-Adapters: features of a hint at every scale of a UNet, made once a sample (Mou et al. 2023, arXiv 2302.08453)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import SyncbenchError
from .conditioners import Conditioner, Request, Rows
from .weights import Loadable

AT_ONCE = 8
"""Hints in one call of an adapter; bounds memory, does not change the result."""


@dataclass(frozen=True)
class Features:
    """What an adapter makes of a hint, the same in every pass: rows `NAME.0`, `NAME.1`, ..., from fine to coarse.

    They depend on neither time nor noise. `Adapted` adds them inside the blocks of the network.
    """

    hint: Conditioner
    """Answers the row `name`, a picture (views, c, H, W) in [0, 1], or none."""
    adapter: Loadable
    name: str
    scale: float = 1.0

    @property
    def takes(self) -> frozenset[str]:
        """The hint's."""
        return self.hint.takes

    @property
    def needs(self) -> frozenset[str]:
        """The hint's."""
        return self.hint.needs

    @property
    def offers(self) -> frozenset[str]:
        """The hint's."""
        return self.hint.offers

    @property
    def group(self) -> str:
        """Nothing drops it."""
        return ""

    @property
    def downscale(self) -> int:
        """Pixels to a cell of the finest features."""
        return int(self.adapter.config.get("downscale_factor", 8))

    @torch.no_grad()
    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The features. Raises SyncbenchError for a hint whose sides are no multiples of the adapter's cells."""
        hint = self.hint(request)[0].get(self.name)
        if hint is None:
            return {}, {}
        if any(side % self.downscale for side in hint.shape[-2:]):
            raise SyncbenchError(
                f"condition `{self.name}` has {hint.shape[-2]}x{hint.shape[-1]} pixels, and its T2I-Adapter reads "
                f"sides that are multiples of {self.downscale}"
            )
        network = self.adapter.module
        weight = next(network.parameters())
        parts = [network(part.to(weight)) for part in hint.split(AT_ONCE)]
        found = [torch.cat(scales) * self.scale for scales in zip(*parts, strict=True)]
        rows = {f"{self.name}.{i}": one for i, one in enumerate(found)}
        return rows, rows

    def read(self, rows: Rows) -> list[Tensor]:
        """The features among rows, from fine to coarse; none where the hint was absent."""
        found: list[Tensor] = []
        while f"{self.name}.{len(found)}" in rows:
            found.append(rows[f"{self.name}.{len(found)}"])
        return found
