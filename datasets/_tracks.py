"""Tracks of clips whose motion is not known, by estimated flow that is found when it is first asked for."""

from collections.abc import Callable
from functools import cache
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from ..bench.backbones.flow import flow
from ..bench.backbones.matching import CHECKED, match
from ..bench.surfaces.flow_tracks import FlowTracks, Step
from ..bench.surfaces.shared import Apart
from ..bench.types import Surface

Motion = Literal["dis", "raft_large", "raft_small", "none"]
"""How the motion of a clip is found; `none`: not at all, and every pixel is a cell of its own."""


def tracks_of(
    clip: Callable[[], Float[Tensor, "t 3 h w"]], size: tuple[int, int, int], digest: str, motion: Motion
) -> Surface:
    """The surface of a clip of `size` (frames, height, width), which `clip` returns and whose hash is `digest`.

    Raises SyncbenchError where the weights of the flow are not on this machine.
    """
    if motion == "none":
        return Apart(*size)
    estimator = flow(motion)

    @cache
    def step(t: int) -> Step:
        frames = clip()
        found = match(estimator, frames[t], frames[t + 1])
        return found.flow, found.visible

    return FlowTracks(*size, f"{estimator.fingerprint}, {CHECKED}", digest, step)
