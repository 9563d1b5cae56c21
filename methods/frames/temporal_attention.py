"""Temporal layers: attention along time between the layers of a picture network, weighed, switched off, or in parts.

What Video LDM (Blattmann, Rombach, Ling et al., CVPR 2023, arXiv 2304.08818; no code was released) adds to a frozen
image model: after its spatial layers follow layers along time, mixed in by a factor. The method runs any model that has
such layers and weighs them: `motion` (`syncbench train motion`, on the frozen base), AnimateDiff's adapters,
ModelScope, Stable Video Diffusion. With `strength` 0 (preset `off`) a frozen base makes every frame alone, which is the
ablation. ModelScope and Stable Video Diffusion trained their other layers along and were never meant to be without.

`motion` stands for the paper's layers: it has attention along time after every spatial transformer, whose last layer
began at zero, so that its residual form is the paper's blend; convolutions along time it has not. Weights of their own
for these layers would be a second adapter beside `motion` that learns the same from the same clips. With `strength` 1
and from noise the method is `animatediff`. A source clip is edited by starting from it (`initial`). Left out: the
paper's decoder for clips, and its models for interpolation and larger sizes.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...bench.canvas import Canvas
from ...bench.limits import Share
from ...bench.models.interface import Model
from ...bench.models.parts.along_time import weighed
from ...bench.sampling.inversion import Predict
from ...bench.sampling.loop import Setting, decode_together, views_artifact
from ...bench.types import Artifact, Item, SyncbenchError
from ._edit import Edit, Editing, Initial, kept_outside

Layers = Literal["all", "encoder", "middle", "decoder"]
PLACES: dict[Layers, tuple[str, ...]] = {
    "all": ("",),
    "encoder": ("down_blocks.", "transformer_in"),
    "middle": ("mid_block.",),
    "decoder": ("up_blocks.",),
}
"""Beginnings of the names of layers, by their place in a U-Net."""


@dataclass(frozen=True, kw_only=True)
class TemporalAttention(Edit):
    """Denoises all frames of a clip together, with the network's layers along time weighed."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2304.08818"
    together: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("joint", "time")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "off": {"strength": 0.0},
        "decoder": {"layers": "decoder"},
        "sdedit": {"initial": "noised", "redrawn": 0.67},
        "inverted": {"initial": "inverted"},
    }

    initial: Initial = "noise"
    strength: Share = 1.0
    """What layers along time add is multiplied by this: 1 minus Video LDM's alpha."""
    layers: Layers = "all"
    """The layers along time that act; the others add nothing."""

    def prepare(self, setting: Setting) -> Editing:
        """The frames at the first level; an inversion sees the layers as sampling does."""
        if self.initial != "noise" and getattr(setting.model, "pace", 1) > 1:
            raise SyncbenchError(f"model {setting.model.id} compresses time: its clips start from noise only")
        with self.hooks(None, setting):
            return super().prepare(setting)

    def way(self, setting: Setting) -> tuple[str, Predict] | None:
        """The model's own prediction, under a name that tells the weights of layers."""
        return None if self._plain else (f"time {self.strength} {self.layers}", setting.model.predict)

    def hooks(self, state: Editing | None, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which layers along time are weighed, and those elsewhere add nothing."""
        if self._plain:
            return nullcontext()
        within: Callable[..., AbstractContextManager[Any]] | None = getattr(setting.model, "within", None)
        if within is None:
            raise SyncbenchError(f"model {setting.model.id} shows no layers along time to weigh")
        places = PLACES[self.layers]

        def there(name: str) -> bool:
            return name.startswith(places)

        def layers(network: Any) -> AbstractContextManager[Any]:
            return weighed(network, self.strength, there)

        return within(layers, together=True)

    @property
    def _plain(self) -> bool:
        return self.strength == 1 and self.layers == "all"

    def finish(self, state: Editing, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The frames, decoded together, as an artifact; notes tell what they started from."""
        latents = kept_outside(state, -1)
        artifact = views_artifact(decode_together(latents, model), item, canvas, model.factor)
        artifact.notes.update(self.told(state, item))
        return artifact
