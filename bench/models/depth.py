"""The reference model with its depth ControlNet (Zhang et al. 2023, arXiv 2302.05543).

Trained by `syncbench train depth`; diffusers' `ControlNetModel` and `StableDiffusionControlNetPipeline` read it, too.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from functools import cached_property
from typing import Any

from torch import Tensor

from ._extended import Extended


class Depth(Extended):
    """Condition `depth`: (N, 1, H, W) normalised inverse depth in [0, 1], 1 near, 0 sky; without it, the reference."""

    id = "depth"
    capabilities = frozenset({"text", "attention", "depth"})

    @cached_property
    def control(self) -> Any:
        """The ControlNet."""
        return self._own("ControlNetModel")

    def _rows(self, inputs: dict[str, Tensor], views: int) -> dict[str, Tensor]:
        return {name: value.expand(-1, 3, -1, -1) for name, value in inputs.items()}

    def _network(self, x: Tensor, t: float, text: dict[str, Tensor]) -> Tensor:
        if "depth" not in text:
            return super()._network(x, t, text)
        x, words = x.to(self.precision), text["text"].to(self.precision)
        hint = text["depth"].to(self.precision)
        down, middle = self.control(x, t, words, controlnet_cond=hint, return_dict=False)
        found = self.pipeline.unet(
            x, t, words, down_block_additional_residuals=down, mid_block_additional_residual=middle
        )
        return found.sample.to(self.dtype)
