"""The one denoising loop. A method is a few small verbs plugged into it.

    start   what the state is before the first step      (default: the canvas noise itself)
    levels  the steps that are taken                     (default: the whole schedule)
    look    what the network sees of the state           (default: the canvas, gathered to views)
    predict the network's clean views and noise          (default: one network evaluation of each view)
    step    the state after one step                     (the method)
    finish  the finished state as an artifact            (default: decode the canvas once)
    attach  attention sharing while the loop runs        (default: none)

A method that needs the item, such as one that edits a source clip, overrides `prepare` instead of `start`, and `hooks`
instead of `attach`. One that combines samples of channels before they are converted overrides `show`.

The default state is a tensor on the canvas (c, *shape). A method whose state is per view, or anything
else, overrides `start`, `look` and `finish` together.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, TypedDict

import torch
from torch import Tensor

from ..canvas import Canvas
from ..limits import Fraction
from ..models.interface import Condition, Model
from ..models.parts.schedule import Level, Schedule
from ..types import Anchor, Artifact, Door, Item, Sampling, SyncbenchError


class Reported(TypedDict):
    """One number that a paper reports. It never shares a column with measured ones: networks, prompts and backbones
    differ."""

    metric: str
    """Id of the metric here that measures this quantity, or else the paper's name of the quantity."""
    value: str
    """The number as printed, e.g. `0.72 ±0.08`."""
    setting: str
    """Network, size and number of samples."""
    source: str
    """Paper and table that print the number."""


class Method(ABC):
    """Anything that makes an artifact of an item. Subclasses are frozen keyword-only dataclasses.

    The file's stem is the id and its folder the family. `presets` names sets of field values, e.g.
    `{"release": {"weight": 0.1}}`, selected as `id@release`; fields default to the paper's values.
    """

    version: ClassVar[int]
    """Bumped by hand when output changes; results of unlike versions are never mixed."""
    door: ClassVar[Door]
    """`controlled`: shares the loop, so only the idea differs; `as_published`: a pipeline of its own."""
    anchor: ClassVar[Anchor | None] = None
    runs_model: ClassVar[bool] = True
    """Whether samples come from the model's network; anchors that are made of an item's own pictures say False."""
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    paper: ClassVar[str] = ""
    """arXiv id or DOI."""
    licence: ClassVar[str] = ""
    """Licence of the upstream code that was read; nothing is copied from it."""
    reported: ClassVar[tuple[Reported, ...]] = ()
    """Numbers that papers report of this method, to stand beside measured ones."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Capabilities that a model must have to run the method."""

    def loads(self) -> dict[str, str]:
        """Fingerprints, by name, of the weights besides the model's that this method loads: part of its identity."""
        return {}

    def lacks(self, item: Item) -> str | None:
        """One sentence on what the method needs and `item` has not, so that the two are not run; None if nothing."""
        return None

    @abstractmethod
    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        """The artifact that the method makes of `item` with `model`. Equal seeds give equal bytes."""


