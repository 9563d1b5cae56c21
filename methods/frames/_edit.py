"""Base of methods that edit a source clip frame by frame: where their samples start, and how much is redrawn."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval
from torch import Tensor
from torch.nn import functional as F

from ...bench.canvas import Canvas
from ...bench.models.interface import Model
from ...bench.models.parts.schedule import Level
from ...bench.sampling.inversion import Inverted, Predict, inverted, source_clip
from ...bench.sampling.loop import Setting, Step, taken_conditions
from ...bench.types import Anchor, Artifact, Item, Json, SyncbenchError
from ..independent import Independent

Initial = Literal["noise", "inverted", "noised"]


@dataclass
class Editing:
    """The state of an edit."""

    x: Tensor
    """The frames (frames, c, h, w) at the level that the next step starts from."""
    source: Inverted | None = None
    """The inverted source clip, for methods that invert it."""
    first: int = 0
    """Number of the first step that is taken."""
    kept: Any = None
    """Whatever else the method carries from step to step."""
    inside: Tensor | None = None
    """Where frames are edited, (frames, 1, h, w) in cells; None: everywhere."""


@dataclass(frozen=True, kw_only=True)
class Edit(Independent):
    """Denoises the frames of the source clip to the item's prompt; the state is an `Editing`.

    `inverted` starts from the DDIM inversion of the source clip under the source's own prompt (an empty one where none
    is known), `noised` from the source clip with fresh noise added (SDEdit, Meng et al., ICLR 2022, arXiv 2108.01073),
    `noise` from noise alone.
    """

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    requires: ClassVar[tuple[str, ...]] = ("text",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    initial: Initial = "inverted"
    """What the first step starts from."""
    redrawn: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Share of the denoising steps that are taken, the last ones, rounded to at least one step; 1 takes all. With
    `noise` all steps are taken."""
    iterations: Annotated[int, Interval(ge=1, le=20)] = 3
    """Network evaluations of each step of the inversion; 1 is the usual inversion, see `bench.sampling.inversion`."""

    confined: bool = False
    """Whether what lies outside the item's mask is the source's again after every step, as in Blended Latent Diffusion
    (Avrahami, Fried, Lischinski, SIGGRAPH 2023, arXiv 2206.02779); with `inverted` only."""

    def __post_init__(self) -> None:
        if self.confined and self.initial != "inverted":
            raise SyncbenchError("confined puts the inverted source back: it needs initial = inverted")

    def lacks(self, item: Item) -> str | None:
        """A sentence about the source clip, or its mask, where it is needed and the item has none."""
        if self.confined and "mask" not in item.conditions:
            return "the item has no mask of what is to be edited"
        if self.needs_source and "video" not in item.conditions:
            return "the item has no source clip to edit"
        return None

    @property
    def reads(self) -> tuple[str, ...]:
        """The source clip where samples need it, and the mask where they are confined to it."""
        return (("video",) if self.needs_source else ()) + (("mask",) if self.confined else ())

    @property
    def needs_source(self) -> bool:
        """Whether an item must have a source clip."""
        return self.initial != "noise"

    def inversion(self, setting: Setting) -> Inverted:
        """The inverted source clip of the item."""
        item, model = setting.item, setting.model
        prompts = [item.source] * setting.canvas.views
        given = taken_conditions(item, model)
        way = self.way(setting)
        return inverted(
            item, model, prompts, setting.schedule, self.iterations, way=way, together=self.together, **given
        )

    def way(self, setting: Setting) -> tuple[str, Predict] | None:
        """Name of another way to predict in the inversion, and that way; None: every frame alone."""
        return None

    def first_step(self, setting: Setting) -> int:
        """Number of the first step that is taken."""
        total = len(setting.schedule)
        return 0 if self.initial == "noise" else total - max(1, round(self.redrawn * total))

    def prepare(self, setting: Setting) -> Editing:
        """The frames at the first level that is denoised."""
        first = self.first_step(setting)
        if self.initial == "inverted":
            source = self.inversion(setting)
            return Editing(source.path[first].clone(), source, first, inside=self.inside(setting))
        x = self.start(setting.noise, setting.canvas)
        if self.initial == "noised":
            clean = setting.model.encode(source_clip(setting.item))
            x = setting.schedule.a[first] * clean + setting.schedule.b[first] * x
        return Editing(x, None, first)

    def inside(self, setting: Setting) -> Tensor | None:
        """Cells that hold a pixel of the item's mask, (frames, 1, h, w), where it is used."""
        if not self.confined:
            return None
        mask = setting.item.conditions["mask"].to(setting.model.device)
        return F.adaptive_max_pool2d((mask > 0.5).float(), setting.canvas.index.shape[1:]) > 0.5

    def levels(self, state: Editing, setting: Setting) -> Iterable[Level]:
        """The steps from the first that is taken."""
        return setting.schedule if state.first == 0 else [*setting.schedule][state.first :]

    def look(self, state: Editing, s: Step) -> Tensor:
        """The frames, with the source outside the mask."""
        return kept_outside(state, s.level.index)

    def step(self, state: Editing, x: Tensor, s: Step) -> Any:
        """The frames at the next noise level, each from its own prediction."""
        state.x = super().step(x, x, s)
        return state

    def finish(self, state: Editing, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The decoded frames; notes tell what the samples started from."""
        artifact = super().finish(kept_outside(state, -1), item, canvas, model)
        artifact.notes.update(self.told(state, item))
        return artifact

    def told(self, state: Editing, item: Item) -> Json:
        """Notes on what the samples started from."""
        notes: Json = {"initial": self.initial, "first_step": state.first}
        if state.source is not None:
            notes |= {"source_prompt": item.source, "inversion_error": round(state.source.error, 6)}
        return notes


def kept_outside(state: Editing, level: int) -> Tensor:
    """The frames with the inverted source of the level outside the mask; all of them where there is no mask."""
    if state.inside is not None and state.source is not None:
        state.x = torch.where(state.inside, state.x, state.source.path[level])
    return state.x
