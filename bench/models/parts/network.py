"""Denoising networks: one call of one, its inputs by name, and the wrappers that hold another network.

A network answers for rows (passes * views, c, h, w), every pass holding all views of the call in order.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from ...errors import SyncbenchError
from ..interface import Call
from .conditioners import Rows
from .hollow import building
from .joint import joint, referring
from .library import library_class, quiet
from .schedule import Prediction
from .weights import Loadable, Weights, first_line

Couples = Literal["views", "frames", "channels", "tiles"]
"""What a network denoises together."""
OFFERS: dict[Couples, frozenset[str]] = {
    "views": frozenset({"joint"}),
    "frames": frozenset({"joint", "time"}),
    "channels": frozenset({"joint", "channels"}),
    "tiles": frozenset({"joint", "poses"}),
}
"""Capabilities that follow from it; see `Model.capabilities`."""


class Network(Protocol):
    """A denoising network."""

    @property
    def couples(self) -> Couples | None:
        """What it denoises together, if anything."""
        ...

    @property
    def always(self) -> bool:
        """Whether it does so in any case, not only where a call says so."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """The innermost network's configuration."""
        ...

    def module(self, together: bool = False) -> nn.Module:
        """The network whose attention layers a method may hook, in such calls."""
        ...

    def load(self) -> None:
        """Load whatever is not loaded yet."""
        ...

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """Raw output, one row per row of `x`; `more` are arguments of the innermost network."""
        ...


@dataclass(frozen=True)
class UNet:
    """A `UNet2DConditionModel`: Stable Diffusion 1.x, 2.x, XL, and whatever was made of them.

    Reads rows `text`; `class_labels`; `pooled` (XL's, with the size of the view itself, uncropped).
    """

    weights: Loadable
    factor: int = 8
    """Pixels to a latent cell, which XL is told sizes in."""
    couples: Couples | None = None
    always: bool = False

    @property
    def config(self) -> Mapping[str, Any]:
        """Its configuration."""
        return self.weights.config

    def module(self, together: bool = False) -> Any:
        """The network."""
        return self.weights.module

    def load(self) -> None:
        """Load it."""
        _ = self.weights.module

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """Raw output."""
        unet = self.module()
        return unet(x.to(unet.dtype), call.level.t, **self.inputs(x, rows), **cast(more, unet.dtype)).sample

    def inputs(self, x: Tensor, rows: Rows) -> dict[str, Any]:
        """What the network and a ControlNet of it read beside picture and time."""
        dtype = self.module().dtype
        found: dict[str, Any] = {"encoder_hidden_states": rows["text"].to(dtype)}
        if "class_labels" in rows:
            found["class_labels"] = rows["class_labels"].to(dtype)
        if "pooled" in rows:
            height, width = (side * self.factor for side in x.shape[-2:])
            sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=x.dtype, device=x.device)
            found["added_cond_kwargs"] = {
                "text_embeds": rows["pooled"].to(dtype),
                "time_ids": sizes.expand(len(x), -1),
            }
        return found


@dataclass(frozen=True)
class MotionUNet:
    """A `UNet2DConditionModel` with temporal layers beside it (AnimateDiff): used as they are only where together."""

    image: UNet
    adapter: Weights
    couples: Couples | None = "frames"
    always: bool = False

    @property
    def config(self) -> Mapping[str, Any]:
        """The picture network's configuration."""
        return self.image.config

    @cached_property
    def clip(self) -> Any:
        """The network of whole clips: the picture network's layers and the temporal ones."""
        plain, adapter = self.image.module(), self.adapter.module
        with quiet(), building(plain.device):
            try:
                made = library_class("diffusers", "UNetMotionModel").from_unet2d(plain, adapter)
            except ValueError as error:
                raise SyncbenchError(
                    f"the motion adapter was made for another network: {first_line(error)}; take one of its family"
                ) from error
            # diffusers leaves some of the picture network's layers (XL's `add_embedding`) as they were drawn at random
            made.load_state_dict(plain.state_dict(), strict=False)
            return made.eval().requires_grad_(False).to(device=plain.device, dtype=plain.dtype)

    @property
    def frames(self) -> int:
        """The longest clip it was trained for."""
        return int(self.adapter.config.get("motion_max_seq_length", 32))

    def module(self, together: bool = False) -> Any:
        """The picture network, or that of clips."""
        return self.clip if together else self.image.module()

    def load(self) -> None:
        """Load both."""
        _ = self.clip

    def inputs(self, x: Tensor, rows: Rows) -> dict[str, Any]:
        """What the network and a ControlNet of it read beside picture and time."""
        return self.image.inputs(x, rows)

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """Raw output; together, the views of a call are frames in order."""
        if not call.together:
            return self.image(x, call, rows, **more)
        clip = self.clip
        frames = x.to(clip.dtype).unflatten(0, (-1, call.views)).transpose(1, 2)
        given = self.image.inputs(x, rows)
        if "added_cond_kwargs" in given:  # XL's network repeats these for every frame, but not the text
            given["added_cond_kwargs"] = {k: v[:: call.views] for k, v in given["added_cond_kwargs"].items()}
        found = clip(frames, call.level.t, **given, **cast(more, clip.dtype)).sample
        return found.transpose(1, 2).flatten(0, 1)


