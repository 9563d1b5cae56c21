"""Controlled damage to true scenes, which metrics must notice and must not reward.

Every corruption is a function of pictures and a strength, on a ladder of strengths from hardly visible to gross.
Designs follow SysCON3D and the ladders of content-debiased FVD; strengths are ours. A wide picture is damaged window by
window, with the windows side by side, so that windows differ from each other as views do.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from math import radians
from typing import Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur, pil_to_tensor, to_pil_image

from ..canvas import Canvas
from ..sampling.loop import canvas_artifact
from ..types import FAMILIES, Artifact, Family, Item

FUSED = 0.5
"""Step between windows that overlap, as a fraction of a window."""
Kind = Literal["consistency", "quality", "text", "detail", "nothing"]


@dataclass(frozen=True, kw_only=True)
class TrueScene:
    """A true scene, and what else a corruption may use."""

    item: Item
    views: Tensor
    """The true views (n, 3, h, w) in [0, 1]."""
    others: tuple[Item, ...]
    """Other items that have a truth."""
    random: torch.Generator

    def signs(self, *shape: int) -> Tensor:
        """Random numbers -1 and 1 of the shape (n, *shape), for n views."""
        draw = torch.randint(0, 2, (len(self.views), *shape), generator=self.random)
        return draw.float() * 2 - 1


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """One kind of damage and its ladder."""

    id: str
    breaks: Kind
    """What the damage takes from a scene. `nothing`: it changes the file alone, and a metric should hardly notice.
    `detail`: it changes fine detail alone, which metrics of quality may measure, so that theirs is reported and not
    judged."""
    ladder: tuple[float, ...]
    unit: str
    apply: Callable[[TrueScene, float], Tensor]
    """Function from a scene and a strength to damaged views (n, 3, h, w)."""
    families: tuple[Family, ...] = tuple(FAMILIES)
    whole: bool = False
    """Whether a wide picture is damaged in one piece instead of window by window."""

    def __call__(
        self, item: Item, others: tuple[Item, ...], strength: float, seed: int, fused: bool = False
    ) -> Artifact:
        """The truth of `item`, damaged; a pure function of its arguments. For `fused` see `from_views`."""
        random = torch.Generator().manual_seed(seed)
        scene = TrueScene(item=item, views=true_views(item, self.whole, fused), others=others, random=random)
        return from_views(self.apply(scene, strength).clamp(0, 1), item, self.whole, fused)


def true_views(item: Item, whole: bool = False, fused: bool = False) -> Tensor:
    """The truth of an item as views (n, 3, h, w): true views, or windows of the true picture.

    Windows lie side by side, or overlap by half if `fused`; with `whole` the picture is one view.
    """
    if "canvas" not in item.truth:
        return item.truth["views"]
    canvas = item.truth["canvas"]
    return canvas[None] if whole else _layout(item, fused).look(canvas)


def from_views(views: Tensor, item: Item, whole: bool = False, fused: bool = False) -> Artifact:
    """The artifact of views that were laid out by `true_views` with these options.

    With `fused` it is like that of a method that fuses views: windows that overlap by half are averaged, and the
    artifact has their borders and the disagreement of the views before.
    """
    picture = item.surface.picture
    if not fused:
        if not picture:
            return Artifact(views=views)
        return canvas_artifact(views[0] if whole else _layout(item, fused).paint(views), item)
    canvas = _layout(item, fused)
    parts = canvas.look(views[0]) if whole and picture else views
    artifact = canvas_artifact(canvas.paint(parts), item) if picture else Artifact(views=views)
    spread = canvas.spread(parts)
    if spread is not None:
        artifact.extras["disagreement"] = torch.tensor([spread])
    artifact.notes["borders"] = list(canvas.borders)
    return artifact


def _layout(item: Item, fused: bool) -> Canvas:
    """The item's canvas with one pixel to a cell; its windows overlap by half if `fused`."""
    return item.surface.canvas(1, FUSED if fused and item.surface.picture else None)


