"""Wrappers of networks, which add hints, join views, or rearrange pictures, tiles and channels."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import SyncbenchError
from ..interface import Call
from .conditioners import Rows
from .joint import joint, referring
from .network import Couples, Network
from .schedule import Prediction
from .weights import Loadable


@dataclass(frozen=True)
class Wrapper:
    """A network that changes the inputs or outputs of another, its inner network; this base changes nothing."""

    inner: Network

    @property
    def couples(self) -> Couples | None:
        """The kind of views that the inner network can denoise together."""
        return self.inner.couples

    @property
    def always(self) -> bool:
        """Whether the inner network denoises views together in every call."""
        return self.inner.always

    @property
    def config(self) -> Mapping[str, Any]:
        """The inner network's configuration."""
        return self.inner.config

    def module(self, together: bool = False) -> nn.Module:
        """The inner network's module with the attention layers that methods may hook."""
        return self.inner.module(together)

    def load(self) -> None:
        """Load the inner network, if it is not loaded yet."""
        self.inner.load()

    def inputs(self, x: Tensor, rows: Rows) -> dict[str, Any]:
        """Arguments that the inner network reads beside picture and time."""
        inner: Any = self.inner
        return inner.inputs(x, rows)

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's raw output, one row per row of `x`."""
        return self.inner(x, call, rows, **more)


@dataclass(frozen=True)
class Control:
    """One ControlNet: its weights, the name of the row that it reads, and the factor on its residuals."""

    weights: Loadable
    name: str = "depth"
    scale: float = 1.0
    downscale: int = 1
    """Pixels along a side of a cell of the row: 1 for a picture, more for features."""


@dataclass(frozen=True)
class Controlled(Wrapper):
    """A UNet with ControlNets, which add residuals (Zhang et al. 2023, arXiv 2302.05543); missing hints add none."""

    controls: tuple[Control, ...] = ()
    factor: int = 8
    """Pixels along a side of a latent cell."""

    def load(self) -> None:
        """Load the inner network and the networks added to it, if they are not loaded yet."""
        self.inner.load()
        for control in self.controls:
            _ = control.weights.module

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's raw output, one row per row of `x`, with the additional features added."""
        total: tuple[list[Tensor], Tensor] | None = None
        for control in self.controls:
            if control.name not in rows:
                continue
            network, hint = control.weights.module, rows[control.name]
            check_size(control.name, [side * control.downscale for side in hint.shape[-2:]], x, self.factor)
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
    """A network whose self-attention spans all views, if denoised together: `B F H W C -> B (F H W) C` (MVDream)."""

    @property
    def couples(self) -> Couples | None:
        """`views`: the views of a scene."""
        return "views"

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's raw output, one row per row of `x`."""
        with joint(self.module(call.together), call.views) if call.together else nullcontext():
            return self.inner(x, call, rows, **more)


@dataclass(frozen=True)
class CrossChannel(Joint):
    """A network whose self-attention spans the channels of a picture, if denoised together (GeoWizard, Wonder3D)."""

    @property
    def couples(self) -> Couples | None:
        """`channels`: views are channels of one picture."""
        return "channels"


@dataclass(frozen=True)
class Referring(Wrapper):
    """A network whose self-attention also reads a reference picture, noised to the same level (Zero123++).

    Reads row `image`, a latent. The published pipeline draws the picture's noise afresh from the global generator; here
    it depends on the step's number alone, so that it is the same for all items, seeds and passes.
    """

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's raw output, one row per row of `x`."""
        level, image = call.level, rows["image"]
        draw = torch.Generator().manual_seed(level.index)
        noise = torch.randn(1, *image.shape[1:], generator=draw).to(image)
        with referring(self.module(call.together)) as state:
            state.store = True
            self.inner(level.a * image + level.b * noise, call, rows, **more)
            state.store = False
            return self.inner(x, call, rows, **more)


@dataclass(frozen=True)
class PictureBeside(Wrapper):
    """A network to which a given picture is one more view, clean in every call, if views are denoised together.

    Reads row `image`, a latent. The picture's camera is zeros, its text that of the views, and what the network says of
    it is dropped (the pixel controller of ImageDream).
    """

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's raw output, one row per row of `x`."""
        rest = {name: value for name, value in rows.items() if name != "image"}
        if not call.together:
            return self.inner(x, call, rest, **more)
        if rows["image"].shape[-2:] != x.shape[-2:]:
            read, asked = ("x".join(map(str, one.shape[-2:])) for one in (rows["image"], x))
            raise SyncbenchError(
                f"the picture is one more view, of {read} latent cells, and the views have {asked}: give condition "
                "`image` the size of the views"
            )

        def beside(views: Tensor, picture: Tensor) -> Tensor:
            parts = views.unflatten(0, (-1, call.views)), picture.unflatten(0, (-1, call.views))[:, :1]
            return torch.cat(parts, 1).flatten(0, 1)

        wide = {name: beside(value, value) for name, value in rest.items()}
        if "class_labels" in rest:
            wide["class_labels"] = beside(rest["class_labels"], torch.zeros_like(rest["class_labels"]))
        whole = replace(call, views=call.views + 1)
        answer = self.inner(beside(x, rows["image"].to(x)), whole, wide, **more)
        return answer.unflatten(0, (-1, whole.views))[:, :-1].flatten(0, 1)


