"""Conditioners of pictures: latents, hints, depth, masks, thumbnails."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import SyncbenchError
from .conditioners import Request, Rows, Silent, needed


@dataclass(frozen=True)
class Picture:
    """A picture's latent, under the name `out`: one for each view, or one for `per` consecutive views."""

    name: str = "image"
    out: str = "image"
    raw: bool = False
    """Whether the latent is the encoder's own mean, neither shifted nor scaled."""
    absent: Literal["same", "zeros", "grey"] = "same"
    """What takes its place in passes that drop it: itself, a latent of zeros, or the latent of a grey picture."""
    missing: Literal["refused", "nothing"] = "refused"
    """For an item without the condition: a SyncbenchError, or no row."""
    per: int | None = 1
    """Number of consecutive views that share a picture; None: all views have the first picture."""
    scale: float | tuple[float, ...] = 1.0
    """A factor on the latent: one number, or one for each channel."""
    prepared: Callable[[Tensor], Tensor] | None = None
    """A function of pictures (n, 3, h, w) in [0, 1] that comes before coding, e.g. from sRGB to linear light."""
    size: int = 0
    """Pixels along the short side after resizing, of which the middle square is kept; 0: the picture as it is."""

    @property
    def takes(self) -> frozenset[str]:
        """The name of the condition."""
        return frozenset({self.name})

    @property
    def needs(self) -> frozenset[str]:
        """The condition's name, unless it may be missing."""
        return self.takes if self.missing == "refused" else frozenset()

    @property
    def offers(self) -> frozenset[str]:
        """No other capability."""
        return frozenset()

    @property
    def group(self) -> str:
        """`image`; empty where `absent` is `same`, so that passes do not differ."""
        return "" if self.absent == "same" else "image"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The latent of each view. Raises SyncbenchError if the condition is missing and `missing` is `refused`."""
        found = needed(request, self.name) if self.missing == "refused" else request.inputs.get(self.name)
        if found is None:
            return {}, {}
        per = request.views if self.per is None else self.per
        found = squared(found, self.size) if self.size else found
        kept = found[::per]
        kept = kept if self.prepared is None else self.prepared(kept)
        rows = self._code(kept, request).repeat_interleave(per, 0)[: request.views]
        if self.absent == "grey" and request.guided:
            grey = self._code(torch.full_like(found[:1], 0.5), request)
            return {self.out: rows}, {self.out: grey.expand_as(rows)}
        return {self.out: rows}, {self.out: rows if self.absent == "same" else torch.zeros_like(rows)}

    def _code(self, images: Tensor, request: Request) -> Tensor:
        scale = torch.tensor(self.scale, dtype=images.dtype, device=images.device)
        return request.code(images, self.raw) * scale.view(-1, *[1] * (2 * scale.ndim))


@dataclass(frozen=True)
class Hint(Silent):
    """A condition of 1 or 3 channels that is an input as it is, repeated to `channels` channels; no row if missing."""

    name: str = "depth"
    channels: int = 3
    out: str = ""
    needed: bool = False
    """Whether an item must have it."""

    @property
    def takes(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The name of the condition."""
        return frozenset({self.name})

    @property
    def needs(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The condition's name, if an item must have it."""
        return self.takes if self.needed else frozenset()

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The hint, given and dropped alike. Raises SyncbenchError if it is missing but needed, or of bad channels."""
        if self.name not in request.inputs and not self.needed:
            return {}, {}
        found = needed(request, self.name)
        if found.shape[1] not in (1, self.channels):
            raise SyncbenchError(
                f"condition `{self.name}` has {found.shape[1]} channels, and the model reads {self.channels}"
            )
        rows = found.expand(-1, self.channels, -1, -1) if found.shape[1] == 1 else found
        named = {self.out or self.name: rows}
        return named, named


@dataclass(frozen=True)
class Inverse(Silent):
    """Condition `depth`, normalised inverse depth (N, 1, H, W), as a latent channel in [-1, 1]: 1 nearest, -1 farthest.

    Stable Diffusion 2 with depth reads it so. Each view is stretched to this range by itself, as in every published
    use, or all views alike, which keeps equal depths equal between views.
    """

    factor: int
    """Pixels along a side of a latent cell."""
    normalise: Literal["per_view", "shared"] = "per_view"
    out: str = "depth"
    takes: frozenset[str] = frozenset({"depth"})
    needs: frozenset[str] = frozenset({"depth"})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The latent channel, given and dropped alike. Raises SyncbenchError for missing or constant depth."""
        found = needed(request, "depth")
        size = tuple(side // self.factor for side in found.shape[-2:])
        small = F.interpolate(found, size=size, mode="bicubic", align_corners=False)
        over = (1, 2, 3) if self.normalise == "per_view" else (0, 1, 2, 3)
        low, high = small.amin(over, keepdim=True), small.amax(over, keepdim=True)
        flat = (found.amax((1, 2, 3)) == found.amin((1, 2, 3))) if self.normalise == "per_view" else high == low
        if bool(flat.any()):
            which = f"view {int(flat.flatten().nonzero()[0])}" if self.normalise == "per_view" else "all views"
            raise SyncbenchError(
                f"condition `depth` is the same everywhere in {which}, which cannot be stretched to [-1, 1]: show the "
                "object in every view, or set model.normalise=shared"
            )
        rows = {self.out: 2 * (small - low) / (high - low) - 1}
        return rows, rows


@dataclass(frozen=True)
class Masked(Silent):
    """Conditions `mask` (1: paint) and `image`: a mask of the latent's size, and the latent of the rest on grey."""

    factor: int
    """Pixels along a side of a latent cell."""
    takes: frozenset[str] = frozenset({"image", "mask"})
    needs: frozenset[str] = frozenset({"image", "mask"})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """Rows `mask` and `masked`, given and dropped alike. Raises SyncbenchError for a mask of another size."""
        image, mask = needed(request, "image"), (needed(request, "mask") >= 0.5).to(request.inputs["image"])
        if mask.shape[-2:] != image.shape[-2:] or mask.shape[1] != 1:
            raise SyncbenchError(
                f"condition `mask` is {tuple(mask.shape[1:])}: one channel of the size of `image`, "
                f"{tuple(image.shape[-2:])}, is read"
            )
        rest = request.code(0.5 + (image - 0.5) * (1 - mask), False)
        size = tuple(side // self.factor for side in mask.shape[-2:])
        rows = {"mask": F.interpolate(mask, size=size), "masked": rest}
        return rows, rows


@dataclass(frozen=True)
class Thumbnail(Silent):
    """A picture in [-1, 1] shrunk to the latent's size (bilinear, antialiased), not encoded.

    Passes that drop it have zeros. For an item without it there is no row.
    """

    name: str
    out: str
    factor: int = 8
    """Pixels along a side of a latent cell."""
    prepared: Callable[[Tensor], Tensor] | None = None
    """A function of pictures (n, 3, h, w) in [0, 1] that comes before the shrinking, e.g. from sRGB to linear light."""
    group: str = "image"

    @property
    def takes(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The name of the condition."""
        return frozenset({self.name})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The shrunk pictures (views, c, h, w), and zeros for passes that drop them."""
        found = request.inputs.get(self.name)
        if found is None:
            return {}, {}
        size = [side // self.factor for side in found.shape[-2:]]
        shown = 2 * (found if self.prepared is None else self.prepared(found)) - 1
        rows = F.interpolate(shown, size, mode="bilinear", align_corners=False, antialias=True)
        return {self.out: rows}, {self.out: torch.zeros_like(rows)}


def squared(images: Tensor, size: int) -> Tensor:
    """The middle (n, c, size, size) of pictures (n, c, H, W) resized to `size` pixels along the short side."""
    height, width = images.shape[-2:]
    scale = size / min(height, width)
    new = max(size, round(height * scale)), max(size, round(width * scale))
    if new != (height, width):
        images = torch.nn.functional.interpolate(images, new, mode="bilinear", antialias=True, align_corners=False)
    top, left = (new[0] - size) // 2, (new[1] - size) // 2
    return images[..., top : top + size, left : left + size]
