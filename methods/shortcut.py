"""Shortcut: perfectly consistent and worthless, made of the item's own pictures without a model.

No paper. `blur` smooths the views beyond recognition, `constant` paints them in their mean colour, `frozen` shows the
first one everywhere. `source` hands back what was given: the clip that was to be edited, or the photograph as its own
albedo under white light. A table in which one of them leads shows that its quality guards are missing. `trap` makes the
first two of samples of a model.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from ..bench.limits import Fraction
from ..bench.models.interface import Model
from ..bench.sampling.loop import Method
from ..bench.surfaces.light import linear_to_srgb
from ..bench.surfaces.shared import SHADING_MAX
from ..bench.types import Anchor, Artifact, Door, Item, SyncbenchError
from ._source import NONE, as_artifact, shows_pictures, source_views


@dataclass(frozen=True, kw_only=True)
class Shortcut(Method):
    """The item's own pictures with their content taken away, or handed back as they are."""

    version: ClassVar[int] = 1
    door: ClassVar[Door] = "as_published"
    anchor: ClassVar[Anchor | None] = "trap"
    runs_model: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "blur": {"kind": "blur"},
        "constant": {"kind": "constant"},
        "frozen": {"kind": "frozen"},
        "source": {"kind": "source"},
    }

    kind: Literal["blur", "constant", "frozen", "source"] = "blur"
    sigma: Fraction = 0.125
    """Standard deviation of the blur as a fraction of the smaller side of a view."""

    def lacks(self, item: Item) -> str | None:
        """A reason where the item has no such pictures, or where they are its ceiling already."""
        if self.kind == "source" and not handed_back(item):
            return "what was given is no answer of this item's form, or is its ceiling already"
        if self.kind == "frozen" and item.family != "frames":
            return "only a clip can be frozen"
        return None if self.kind == "source" or shows_pictures(item) else NONE

    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        """The pictures as an artifact, equal for every seed. Raises SyncbenchError where the item has none."""
        views = _given(item) if self.kind == "source" else source_views(item)
        if views is None:
            raise SyncbenchError(NONE)
        return as_artifact(self.degrade(views, item.surface.window), item)

    def degrade(self, views: Float[Tensor, "n 3 h w"], window: tuple[int, int]) -> Float[Tensor, "n 3 h w"]:
        """The views after what `kind` does to them; the blur is in proportion to `window` (height, width)."""
        if self.kind == "constant":
            return views.mean((0, 2, 3), keepdim=True).expand_as(views).clone()
        if self.kind == "frozen":
            return views[:1].expand_as(views).clone()
        if self.kind == "source":
            return views
        sigma = self.sigma * min(window)
        # The blur mirrors at the edges, which bounds the kernel's radius by the image's size. Rows and columns come one
        # after the other, because a square kernel of hundreds of pixels takes minutes.
        across, down = (2 * min(round(3 * sigma), side - 1) + 1 for side in (views.shape[3], views.shape[2]))
        return gaussian_blur(gaussian_blur(views, [across, 1], [sigma, sigma]), [1, down], [sigma, sigma])


def handed_back(item: Item) -> bool:
    """Whether what was given has the form of an answer, and is not the item's ceiling (`source`) already."""
    if item.family == "channels":
        return "image" in item.conditions and "albedo" in getattr(item.surface, "names", ())
    return item.family == "frames" and "video" in item.conditions and "views" in item.truth


def _given(item: Item) -> Float[Tensor, "n 3 h w"] | None:
    """What the item gives in the form of an answer: its clip, or its photograph as an albedo under white light."""
    names: tuple[str, ...] = getattr(item.surface, "names", ())
    if item.family != "channels" or "image" not in item.conditions or "albedo" not in names:
        return item.conditions["video"].float().cpu() if "video" in item.conditions else source_views(item)
    photo = item.conditions["image"].float().cpu()[0]
    white = linear_to_srgb(torch.tensor(1 / SHADING_MAX)).expand_as(photo)
    facing = torch.tensor([0.5, 0.5, 0.0])[:, None, None].expand_as(photo)  # towards the camera, whose z is forward
    flat = {"albedo": photo, "shading": white, "normal": facing}
    return torch.stack([flat.get(name, torch.zeros_like(photo)) for name in names]).contiguous()
