"""Networks of whole clips, video UNets and transformers: the views of a call are the frames of one clip in order.

Where views are not denoised together, each is a clip of one frame. A clip has one text, that of its first frame.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..interface import Call
from .conditioners import Rows
from .network import Bare, Couples, cast


@dataclass(frozen=True)
class ClipNetwork(Bare):
    """A network whose input is (clips, c, frames, h, w), or with `frames_first` (clips, frames, c, h, w)."""

    frames_first: bool = False
    """Whether the network's input and output are (clips, frames, c, h, w), not (clips, c, frames, h, w)."""

    @property
    def couples(self) -> Couples | None:
        """`frames`: views are frames of a clip."""
        return "frames"

    def __call__(self, x: Float[Tensor, "rows c h w"], call: Call, rows: Rows, **more: Any) -> Tensor:
        """The network's raw output, (rows, c, h, w)."""
        frames = call.views if call.together else 1
        network = self.module()
        clips = x.to(network.dtype).unflatten(0, (-1, frames))
        first = {name: value[::frames] for name, value in rows.items()}
        given = cast({**self.inputs(x, first), **more}, network.dtype)
        found = self.run(clips if self.frames_first else clips.transpose(1, 2), call, given)
        return (found if self.frames_first else found.transpose(1, 2)).flatten(0, 1)

    def inputs(self, x: Tensor, rows: Rows) -> dict[str, Any]:
        """Arguments of the network beside clip and time, one row a clip."""
        return {"encoder_hidden_states": rows["text"]}

    @abstractmethod
    def run(self, clips: Tensor, call: Call, given: Mapping[str, Any]) -> Tensor:
        """The network's raw output for `clips`, in its own order of dimensions."""


@dataclass(frozen=True)
class VideoUNet(ClipNetwork):
    """A `UNet3DConditionModel` (ModelScope), or with frames first a `UNetSpatioTemporalConditionModel` (SVD).

    Reads rows `text`, in SVD's case the picture's embedding, and `time_ids`, SVD's three numbers.
    """

    def inputs(self, x: Tensor, rows: Rows) -> dict[str, Any]:
        """Arguments of the network beside clip and time: text embeddings, and `time_ids` where there is such a row."""
        more = {"added_time_ids": rows["time_ids"]} if "time_ids" in rows else {}
        return {**super().inputs(x, rows), **more}

    def run(self, clips: Tensor, call: Call, given: Mapping[str, Any]) -> Tensor:
        """The network's raw output for `clips`, in its own order of dimensions."""
        return self.module()(clips, call.level.t, **given).sample


@dataclass(frozen=True)
class VideoTransformer(ClipNetwork):
    """A transformer of clips that takes one time a clip: `WanTransformer3DModel`, `CogVideoXTransformer3DModel`."""

    def run(self, clips: Tensor, call: Call, given: Mapping[str, Any]) -> Tensor:
        """The network's raw output for `clips`, in its own order of dimensions."""
        time = clips.new_full((len(clips),), call.level.t, dtype=torch.float32)
        return self.module()(hidden_states=clips, timestep=time, **given).sample
