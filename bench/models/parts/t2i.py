"""T2I-Adapters: features of a hint at every scale of a UNet, made once a sample (Mou et al. 2023, arXiv 2302.08453)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import SyncbenchError
from ..interface import Call
from .conditioners import Conditioner, Request, Rows
from .weights import Loadable
from .wrappers import Wrapper, check_size

AT_ONCE = 8
"""Largest number of hints in one call of an adapter; bounds memory, not the result."""


@dataclass(frozen=True)
class Features:
    """An adapter's features of a hint, the same in every pass: rows `NAME.0`, `NAME.1`, ..., from fine to coarse.

    They depend on neither time nor noise. `Adapted` adds them inside the blocks of the network.
    """

    hint: Conditioner
    """The conditioner of the hint; its row `name` is a picture (views, c, H, W) in [0, 1], or missing."""
    adapter: Loadable
    name: str
    scale: float = 1.0

    @property
    def takes(self) -> frozenset[str]:
        """As the conditioner of the hint."""
        return self.hint.takes

    @property
    def needs(self) -> frozenset[str]:
        """As the conditioner of the hint."""
        return self.hint.needs

    @property
    def offers(self) -> frozenset[str]:
        """As the conditioner of the hint."""
        return self.hint.offers

    @property
    def group(self) -> str:
        """Empty: guidance never drops it."""
        return ""

    @property
    def downscale(self) -> int:
        """Pixels along a side of a cell of the finest features."""
        return int(self.adapter.config.get("downscale_factor", 8))

    @torch.no_grad()
    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The features of each view. Raises SyncbenchError if a hint's sides are no multiples of the finest cells."""
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
        """The features among `rows`, from fine to coarse; empty where the hint is missing."""
        found: list[Tensor] = []
        while f"{self.name}.{len(found)}" in rows:
            found.append(rows[f"{self.name}.{len(found)}"])
        return found


@dataclass(frozen=True)
class Adapted(Wrapper):
    """A UNet with T2I-Adapters, whose features are added inside its blocks; missing hints add none."""

    adapters: tuple[Features, ...] = ()
    factor: int = 8
    """Pixels along a side of a latent cell."""

    def load(self) -> None:
        """Load the inner network and the networks added to it, if they are not loaded yet."""
        self.inner.load()
        for one in self.adapters:
            _ = one.adapter.module

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's raw output, one row per row of `x`, with the additional features added."""
        total: list[Tensor] = []
        for one in self.adapters:
            features = one.read(rows)
            if not features:
                continue
            check_size(one.name, [side * one.downscale for side in features[0].shape[-2:]], x, self.factor)
            total = [a + b for a, b in zip(total, features, strict=True)] if total else features
        if total:
            more |= {"down_intrablock_additional_residuals": total}
        return self.inner(x, call, rows, **more)
