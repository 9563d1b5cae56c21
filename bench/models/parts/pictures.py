"""Pictures to what the network reads: latents, hints, depth, masks, thumbnails."""

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
    """The encoder's own mean, neither shifted nor scaled."""
    absent: Literal["same", "zeros", "grey"] = "same"
    """Where guidance drops it: itself, a latent of zeros, or the code of a grey picture."""
    missing: Literal["refused", "nothing", "zeros"] = "refused"
    """Where the item has none: a sentence, no row, or a latent of zeros."""
    per: int | None = 1
    """Views that share a picture; None: all, the first row serves every view."""
    scale: float | tuple[float, ...] = 1.0
    """Another factor on the latent, or one a channel."""
    prepared: Callable[[Tensor], Tensor] | None = None
    """What is done to the picture (n, 3, h, w) in [0, 1] before it is coded, e.g. from sRGB to linear light."""
    shape: tuple[int, ...] = ()
    """Of a latent (c, h, w), for `zeros` of a missing one."""
    size: int = 0
    """Pixels along the short side to which the picture is resized, and the middle square kept; 0: as it is."""

    @property
    def takes(self) -> frozenset[str]:
        """The condition."""
        return frozenset({self.name})

    @property
    def needs(self) -> frozenset[str]:
        """The condition, unless it may be missing."""
        return self.takes if self.missing == "refused" else frozenset()

    @property
    def offers(self) -> frozenset[str]:
        """Nothing else."""
        return frozenset()

    @property
    def group(self) -> str:
        """`image`, where something else stands for its absence."""
        return "" if self.absent == "same" else "image"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The latents. Raises SyncbenchError where a needed condition is missing."""
        found = needed(request, self.name) if self.missing == "refused" else request.inputs.get(self.name)
        if found is None:
            named = {self.out: torch.zeros(request.views, *self.shape)} if self.missing == "zeros" else {}
            return named, named
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
    """A picture-like condition that is passed on as it is, repeated to so many channels. Absent, it is no row."""

    name: str = "depth"
    channels: int = 3
    out: str = ""
    needed: bool = False
    """Whether the model cannot do without it."""

    @property
    def takes(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The condition."""
        return frozenset({self.name})

    @property
    def needs(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The condition, if it is needed."""
        return self.takes if self.needed else frozenset()

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The same in every pass. Raises SyncbenchError for one that is needed and missing, or of other channels."""
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

    Stable Diffusion 2 with depth reads it so. The stretch is each view's own, as in every published use, or one of all
    views, which keeps equal depths equal between them.
    """

    factor: int
    """Pixels to a latent cell."""
    normalise: Literal["per_view", "shared"] = "per_view"
    out: str = "depth"
    takes: frozenset[str] = frozenset({"depth"})
    needs: frozenset[str] = frozenset({"depth"})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The same in every pass. Raises SyncbenchError for no depth, and for depth that is the same everywhere."""
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
    """Conditions `mask`, 1 where to paint, and `image`: the mask at latent size and the latent of the rest, on grey."""

    factor: int
    """Pixels to a latent cell."""
    takes: frozenset[str] = frozenset({"image", "mask"})
    needs: frozenset[str] = frozenset({"image", "mask"})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """Rows `mask` and `masked`, the same in every pass. Raises SyncbenchError for a mask of another size."""
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
    """A picture that is shrunk to the latent's size (bilinear, antialiased) in [-1, 1], and not coded.

    Where guidance drops it, zeros. Absent, it is no row.
    """

    name: str
    out: str
    factor: int = 8
    """Pixels to a latent cell."""
    prepared: Callable[[Tensor], Tensor] | None = None
    """See `Picture`."""
    group: str = "image"

    @property
    def takes(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The condition."""
        return frozenset({self.name})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The pictures (views, c, h, w)."""
        found = request.inputs.get(self.name)
        if found is None:
            return {}, {}
        size = [side // self.factor for side in found.shape[-2:]]
        shown = 2 * (found if self.prepared is None else self.prepared(found)) - 1
        rows = F.interpolate(shown, size, mode="bilinear", align_corners=False, antialias=True)
        return {self.out: rows}, {self.out: torch.zeros_like(rows)}


def squared(images: Tensor, size: int) -> Tensor:
    """Pictures (n, c, H, W) resized until the short side fits, the middle (n, c, size, size) kept."""
    height, width = images.shape[-2:]
    scale = size / min(height, width)
    new = max(size, round(height * scale)), max(size, round(width * scale))
    if new != (height, width):
        images = torch.nn.functional.interpolate(images, new, mode="bilinear", antialias=True, align_corners=False)
    top, left = (new[0] - size) // 2, (new[1] - size) // 2
    return images[..., top : top + size, left : left + size]
