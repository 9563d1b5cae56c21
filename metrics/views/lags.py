"""Cosines of the embeddings of frames that are so many frames apart."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from ...bench.types import Family, Role

LAGS: dict[str, dict[str, Any]] = {
    "all": {"pairs": "all"},
    "lag2": {"lag": 2},
    "lag4": {"lag": 4},
    "lag8": {"lag": 8},
}
"""Presets of the pairs that are compared."""


@dataclass(frozen=True, kw_only=True)
class FramePairs:
    """The base of metrics that compare embeddings of frames: which frames are compared."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = "x100"
    families: ClassVar[tuple[Family, ...]] = ("frames",)
    estimates: ClassVar[str] = "warping_error"
    presets: ClassVar[dict[str, dict[str, Any]]] = LAGS

    pairs: Literal["adjacent", "all"] = "adjacent"
    """Which frames are compared: each with the one `lag` later (`adjacent`: the next), or every two (`all`)."""
    lag: Annotated[int, Interval(ge=1, le=1000)] = 1
    """How many frames apart the compared ones are; without effect for `all` pairs."""

    def too_short(self, frames: int) -> str | None:
        """Why a clip of so many frames has no pairs; None where it has."""
        if frames < 2:
            return "there is only one frame"
        if self.pairs == "adjacent" and frames <= self.lag:
            return f"a clip of {frames} frames has no two that are {self.lag} apart"
        return None


def frame_pairs(pairs: str, lag: int) -> str:
    """Which frames are compared, in words for fingerprints."""
    return f"{pairs} frames" if pairs == "all" or lag == 1 else f"frames {lag} apart"


def mean_cosine(seen: Float[Tensor, "t d"], pairs: str, lag: int) -> float:
    """Mean inner product of the unit embeddings of every two frames (`all`), or of those `lag` apart (`adjacent`)."""
    if pairs == "all":
        first, second = torch.triu_indices(len(seen), len(seen), 1)
        return float((seen[first] * seen[second]).sum(1).mean())
    return float((seen[lag:] * seen[:-lag]).sum(1).mean())
