"""The one concrete model: a network, conditioners, a codec, noise levels and guidance, composed.

A checkpoint is a recipe, a class with `parts()`. Nothing here depends on a class of diffusers: this module counts
the cost, runs the passes of guidance and splits the network's output into (x0, eps).
"""

from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ...isolation.guard import named
from ...types import Cost, SyncbenchError
from ..interface import Call, Condition
from .attention import replaced, spatial
from .channels import Channel, shown
from .codec import Codec
from .conditioners import Conditioner, Request, Rows
from .denoiser import Denoiser, digest
from .guidance import Guidance, Plain
from .levels import Levels
from .network import OFFERS, Network
from .placement import Memory, Placement, uncompiled
from .schedule import Level, Schedule
from .texts import Text
from .weights import Folder, find, first_line, load_networks

SHIPPED = Path(__file__).parents[1] / "weights"
"""Folder of the bundled models' weights."""
TRIAL = 16
"""Latent cells along a side of the picture that a checkpoint is tried on."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a model. Nothing is loaded before its first use."""

    network: Network
    conditioners: tuple[Conditioner, ...]
    codec: Codec
    levels: Levels
    guidance: Guidance = field(default_factory=Plain)
    window: int
    """Native image size in pixels; the longer side where it is not square."""
    folders: Mapping[str, str]
    """Revisions of the folders of weights, by the part of the model that reads them."""
    places: tuple[int, int] | None = None
    """Fewest and most views that can be denoised together; None: any number."""
    channels: tuple[Channel, ...] = ()
    """The channels of a picture that the model predicts, in order; empty for other models."""