@dataclass(frozen=True)
class Tiled(Wrapper):
    """A network whose views, if denoised together, are tiles of one canvas; other inputs are the first view's."""

    rows: int = 3
    columns: int = 2

    @property
    def couples(self) -> Couples | None:
        """`tiles`: views at fixed poses."""
        return "tiles"

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's raw output, one row per row of `x`."""
        if not call.together:
            return self.inner(x, call, rows, **more)
        tiles = self.rows * self.columns
        one = {name: value[::tiles] for name, value in rows.items()}
        found = self.inner(canvas_of(x, self.rows, self.columns), call, one, **more)
        return tiles_of(found, self.rows, self.columns)


@dataclass(frozen=True)
class Concatenated(Wrapper):
    """A network whose input has channels of other latents before or after those of the noisy one."""

    before: tuple[str, ...] = ()
    """Names of the rows before the noisy latent."""
    after: tuple[str, ...] = ()
    """Names of the rows after the noisy latent."""
    optional: Mapping[str, int] = field(default_factory=dict[str, int])
    """Number of channels of each row that may be missing; a missing row is zeros."""

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's raw output, one row per row of `x`."""

        def part(name: str) -> Tensor:
            if name in rows or name not in self.optional:
                return rows[name]
            return x.new_zeros(len(x), self.optional[name], *x.shape[2:])

        parts = [*map(part, self.before), x, *map(part, self.after)]
        return self.inner(torch.cat(parts, 1), call, rows, **more)


@dataclass(frozen=True)
class Stacked(Wrapper):
    """A network that denoises several channels of one picture, consecutive views, stacked in its input and output.

    Other inputs, such as the picture, are taken from the first view of each picture.
    """

    views: int = 3
    """Number of channels of a picture."""

    @property
    def couples(self) -> Couples | None:
        """`channels`: views are channels of one picture."""
        return "channels"

    @property
    def always(self) -> bool:
        """True: the network has no input for a single channel."""
        return True

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's raw output, one row per row of `x`."""
        n = self.views
        if len(x) % n:
            raise SyncbenchError(f"the model makes {n} views a picture, not {len(x)}")
        first = {name: value[::n] for name, value in rows.items()}
        answer = self.inner(x.unflatten(0, (-1, n)).flatten(1, 2), call, first, **more)
        return answer.unflatten(1, (n, -1)).flatten(0, 1)


@dataclass(frozen=True)
class GivenFirst(Wrapper):
    """Where views are denoised together, the first is given as a clean latent, row `given`, and stays as it is.

    The output for that view is the one whose x0 is the given latent.
    """

    prediction: Prediction = "v"
    name: str = "given"

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's raw output; for the given view, the output whose x0 is the given latent."""
        if not (call.together and self.name in rows):
            return self.inner(x, call, rows, **more)
        first = torch.arange(0, len(x), call.views, device=x.device)
        clean, noisy = rows[self.name][first], x[first]
        answer = self.inner(x.index_copy(0, first, clean), call, rows, **more).to(x.dtype)
        return answer.index_copy(0, first, call.level.output_of(noisy, clean, self.prediction))


def check_size(name: str, seen: Sequence[int], x: Tensor, factor: int) -> None:
    """Raise SyncbenchError for a hint of another size in pixels than the views of latents `x`."""
    wanted = [side * factor for side in x.shape[-2:]]
    if list(seen) != wanted:
        raise SyncbenchError(
            f"condition `{name}` has {seen[0]}x{seen[1]} pixels, and the view that it belongs to has "
            f"{wanted[0]}x{wanted[1]}: give the dataset the same size for both"
        )


def canvas_of(tiles: Tensor, rows: int, columns: int) -> Tensor:
    """Canvases (n, c, rows * h, columns * w) of tiles (n * rows * columns, c, h, w), row by row."""
    _, c, h, w = tiles.shape
    found = tiles.reshape(-1, rows, columns, c, h, w).permute(0, 3, 1, 4, 2, 5)
    return found.reshape(-1, c, rows * h, columns * w)


def tiles_of(canvas: Tensor, rows: int, columns: int) -> Tensor:
    """Tiles (n * rows * columns, c, h, w) of canvases, row by row; the inverse of `canvas_of`."""
    n, c, height, width = canvas.shape
    h, w = height // rows, width // columns
    return canvas.reshape(n, c, rows, h, columns, w).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, h, w)