@dataclass(frozen=True)
class Wrapper:
    """A network that holds another and asks it."""

    inner: Network

    @property
    def couples(self) -> Couples | None:
        """The inner network's."""
        return self.inner.couples

    @property
    def always(self) -> bool:
        """The inner network's."""
        return self.inner.always

    @property
    def config(self) -> Mapping[str, Any]:
        """The inner network's."""
        return self.inner.config

    def module(self, together: bool = False) -> nn.Module:
        """The inner network's."""
        return self.inner.module(together)

    def load(self) -> None:
        """Load the inner network."""
        self.inner.load()

    def inputs(self, x: Tensor, rows: Rows) -> dict[str, Any]:
        """The inner network's."""
        inner: Any = self.inner
        return inner.inputs(x, rows)

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's answer."""
        return self.inner(x, call, rows, **more)


@dataclass(frozen=True)
class Control:
    """One ControlNet: its weights, the row it reads, and how much it counts."""

    weights: Weights
    name: str = "depth"
    scale: float = 1.0


@dataclass(frozen=True)
class Controlled(Wrapper):
    """ControlNets beside a UNet (Zhang et al. 2023, arXiv 2302.05543), residuals added. Absent hints add none."""

    controls: tuple[Control, ...] = ()
    factor: int = 8
    """Pixels to a latent cell."""

    def load(self) -> None:
        """Load all."""
        self.inner.load()
        for control in self.controls:
            _ = control.weights.module

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's answer to picture and hints."""
        total: tuple[list[Tensor], Tensor] | None = None
        for control in self.controls:
            if control.name not in rows:
                continue
            network, hint = control.weights.module, rows[control.name]
            seen, wanted = tuple(hint.shape[-2:]), tuple(side * self.factor for side in x.shape[-2:])
            if seen != wanted:
                raise SyncbenchError(
                    f"condition `{control.name}` has {seen[0]}x{seen[1]} pixels, and the view that it belongs to "
                    f"has {wanted[0]}x{wanted[1]}: give the dataset the same size for both"
                )
            down, middle = network(
                x.to(network.dtype),
                call.level.t,
                controlnet_cond=hint.to(network.dtype),
                conditioning_scale=control.scale,
                return_dict=False,
                **self.inputs(x, rows),
            )
            if total is None:
                total = list(down), middle
            else:
                total = [a + b for a, b in zip(total[0], down, strict=True)], total[1] + middle
        if total is not None:
            more |= {"down_block_additional_residuals": total[0], "mid_block_additional_residual": total[1]}
        return self.inner(x, call, rows, **more)


@dataclass(frozen=True)
class Joint(Wrapper):
    """Together, every self-attention spans all views of a pass: `B F H W C -> B (F H W) C` (MVDream)."""

    @property
    def couples(self) -> Couples | None:
        """Views."""
        return "views"

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's answer."""
        with joint(self.module(call.together), call.views) if call.together else nullcontext():
            return self.inner(x, call, rows, **more)


