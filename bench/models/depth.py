"""The reference model with its depth ControlNet (Zhang et al. 2023, arXiv 2302.05543).

Trained by `syncbench train depth`; diffusers' `ControlNetModel` and `StableDiffusionControlNetPipeline` read it, too.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from ._extended import Extended


class Depth(Extended):
    """Condition `depth`: (N, 1, H, W) normalised inverse depth in [0, 1], 1 near, 0 sky; without it, the reference."""

    id = "depth"
    capabilities = frozenset({"text", "attention", "depth"})

    @property
    def following(self) -> Path:
        """Folder of the ControlNet."""
        return self.own

    def ready(self) -> None:
        """Load the networks."""
        super().ready()
        _ = self.control

    @cached_property
    def control(self) -> Any:
        """The ControlNet."""
        return self._own("ControlNetModel", self.following)

    def _rows(self, inputs: dict[str, Tensor], views: int) -> dict[str, Tensor]:
        return {"depth": inputs["depth"].expand(-1, 3, -1, -1)} if "depth" in inputs else {}

    def _network(self, x: Tensor, t: float, text: dict[str, Tensor]) -> Tensor:
        words = text["text"].to(self.precision)
        found = self.pipeline.unet(x.to(self.precision), t, words, **self._residuals(x, t, text))
        return found.sample.to(self.dtype)

    def _residuals(self, x: Tensor, t: float, text: dict[str, Tensor]) -> dict[str, Any]:
        """What the ControlNet adds to the network's own features; nothing without depth."""
        if "depth" not in text:
            return {}
        words, hint = text["text"].to(self.precision), text["depth"].to(self.precision)
        down, middle = self.control(x.to(self.precision), t, words, controlnet_cond=hint, return_dict=False)
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