class Composed(Denoiser):
    """A model composed of parts. A recipe is a subclass whose options are folders and which defines `parts()`.

    The network runs in `dtype`; encoders, codec, guidance and latents between calls stay in float32 (or float64 with a
    float64 network), because half-precision images would be coarser than the PNGs they end in.
    """

    paper: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    memory: Memory = Memory()
    """Options that save memory or time."""

    @abstractmethod
    def parts(self) -> Parts:
        """Network, conditioners, codec, noise levels, guidance. Raises SyncbenchError for folders that do not fit."""

    def folder(self, path: str, *, commit: str = "", variant: str = "", what: str = "checkpoint") -> Folder:
        """The folder that a path or a hub id names; its networks are loaded to this model's device and precision."""
        return find(path, self.placement, commit=commit, variant=variant, what=what)

    @cached_property
    def placement(self) -> Placement:
        """Device, precision and memory options of the networks. Raises SyncbenchError for impossible options."""
        return Placement.of(self.device, self.precision, self.dtype, self.memory)

    @property
    def deviations(self) -> dict[str, str]:
        """Options by which its samples differ from the checkpoint's own; they are part of its revision."""
        return {"codec": "tiled"} if self.placement.tiled else {}

    def settle(self) -> None:
        """Move offloaded weights off the device."""
        if self.placement.shelf is not None:
            self.placement.shelf.clear()

    @cached_property
    def made(self) -> Parts:
        """The parts, from one call of `parts()`. Raises SyncbenchError where that fails."""
        with named(f"making the parts of model {self.id}"):  # of a configuration with an odd value, say
            return self.parts()

    @property
    def network(self) -> Network:
        """The denoising network."""
        return self.made.network

    @property
    def codec(self) -> Codec:
        """The codec."""
        return self.made.codec

    @cached_property
    def capabilities(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The conditions that it takes, and other properties that methods may require; see `Model`."""
        found = frozenset({"attention"}) | OFFERS.get(self.network.couples or "views", frozenset())
        found = found if self.network.couples else frozenset({"attention"})
        for conditioner in self.made.conditioners:
            found |= conditioner.takes | conditioner.offers
        return found

    @property
    def needs(self) -> frozenset[str]:
        """Conditions that every item must have."""
        return frozenset().union(*(conditioner.needs for conditioner in self.made.conditioners))

    @property
    def places(self) -> tuple[int, int] | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Fewest and most views that can be denoised together; None: any number."""
        return self.made.places

    @property
    def makes(self) -> tuple[str, ...]:
        """Names of the channels of a picture that the model predicts, in order; empty for other models."""
        return tuple(channel.name for channel in self.made.channels)

    def shown(self, names: Sequence[str], views: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Decoded views (n, 3, h, w) in the suite's convention; `names` has the channel of every view, of `makes`."""
        return shown(self.made.channels, names, views)

    @property
    def revision(self) -> str:
        """12 hex digits of the weights and configuration of every folder, of the precision and of deviations."""
        facts = {"id": self.id, "folders": dict(self.made.folders), "dtype": str(self.precision)}
        return digest({**facts, **self.deviations})

    @property
    def factor(self) -> int:
        """Pixels along a side of a latent cell."""
        return self.codec.factor

    @property
    def channels(self) -> int:
        """Number of channels of a latent."""
        return self.codec.channels

    @property
    def window(self) -> int:
        """Native image size in pixels."""
        return self.made.window

    @property
    def native(self) -> int | None:
        """The longer side in pixels that views must have; None where any size is served."""
        return self.window

    def read(self, prompt: str) -> float:
        """Fraction of the prompt's tokens that the text encoder reads, in (0, 1]."""
        readers = [one for one in self.made.conditioners if isinstance(one, Text)]
        return min((reader.read(prompt) for reader in readers), default=1.0)

    def tokens(self, prompt: str) -> tuple[str, ...]:
        """The prompt's tokens, one for each row of its embedding up to the padding; empty without a text encoder."""
        return next((one.tokens(prompt) for one in self.made.conditioners if isinstance(one, Text)), ())

    def schedule(self, steps: int) -> Schedule:
        """Noise levels for `steps` denoising steps."""
        return self.made.levels.schedule(steps)

    def condition(
        self, prompts: Sequence[str], guidance: float, negative: str = "", *, together: bool = False, **inputs: Tensor
    ) -> Condition:
        """The network's inputs about each view in every pass of guidance."""
        self.refuse(inputs)
        passes = self.made.guidance.passes(guidance)
        views = len(prompts)
        for name, value in inputs.items():
            if len(value) not in (1, views):
                raise SyncbenchError(f"condition `{name}` has {len(value)} rows for {views} views")
        full = {k: v.expand(views, *v.shape[1:]).to(self.device, self.dtype) for k, v in inputs.items()}
        request = Request(tuple(prompts), negative, len(passes) > 1, full, self._code, guidance)
        told: list[Rows] = [{} for _ in passes]
        with torch.no_grad():
            for conditioner in self.made.conditioners:
                given, dropped = conditioner(request)
                for rows, drops in zip(told, passes, strict=True):
                    rows.update(dropped if conditioner.group in drops else given)
        placed = tuple({k: v.to(self.device, self.dtype) for k, v in rows.items()} for rows in told)
        couples = bool(self.network.couples) and (together or self.network.always)
        return Condition(guidance, placed, views, couples)

    def _code(self, images: Tensor, raw: bool) -> Tensor:
        if not raw:
            return self.encode(images)
        self.cost.encodes += len(images)
        return self.codec.raw(images.to(self.device, self.dtype))

    def encode(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """Images in [0, 1] to latents, the mean where the codec has a distribution."""
        self.cost.encodes += len(images)
        return self.codec.encode(images.to(self.device, self.dtype))

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 H W"]:
        """Latents of any height and width to images in [0, 1]. Differentiable inside the range."""
        height, width = (side * self.factor for side in latents.shape[-2:])
        self.cost.decodes += len(latents) * self.views_in(height, width)
        return self.codec.decode(latents)

    @property
    def pace(self) -> int:
        """Frames of each latent but the first, where a clip's latents are denoised and decoded together."""
        return int(getattr(self.codec, "pace", 1))

    def decode_together(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "frames 3 H W"]:
        """The 1 + (n - 1) * pace frames in [0, 1] of one clip, from its latents; n if the codec is of pictures."""
        decode: Callable[[Tensor], Tensor] | None = getattr(self.codec, "decode_together", None)
        if decode is None:
            return self.decode(latents)
        height, width = (side * self.factor for side in latents.shape[-2:])
        images = decode(latents)
        self.cost.decodes += len(images) * self.views_in(height, width)
        return images

    @contextmanager
    def attach(
        self,
        processor: Callable[[str, Any], Any],
        where: Callable[[str, Any], bool] | None = None,
        *,
        together: bool = False,
    ) -> Generator[Any]:
        """A context with other attention processors in the denoising network; see `parts.attention.replaced`."""
        before, self.whole = self.whole, True
        try:
            with replaced(self.network.module(together), processor, where or spatial) as made:
                yield made
        finally:
            self.whole = before

    @contextmanager
    def within(self, change: Callable[[Any], AbstractContextManager[Any]], *, together: bool = False) -> Generator[Any]:
        """A context in which `change(network)`, a context itself, holds of the denoising network; views are one call.

        `together` says whether the calls in this context denoise views together. A compiled network is run as it was.
        """
        network, before = self.network.module(together), self.whole
        self.whole, compiled = True, uncompiled(network)
        try:
            with change(network) as made:
                yield made
        finally:
            self.whole = before
            if compiled is not None:
                network.forward = compiled

    def load(self) -> None:
        """Load network and codec. Raises SyncbenchError where one cannot be loaded."""
        self.network.load()
        _ = self.codec.module

    def ready(self) -> None:
        """Load every part, and run the model on a small picture unless it needs conditions that only data sets have.

        Raises SyncbenchError where a part cannot be loaded, the parts do not fit each other, or answer NaN.
        """
        self.load()
        for conditioner in self.made.conditioners:
            load_networks(conditioner)
        if self.needs or self.network.always:
            return
        side, kept = min(TRIAL, self.window // self.factor), self.cost
        x = torch.randn(1, self.channels, side, side, generator=torch.Generator().manual_seed(0))
        grey = torch.full((1, 3, side * self.factor, side * self.factor), 0.5)
        inputs: dict[str, Any] = {"image": grey} if "image" in self.capabilities else {}
        level, self.cost = next(iter(self.schedule(1))), Cost()
        try:
            with torch.no_grad():
                condition = self.condition(["a picture"], 2.0, **inputs)
                x0, _ = self.predict(x.to(self.device, self.dtype), level, condition)
                image = self.decode(x0)
        except SyncbenchError:
            raise
        except Exception as error:  # what does not fit shows as almost any type
            raise SyncbenchError(
                f"the parts of model {self.name} do not fit each other ({type(error).__name__}: {first_line(error)})"
            ) from error
        finally:
            self.cost = kept
        for what, found in (("network", x0), ("codec", image)):
            if not bool(torch.isfinite(found).all()):
                raise SyncbenchError(
                    f"the {what} of model {self.name} answers NaN or infinite values: its weights are damaged, or too "
                    f"large for {str(self.precision).removeprefix('torch.')} (try --set model.dtype=float32)"
                )

    def _predict(self, x: Tensor, level: Level, condition: Condition) -> tuple[Tensor, Tensor]:
        passes = condition.passes
        rows = {name: torch.cat([one[name] for one in passes]) for name in passes[0]}
        call = Call(level, len(passes), len(x), condition.together)
        with self.calling(call):
            output = self.network(torch.cat([x] * len(passes)), call, rows).to(self.dtype)
        outputs = output[:, : x.shape[1]].chunk(len(passes))  # a learned variance stands behind the prediction
        combined = self.made.guidance.combine(outputs, condition.guidance, condition.together)
        return level.split(x, combined, self.made.levels.prediction)