def _colour(scene: TrueScene, s: float) -> Tensor:
    return scene.views * (1 + s * scene.signs(3, 1, 1))


def _flicker(scene: TrueScene, s: float) -> Tensor:
    time = torch.arange(len(scene.views)).view(-1, 1, 1, 1)
    return scene.views * (1 + s * (1 - 2 * (time % 2)))


def _shift(scene: TrueScene, s: float) -> Tensor:
    """Each view moves left or right by s pixels; windows of a wide picture move up or down, to keep contents apart."""
    along = 1 if scene.item.surface.picture else 2
    moved = [torch.roll(view, int(s) * int(sign), along) for view, sign in zip(scene.views, scene.signs(), strict=True)]
    return torch.stack(moved)


def _rotate(scene: TrueScene, s: float) -> Tensor:
    angle = scene.signs() * radians(s)
    row, nothing = torch.stack([angle.cos(), -angle.sin()], 1), torch.zeros(len(angle), 2, 1)
    other = torch.stack([angle.sin(), angle.cos()], 1)
    grid = F.affine_grid(
        torch.cat([torch.stack([row, other], 1), nothing], 2), list(scene.views.shape), align_corners=False
    )
    return F.grid_sample(scene.views, grid, padding_mode="border", align_corners=False)


def _outlier(scene: TrueScene, s: float) -> Tensor:
    """A share s of the views is replaced by views of other scenes; at 1 no two views belong together."""
    views, count = scene.views.clone(), max(1, round(s * len(scene.views)))
    chosen = torch.randperm(len(views), generator=scene.random)[:count].tolist()
    strangers = [one for other in scene.others if (one := true_views(other)).shape == views.shape]
    for number, at in enumerate(chosen):
        if strangers:
            views[at] = strangers[number % len(strangers)][at]
    return views


def _exchange(scene: TrueScene, s: float) -> Tensor:
    """A share s of the views exchanges places."""
    views, count = scene.views.clone(), max(2, round(s * len(scene.views)))
    chosen = torch.randperm(len(views), generator=scene.random)[:count]
    views[chosen] = scene.views[chosen.roll(1)]
    return views


def _mixture(scene: TrueScene, s: float) -> Tensor:
    """Every view is blended with that of another scene, with opacity s."""
    strangers = [one for other in scene.others if (one := true_views(other)).shape == scene.views.shape]
    if not strangers:
        return scene.views
    through = torch.stack([strangers[n % len(strangers)][n] for n in range(len(scene.views))])
    return scene.views.lerp(through, s)


def _repeat(scene: TrueScene, s: float) -> Tensor:
    """A share s of the views is replaced by the first view."""
    views, count = scene.views.clone(), max(2, round(s * len(scene.views)))
    views[:count] = scene.views[0]
    return views


def _noise(scene: TrueScene, s: float) -> Tensor:
    return scene.views + s / 255 * torch.randn(scene.views.shape, generator=scene.random)


def _blur(scene: TrueScene, s: float) -> Tensor:
    most = min(scene.views.shape[2:]) - 1
    size = 2 * min(round(3 * s), most) + 1
    return gaussian_blur(scene.views, [size, size], [s, s])


def _collapse(scene: TrueScene, s: float) -> Tensor:
    """All views are blended, with opacity s, with the scene's mean colour."""
    return scene.views.lerp(scene.views.mean((0, 2, 3), keepdim=True), s)


def _unedited(scene: TrueScene, s: float) -> Tensor:
    return scene.views.lerp(scene.item.conditions["video"], s)


def _jpeg(scene: TrueScene, s: float) -> Tensor:
    def coded(view: Tensor) -> Tensor:
        file = BytesIO()
        to_pil_image(view).save(file, "JPEG", quality=int(s), subsampling=0)
        return pil_to_tensor(Image.open(file)).float() / 255

    return torch.stack([coded(view) for view in scene.views])


