"""The source clip beside the edit: in every step its frames go through the network first, under their own prompt.

What the edit takes from them (queries, keys, features of layers) is recorded in that pass and used in the next, so that
nothing is kept for longer than a step. Published methods record the same in the inversion and keep it.
"""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ...bench.models.interface import Condition
from ...bench.sampling.inversion import Inverted
from ...bench.sampling.loop import Setting, Step, taken_conditions


@dataclass
class Source:
    """The inverted source clip and what was recorded of it in this step."""

    inverted: Inverted
    condition: Condition
    """The source's prompt and the item's conditions, at guidance 1."""
    recording: bool = False
    """Whether the network is seeing the source's frames."""
    step: int = 0
    """Number of the step."""
    total: int = 1
    """Number of steps."""
    layers: dict[str, Any] = field(default_factory=dict[str, Any])
    """What was recorded, by the name of the layer."""

    @staticmethod
    def of(inverted: Inverted, setting: Setting, together: bool = False) -> "Source":
        """The source of the setting's item."""
        item, model = setting.item, setting.model
        prompts = [item.source] * setting.canvas.views
        condition = model.condition(prompts, 1.0, "", together=together, **taken_conditions(item, model))
        return Source(inverted, condition)

    def record(self, s: Step) -> tuple[Tensor, Tensor]:
        """Let the network see the source's frames at this step's level; its (x0, eps) of them."""
        self.layers.clear()
        self.step, self.total, self.recording = s.level.index, s.level.total, True
        try:
            return s.model.predict(self.inverted.path[s.level.index], s.level, self.condition)
        finally:
            self.recording = False

    def within(self, share: float) -> bool:
        """Whether this step is among the first `share` of all."""
        return self.step < round(share * self.total)