@dataclass(frozen=True)
class Referring(Wrapper):
    """Self-attention also sees a reference picture, noised to the same level, through the same network (Zero123++).

    Reads row `image`, a latent. The published pipeline draws the picture's noise afresh from the global generator; this
    one draws it from the step's number, so it is reproducible, and the same for all items, seeds and passes.
    """

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's answer."""
        level, image = call.level, rows["image"]
        draw = torch.Generator().manual_seed(level.index)
        noise = torch.randn(1, *image.shape[1:], generator=draw).to(image)
        with referring(self.module(call.together)) as state:
            state.store = True
            self.inner(level.a * image + level.b * noise, call, rows, **more)
            state.store = False
            return self.inner(x, call, rows, **more)


@dataclass(frozen=True)
class Tiled(Wrapper):
    """Together, views are tiles of one canvas, row by row; other rows are taken from the first view of a pass."""

    rows: int = 3
    columns: int = 2

    @property
    def couples(self) -> Couples | None:
        """Tiles."""
        return "tiles"

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's answer."""
        if not call.together:
            return self.inner(x, call, rows, **more)
        tiles = self.rows * self.columns
        one = {name: value[::tiles] for name, value in rows.items()}
        found = self.inner(canvas_of(x, self.rows, self.columns), call, one, **more)
        return tiles_of(found, self.rows, self.columns)


@dataclass(frozen=True)
class Concatenated(Wrapper):
    """Other latents stand beside the noisy one in the input's channels."""

    before: tuple[str, ...] = ()
    """Rows that come first."""
    after: tuple[str, ...] = ()
    """Rows that come last."""
    optional: Mapping[str, int] = field(default_factory=dict[str, int])
    """Channels of rows that may be missing; zeros stand for them."""

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's answer."""

        def part(name: str) -> Tensor:
            if name in rows or name not in self.optional:
                return rows[name]
            return x.new_zeros(len(x), self.optional[name], *x.shape[2:])

        parts = [*map(part, self.before), x, *map(part, self.after)]
        return self.inner(torch.cat(parts, 1), call, rows, **more)


@dataclass(frozen=True)
class Stacked(Wrapper):
    """Channels of one picture, whose views follow each other, stacked in the input's channels and the output's.

    Rows other than the views' own, such as the picture, are taken from the first view of each picture.
    """

    views: int = 3
    """Channels to a picture."""

    @property
    def couples(self) -> Couples | None:
        """Channels."""
        return "channels"

    @property
    def always(self) -> bool:
        """It knows nothing else."""
        return True

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's answer."""
        n = self.views
        if len(x) % n:
            raise SyncbenchError(f"the model makes {n} views a picture, not {len(x)}")
        first = {name: value[::n] for name, value in rows.items()}
        found = self.inner(x.unflatten(0, (-1, n)).flatten(1, 2), call, first, **more)
        return found.unflatten(1, (n, -1)).flatten(0, 1)


@dataclass(frozen=True)
class GivenFirst(Wrapper):
    """Together, the first view of a pass is given as a latent, row `given`: it enters clean and leaves unchanged.

    Its output is the one that means: this is the clean sample.
    """

    prediction: Prediction = "v"
    name: str = "given"
    _nothing: None = field(default=None, repr=False)

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's answer, but for the given view."""
        if not (call.together and self.name in rows):
            return self.inner(x, call, rows, **more)
        first = torch.arange(0, len(x), call.views, device=x.device)
        clean, noisy = rows[self.name][first], x[first]
        found = self.inner(x.index_copy(0, first, clean), call, rows, **more).to(x.dtype)
        return found.index_copy(0, first, call.level.output_of(noisy, clean, self.prediction))


def canvas_of(tiles: Tensor, rows: int, columns: int) -> Tensor:
    """(n * rows * columns, c, h, w) -> (n, c, rows * h, columns * w), row by row."""
    _, c, h, w = tiles.shape
    found = tiles.reshape(-1, rows, columns, c, h, w).permute(0, 3, 1, 4, 2, 5)
    return found.reshape(-1, c, rows * h, columns * w)


def tiles_of(canvas: Tensor, rows: int, columns: int) -> Tensor:
    """The inverse of `canvas_of`."""
    n, c, height, width = canvas.shape
    h, w = height // rows, width // columns
    return canvas.reshape(n, c, rows, h, columns, w).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, h, w)


def cast(more: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Arguments in the network's precision."""

    def one(value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.to(dtype)
        return [one(part) for part in value] if isinstance(value, list | tuple) else value

    return {name: one(value) for name, value in more.items()}
