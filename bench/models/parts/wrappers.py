"""Networks that hold another and ask it: with hints, over views, beside pictures, as tiles, in stacked channels."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import SyncbenchError
from ..interface import Call
from .conditioners import Rows
from .joint import decoupled, joint, referring
from .mv_adapter import Branches
from .network import Couples, Network
from .schedule import Prediction
from .t2i import Features
from .weights import Weights


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
            check_size(control.name, hint.shape[-2:], x, self.factor)
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
class Decoupled(Wrapper):
    """Beside every self-attention another one, added to it: together, along each row of pixels of all views of a pass.

    Else along the rows of each view alone. The other layers, `branches`, are those of MV-Adapter.
    """

    branches: Branches

    @property
    def couples(self) -> Couples | None:
        """Rows of pixels of views."""
        return "rows"

    def load(self) -> None:
        """Load the network and the layers beside it."""
        self.inner.load()
        _ = self.branches.module

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's answer."""
        views, size = call.views if call.together else 1, (x.shape[-2], x.shape[-1])
        with decoupled(self.module(call.together), self.branches.layers, views, size):
            return self.inner(x, call, rows, **more)


@dataclass(frozen=True)
class Adapted(Wrapper):
    """T2I-Adapters beside a UNet, whose features are added inside its blocks. Absent hints add none."""

    adapters: tuple[Features, ...] = ()
    factor: int = 8
    """Pixels to a latent cell."""

    def load(self) -> None:
        """Load all."""
        self.inner.load()
        for one in self.adapters:
            _ = one.adapter.module

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's answer to picture and hints."""
        total: list[Tensor] = []
        for one in self.adapters:
            features = one.read(rows)
            if not features:
                continue
            check_size(one.name, [side * one.downscale for side in features[0].shape[-2:]], x, self.factor)
            total = [a + b for a, b in zip(total, features, strict=True)] if total else features
        if total:
            more |= {"down_intrablock_additional_residuals": total}
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


def check_size(name: str, seen: Sequence[int], x: Tensor, factor: int) -> None:
    """Refuse a hint of other pixels than the view of latents `x`. Raises SyncbenchError."""
    wanted = [side * factor for side in x.shape[-2:]]
    if list(seen) != wanted:
        raise SyncbenchError(
            f"condition `{name}` has {seen[0]}x{seen[1]} pixels, and the view that it belongs to has "
            f"{wanted[0]}x{wanted[1]}: give the dataset the same size for both"
        )


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
