"""The reference model's multi-view network: all views of an object denoised together, each from its camera.

MVDream (Shi et al. 2023, arXiv 2308.16512) at the reference world's size: self-attention over all views, the camera's
16 numbers in the time embedding. Trained by `syncbench train views`.

The camera's place is divided by its distance from the world's origin, on the ground, while cameras look at a point half
a unit above it: this is no unit orbit as MVDream's, whose place is taken from the point looked at, and its axes are
OpenCV's, not OpenGL's. The bundled network was trained with the same numbers; a published checkpoint would read them
wrongly.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from contextlib import nullcontext

import torch
from torch import Tensor

from ..schedule import Level
from ._extended import Replaced
from ._joint import inflated
from .interface import Condition


class Views(Replaced):
    """Condition `camera`: (N, 16), rows of camera-to-world; without it the network is the plain 2-D one it mixes with.

    Inside `together()` every self-attention spans all N views; else each attends to itself and knows its camera only.
    """

    id = "views"
    capabilities = frozenset({"text", "attention", "camera", "joint"})
    couples = True

    def _rows(self, inputs: dict[str, Tensor], views: int) -> dict[str, Tensor]:
        if "camera" not in inputs:
            return {"camera": torch.zeros(views, 16, device=self.device, dtype=self.dtype)}
        pose = inputs["camera"].reshape(-1, 4, 4).clone()
        # as in training: the camera's place at distance 1 from the world's origin
        pose[:, :3, 3] /= pose[:, :3, 3].norm(dim=1, keepdim=True).clamp_min(1e-6)
        return {"camera": pose.flatten(1)}

    def _predict(self, x: Tensor, level: Level, condition: Condition) -> tuple[Tensor, Tensor]:
        # guidance puts the two halves one after the other, so groups of len(x) rows never mix them
        with inflated(self.pipeline.unet, len(x)) if self.joint else nullcontext():
            return super()._predict(x, level, condition)

    def _network(self, x: Tensor, t: float, text: dict[str, Tensor]) -> Tensor:
        camera, words = text["camera"].to(self.precision), text["text"].to(self.precision)
        return self.pipeline.unet(x.to(self.precision), t, words, class_labels=camera).sample.to(self.dtype)