def _resize(scene: TrueScene, s: float) -> Tensor:
    """Views are enlarged s times and reduced again, as by pipelines that work at another size."""
    high, wide = scene.views.shape[2:]
    large = F.interpolate(scene.views, (round(s * high), round(s * wide)), mode="bicubic", antialias=True)
    return F.interpolate(large.clamp(0, 1), (high, wide), mode="bicubic", antialias=True)


def _half(scene: TrueScene, s: float) -> Tensor:
    return scene.views.half().float()


MOVING: tuple[Family, ...] = ("geometry", "prior", "frames")
CORRUPTIONS = (
    Corruption(id="colour", breaks="consistency", ladder=(0.02, 0.05, 0.1, 0.2, 0.4), unit="gain", apply=_colour),
    Corruption(id="shift", breaks="consistency", ladder=(1, 2, 4, 8, 16), unit="px", apply=_shift),
    Corruption(
        id="rotate", breaks="consistency", ladder=(1, 2, 5, 10, 20), unit="degrees", apply=_rotate, families=MOVING
    ),
    Corruption(
        id="flicker",
        breaks="consistency",
        ladder=(0.02, 0.05, 0.1, 0.2, 0.4),
        unit="gain",
        apply=_flicker,
        families=("frames",),
    ),
    Corruption(
        id="outlier",
        breaks="consistency",
        ladder=(0.125, 0.25, 0.5, 0.75, 1.0),
        unit="share",
        apply=_outlier,
        families=("overlap", *MOVING),  # of three channels a metric looks at one or two: that is no ladder
    ),
    Corruption(id="mixture", breaks="consistency", ladder=(0.05, 0.1, 0.2, 0.35, 0.5), unit="opacity", apply=_mixture),
    Corruption(
        id="exchange",
        breaks="consistency",
        ladder=(0.25, 0.5, 0.75, 1.0),
        unit="share",
        apply=_exchange,
        families=MOVING,
    ),
    Corruption(id="noise", breaks="quality", ladder=(2, 5, 10, 20, 40), unit="levels", apply=_noise, whole=True),
    Corruption(id="blur", breaks="quality", ladder=(0.5, 1, 2, 4, 8), unit="px", apply=_blur, whole=True),
    Corruption(
        id="collapse", breaks="quality", ladder=(0.2, 0.4, 0.6, 0.8, 0.95), unit="share", apply=_collapse, whole=True
    ),
    Corruption(
        id="repeat",
        breaks="quality",
        ladder=(0.25, 0.5, 0.75, 1.0),
        unit="share",
        apply=_repeat,
        families=("overlap", *MOVING),
    ),
    Corruption(
        id="unedited",
        breaks="text",
        ladder=(0.2, 0.4, 0.6, 0.8, 1.0),
        unit="share",
        apply=_unedited,
        families=("frames",),
    ),
    Corruption(id="jpeg", breaks="nothing", ladder=(95,), unit="quality", apply=_jpeg, whole=True),
    Corruption(id="resize", breaks="detail", ladder=(2,), unit="times", apply=_resize, whole=True),
    Corruption(id="half", breaks="nothing", ladder=(16,), unit="bits", apply=_half, whole=True),
)


def corruption(id: str) -> Corruption:
    """The corruption of that name."""
    return next(one for one in CORRUPTIONS if one.id == id)


def corruptions_of(family: Family) -> tuple[Corruption, ...]:
    """The corruptions that apply to a family."""
    return tuple(one for one in CORRUPTIONS if family in one.families)


def shortened(one: Corruption, levels: int) -> Corruption:
    """The corruption with at most `levels` strengths of its ladder, the first and the last among them."""
    n = len(one.ladder)
    if n <= levels:
        return one
    kept = sorted({round(i * (n - 1) / (levels - 1)) for i in range(levels)})
    return replace(one, ladder=tuple(one.ladder[i] for i in kept))
