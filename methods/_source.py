"""The pictures that an item itself shows, from which anchors are made without a model."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..bench.sampling.loop import views_artifact
from ..bench.types import Artifact, Item

NONE = "the item has no pictures of its own: no true picture, no clip, and no surface points to colour"
WAVES = 24
"""Number of plane waves of each colour channel of a solid texture."""


def true_views(item: Item) -> Float[Tensor, "n 3 h w"] | None:
    """The item's true views as its surface lays them out; None where no true picture is known."""
    if "canvas" in item.truth and item.surface.picture:
        return item.surface.canvas().look(item.truth["canvas"].float().cpu())
    return item.truth["views"].float().cpu() if "views" in item.truth else None


def source_views(item: Item) -> Float[Tensor, "n 3 h w"] | None:
    """The item's true views, else its source clip, else a solid texture on its known surface; None without any.

    A solid texture (Peachey 1985) is a function of the surface point alone, so that all cameras see one object.
    """
    views = true_views(item)
    if views is not None:
        return views
    video = item.conditions.get("video") if item.family == "frames" else None
    if video is not None and video.ndim == 4 and tuple(video.shape[2:]) == item.surface.window:
        return video.float().cpu().clamp(0, 1)
    if item.family in ("geometry", "prior") and {"position", "mask"} <= set(item.truth):
        return _solid(item.truth["position"].double(), item.truth["mask"]).float()
    return None


def shows_pictures(item: Item) -> bool:
    """Whether `source_views` has an answer, without making tensors that are made on first access."""
    if "views" in item.truth or ("canvas" in item.truth and item.surface.picture):
        return True
    if item.family == "frames" and "video" in item.conditions:
        return True
    return item.family in ("geometry", "prior") and {"position", "mask"} <= set(item.truth)


def as_artifact(views: Float[Tensor, "n 3 h w"], item: Item) -> Artifact:
    """The views as an artifact; on a picture they are pasted side by side into it."""
    return views_artifact(views, item, item.surface.canvas()) if item.surface.picture else Artifact(views=views)


def _solid(position: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Smooth colours at the points that the views show (in world units, objects are about 1.2 across), on white."""
    generator = torch.Generator().manual_seed(0)
    wave = torch.randn(3, WAVES, 3, generator=generator, dtype=torch.float64)
    wave = 6 * wave * (1 + 3 * torch.rand(3, WAVES, 1, generator=generator, dtype=torch.float64))
    phase = 2 * torch.pi * torch.rand(3, WAVES, generator=generator, dtype=torch.float64)
    angle = torch.einsum("ckd,ndhw->nckhw", wave, position) + phase[None, :, :, None, None]
    colour = (0.5 + angle.sin().sum(2) * (0.5 / WAVES**0.5)).clamp(0, 1)
    return torch.where(mask > 0.5, colour, torch.ones((), dtype=torch.float64))