class Noise:
    """Noise in canvas space. It is drawn on the CPU, so that it is equal on all devices and for all methods."""

    def __init__(self, canvas: Canvas, model: Model, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._canvas = canvas
        self._shape = (model.channels, *canvas.shape)
        self._device, self._dtype = model.device, model.dtype

    def __call__(self, shape: Sequence[int] | None = None) -> Tensor:
        """A fresh draw of unit Gaussian noise of the canvas's shape (c, *shape), or of `shape`."""
        draw = torch.randn(tuple(shape or self._shape), generator=self._generator, dtype=torch.float32)
        return draw.to(self._device, self._dtype)

    def alone(self) -> Tensor:
        """Fresh noise for each view (views, c, h, w), independent everywhere, for views that share nothing.

        The first pixel that looks at a cell has the canvas's noise, so that methods stay paired; later pixels and the
        background have noise of their own.
        """
        x, first = self._canvas.look(self()), self._canvas.first[:, None]
        return x if bool(first.all()) else torch.where(first, x, self(x.shape))


@dataclass(frozen=True)
class Setting:
    """What a sample is made of, before its first step."""

    item: Item
    model: Model
    canvas: Canvas
    """The canvas of latents, with the views that the network sees."""
    condition: Condition
    noise: Noise
    schedule: Schedule
    """All noise levels of the protocol, from noisy to clean."""


@dataclass
class Step:
    """One step of the denoising loop, as a method sees it."""

    level: Level
    canvas: Canvas
    model: Model
    condition: Condition
    sampling: Sampling
    noise: Noise
    pixels: Callable[[], Canvas]
    """Returns the canvas of decoded pixels, for methods that average decoded views; laid out on the first call."""
    x0: Tensor = field(default_factory=lambda: torch.empty(0))
    """Predicted clean views (views, c, h, w)."""
    eps: Tensor = field(default_factory=lambda: torch.empty(0))
    """Predicted noise (views, c, h, w)."""

    def predict(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted clean views x0 and noise eps of views `x` at this step; costs one more network evaluation."""
        return self.model.predict(x, self.level, self.condition)

    def move(self, x0: Tensor, eps: Tensor) -> Tensor:
        """The views, or the canvas, at the next noise level from their (x0, eps).

        A stochastic sampler draws its fresh noise once, in canvas space.
        """

        def noise() -> Tensor:
            drawn = self.noise()
            return self.canvas.look(drawn) if x0.ndim == 4 else drawn

        return self.level.move(x0, eps, self.sampling.eta, noise)


@dataclass(frozen=True, kw_only=True)
class Sync(Method):
    """A method that uses the shared denoising loop; its records have the door `controlled`."""

    door: ClassVar[Door] = "controlled"
    together: ClassVar[bool] = False
    """Whether the network was trained to denoise all views together."""
    along_tracks: ClassVar[bool] = True
    """Whether views that share cells of the surface exchange anything there. A metric that estimates the same tracks
    does not judge such a method."""

    stride: Fraction | None = None
    """Step between neighbouring views as a fraction of a view, where the surface leaves it open."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Conditions that the method itself reads, whether the model does or not. Default: none."""
        return ()

    def prompts(self, item: Item, views: int) -> tuple[str, ...]:
        """The prompt of each view. Default: the item's; where it has one for all, that one."""
        return item.prompts * views if len(item.prompts) == 1 else item.prompts

    def start(self, noise: Noise, canvas: Canvas) -> Any:
        """The state before the first step. Default: unit noise on the canvas (c, *shape)."""
        return noise()

    def prepare(self, setting: Setting) -> Any:
        """The state before the first step, for methods that need more than noise. Default: that of `start`."""
        return self.start(setting.noise, setting.canvas)

    def levels(self, state: Any, setting: Setting) -> Iterable[Level]:
        """The steps that are taken, in order. Default: all of the schedule."""
        return setting.schedule

    def look(self, state: Any, s: Step) -> Tensor:
        """The views (views, c, h, w) that the network sees of the state. Default: the canvas, gathered to views."""
        return s.canvas.look(state)

    def predict(self, state: Any, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """Clean views x0 and noise eps (views, c, h, w) of the views `x`. Default: one network evaluation of each."""
        return s.predict(x)

    @abstractmethod
    def step(self, state: Any, x: Tensor, s: Step) -> Any:
        """The next state from this one, the views `x` that the network saw, and its predictions `s.x0`, `s.eps`."""

    def spread(self, state: Any, s: Step) -> float | None:
        """How far the predicted clean views disagree; None where they cannot be compared. Default: `Canvas.spread`.

        A method that predicts one view at a time overrides it.
        """
        return s.canvas.spread(s.x0)

    def finish(self, state: Any, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The artifact of the finished state.

        Default: on a picture the canvas is decoded once and views are looked up in it; elsewhere views are decoded.
        """
        if not item.surface.picture:
            return views_artifact(model.decode(canvas.look(state)), item, canvas, model.factor)
        return canvas_artifact(decode_canvas(state, canvas, model), item)

    def show(self, names: Sequence[str], views: Tensor, model: Model) -> Tensor:
        """Decoded views (n, 3, h, w) as the suite writes the channels in `names`. Default: as the model says."""
        shown: Callable[[Sequence[str], Tensor], Tensor] = getattr(model, "shown", lambda _, views: views)
        return shown(names, views)

    def attach(self, model: Model, canvas: Canvas) -> AbstractContextManager[Any]:
        """A context for the duration of the loop, for example attention sharing. Default: one without effect."""
        return nullcontext()

    def hooks(self, state: Any, setting: Setting) -> AbstractContextManager[Any]:
        """As `attach`, for methods whose processors need more than the model. Default: the context of `attach`."""
        return self.attach(setting.model, setting.canvas)

    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        """Run the denoising loop. The artifact's notes and extras tell borders, unread inputs and disagreement."""
        sampling = item.protocol
        canvas = item.surface.canvas(model.factor, self.stride).to(model.device)
        views, pace = canvas.views, pace_of(model, canvas.views) if self.together else 1
        names = channel_names(item, model)
        prompts = names if names and len(item.prompts) == 1 else self.prompts(item, views)
        canvas, prompts = canvas.every(pace), prompts[::pace]
        noise = Noise(canvas, model, seed)
        pixels = cache(lambda: pixel_canvas(item, canvas, model))
        spreads: list[float] = []
        with torch.no_grad():
            condition = model.condition(
                prompts, sampling.guidance, sampling.negative, together=self.together, **taken_conditions(item, model)
            )
            setting = Setting(item, model, canvas, condition, noise, model.schedule(sampling.steps))
            state = self.prepare(setting)
            with self.hooks(state, setting):
                for level in self.levels(state, setting):
                    s = Step(level, canvas, model, condition, sampling, noise, pixels)
                    x = self.look(state, s)
                    s.x0, s.eps = self.predict(state, x, s)
                    spread = self.spread(state, s)
                    if spread is not None:
                        spreads.append(spread)
                    state = self.step(state, x, s)
            artifact = self.finish(state, item, canvas, model)
        if names:
            artifact.views = self.show(names, artifact.views, model)
        if spreads:
            artifact.extras["disagreement"] = torch.tensor(spreads)
        if canvas.borders:
            artifact.notes["borders"] = [b * model.factor for b in canvas.borders]
        artifact.notes["views"] = views
        flow: str | None = getattr(item.surface, "flow", None)
        if self.along_tracks and flow is not None:
            artifact.notes["followed"] = flow
        unseen = sorted(set(item.conditions) - model.capabilities - {*self.reads})
        if unseen:
            artifact.notes["unseen"] = unseen
        unread = 1 - min(map(getattr(model, "read", lambda prompt: 1.0), {*item.prompts, sampling.negative}))
        if unread:
            artifact.notes["unread"] = round(unread, 3)
        return artifact


def pixel_canvas(item: Item, canvas: Canvas, model: Model) -> Canvas:
    """The canvas of decoded pixels, with its views where those of the latent `canvas` lie."""
    if item.surface.picture:
        return canvas.magnify(model.factor)
    return item.surface.canvas().to(model.device)


def pace_of(model: Model, frames: int) -> int:
    """Number of frames to one latent of a clip that is denoised together; 1 unless the model's codec compresses time.

    Raises SyncbenchError for a number of frames that does not fill the latents.
    """
    pace = int(getattr(model, "pace", 1))
    if (frames - 1) % pace:
        raise SyncbenchError(
            f"model {model.id} makes clips of {pace} k + 1 frames, not of {frames}: set frames to "
            f"{(frames - 1) // pace * pace + 1} or {(frames - 1) // pace * pace + pace + 1} in the dataset"
        )
    return pace


def decode_together(latents: Tensor, model: Model) -> Tensor:
    """The views (1 + (n - 1) * pace, 3, H, W) of latents (n, c, h, w) that were denoised together; see `pace_of`."""
    decode: Callable[[Tensor], Tensor] = getattr(model, "decode_together", model.decode)
    return decode(latents)


def channel_names(item: Item, model: Model) -> tuple[str, ...]:
    """Name of the channel that each view is, where the model makes channels of a picture; empty elsewhere."""
    return tuple(getattr(item.surface, "names", ())) if getattr(model, "makes", ()) else ()


def taken_conditions(item: Item, model: Model) -> dict[str, Tensor]:
    """The item's conditions that the model reads; the artifact's note `unseen` names the others."""
    return {name: item.conditions[name] for name in item.conditions if name in model.capabilities}


def decode_canvas(z: Tensor, canvas: Canvas, model: Model) -> Tensor:
    """The image (3, H, W) of a canvas latent (c, h, w).

    A canvas that wraps around is decoded with a margin from the other end, then cropped: latents that match do not
    decode to pixels that match, because the decoder pads at the ends (diffusers PR 4025).
    """
    if not canvas.wraps:
        return model.decode(z[None])[0]
    margin = min(8, z.shape[-1])
    wide = torch.cat([z[..., -margin:], z, z[..., :margin]], -1)
    return model.decode(wide[None])[0][..., margin * model.factor : -margin * model.factor]


def canvas_artifact(image: Tensor, item: Item) -> Artifact:
    """An artifact of one decoded canvas (3, H, W); its views are those of the item's surface, looked up in it."""
    pixels = item.surface.canvas().to(image.device)
    return Artifact(views=pixels.look(image).float().cpu(), canvas=image.float().cpu())


def views_artifact(views: Tensor, item: Item, canvas: Canvas, factor: int = 1) -> Artifact:
    """An artifact of decoded views (n, 3, h, w) that were made on `canvas`, with `factor` pixels to a side of a cell.

    Where the surface is a picture, views are pasted into it where their latents lie (the mean where they overlap), and
    the artifact's views are those of the item's surface, looked up in the picture. Elsewhere the views are the result.
    """
    if item.surface.picture:
        return canvas_artifact(canvas.magnify(factor).paint(views), item)
    return Artifact(views=views.float().cpu())
