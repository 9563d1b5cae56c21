"""Conditioners of networks that read one picture: its embedding by a vision tower, its latent, and numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor
from torch.nn import functional as F

from ...errors import SyncbenchError
from .conditioners import Request, Rows, Silent
from .texts import Text
from .weights import Loadable

Prepare = Callable[[Tensor], Tensor]
"""A function from pictures (n, 3, H, W) in [0, 1] to the input of a vision tower."""


def given_picture(request: Request, otherwise: str = "") -> Float[Tensor, "1 3 H W"]:
    """Condition `image`, or the first row of condition `otherwise`. Raises SyncbenchError where both are missing."""
    for name in ("image", otherwise):
        if name in request.inputs:
            return request.inputs[name][:1]
    also = f" or `{otherwise}`" if otherwise else ""
    raise SyncbenchError(f"the model needs condition `image`{also}: choose a dataset that has it")


class Begun(Silent):
    """The base of conditioners of a clip's first picture: condition `image`, or the first row of another condition."""

    otherwise: str
    """The condition whose first row is the picture where `image` is missing; empty for none."""
    group: str = "image"

    @property
    def takes(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Names of the condition `image` and, if there is one, of `otherwise`."""
        return frozenset({"image", self.otherwise} - {""})

    @property
    def needs(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The condition `image`, unless `otherwise` may take its place."""
        return frozenset() if self.otherwise else self.takes


@dataclass(frozen=True)
class Vision(Begun):
    """The picture's embedding by a vision tower, as the only token of the network's cross-attention (SVD).

    Passes that drop it have zeros.
    """

    tower: Loadable
    prepare: Prepare
    otherwise: str = ""
    """The condition whose first row is the picture where `image` is missing."""
    out: str = "text"
    """Name of the row."""

    @torch.no_grad()
    def embed(self, image: Float[Tensor, "1 3 H W"]) -> Float[Tensor, "1 d"]:
        """The vision tower's projected embedding of one picture."""
        tower = self.tower.module
        weight = next(tower.parameters())
        shown = torch.zeros(image.shape) if image.is_meta else image  # what prepares pictures needs values
        return tower(self.prepare(shown).to(weight)).image_embeds

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The embedding for each view as one token, the same for all views; and zeros."""
        found = self.embed(given_picture(request, self.otherwise))[:, None].expand(request.views, -1, -1)
        return {self.out: found}, {self.out: torch.zeros_like(found)}


@dataclass(frozen=True)
class Patches(Vision):
    """The picture's tokens by a vision tower, of its last layer but one (IP-Adapter plus).

    Passes that drop it have the tokens of a picture of zeros after the tower's normalisation.
    """

    @torch.no_grad()
    def tokens(self, pixels: Tensor) -> Float[Tensor, "1 tokens d"]:
        """Tokens of the vision tower's last layer but one, for its input `pixels`."""
        tower = self.tower.module
        seen = pixels.to(next(tower.parameters()))
        return tower(seen, output_hidden_states=True).hidden_states[-2]

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The tokens for each view, (views, 1, tokens, d), the same for all views; and those of zeros."""
        pixels = self.prepare(given_picture(request, self.otherwise))
        given, dropped = (
            self.tokens(one)[:, None].expand(request.views, -1, -1, -1) for one in (pixels, torch.zeros_like(pixels))
        )
        return {self.out: given}, {self.out: dropped}


@dataclass(frozen=True)
class Tokens(Patches):
    """The picture's tokens by a vision tower, of its last layer but one (ImageDream).

    Passes that drop it have zeros in their place.
    """

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The tokens for each view, (views, 1, tokens, d), the same for all views; and zeros."""
        found = self.tokens(self.prepare(given_picture(request, self.otherwise)))
        given = found[:, None].expand(request.views, -1, -1, -1)
        return {self.out: given}, {self.out: torch.zeros_like(given)}


@dataclass(frozen=True)
class Ramp(Silent):
    """The empty text, to whose tokens the picture's embedding is added, each with a factor of its own (Zero123++).

    Passes that drop it have the empty text alone. Prompts have no effect.
    """

    text: Text
    vision: Vision
    factors: tuple[float, ...]
    """The factor of each token."""
    takes: frozenset[str] = frozenset({"image"})
    needs: frozenset[str] = frozenset({"image"})
    offers: frozenset[str] = frozenset({"text"})
    group: str = "image"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """77 tokens for each view, the same for all views; and those of the empty text."""
        empty = self.text.encode("")["text"]
        if len(self.factors) != empty.shape[1]:
            raise SyncbenchError(
                f"the folder has {len(self.factors)} ramping_coefficients for a text of {empty.shape[1]} tokens: its "
                "model_index.json is of another checkpoint"
            )
        ramp = empty.new_tensor(self.factors)[None, :, None]
        told = empty + self.vision.embed(given_picture(request)).to(empty)[:, None] * ramp
        shape = (request.views, *empty.shape[1:])
        return {"text": told.expand(shape)}, {"text": empty.expand(shape)}


@dataclass(frozen=True)
class FirstFrame(Begun):
    """The latent of a clip's first frame for every view, row `image`: the encoder's mean of it, not scaled (SVD).

    Noise is added to the frame, which is the same for all items and seeds so that samples can be repeated. Passes that
    drop it have zeros.
    """

    noise: float = 0.02
    """Standard deviation of the noise, for pixels in [-1, 1]."""
    otherwise: str = "video"
    """The condition whose first row is the frame where `image` is missing."""
    group: str = "image"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The latent for each view, the same for all views; and zeros."""
        frame = given_picture(request, self.otherwise)
        draw = torch.randn(frame.shape, generator=torch.Generator().manual_seed(0)).to(frame)
        latent = request.code(frame + draw * self.noise / 2, True)
        rows = latent.expand(request.views, *latent.shape[1:])
        return {"image": rows}, {"image": torch.zeros_like(rows)}


@dataclass(frozen=True)
class Numbers(Silent):
    """The same numbers for every view in every pass, such as SVD's frame rate, motion bucket and noise."""

    values: tuple[float, ...]
    out: str = "time_ids"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The numbers for each view, given and dropped alike."""
        rows = {self.out: torch.tensor(self.values).expand(request.views, -1)}
        return rows, rows


def processed(processor: Any, images: Shaped[Tensor, "n 3 H W"], side: int, **how: Any) -> Float[Tensor, "n 3 s s"]:
    """Pictures after CLIP's image processor, on their device; for pictures without values a square of `side`."""
    if images.is_meta:
        return torch.empty(len(images), 3, side, side, device="meta")
    return processor(images=images.cpu(), return_tensors="pt", **how).pixel_values.to(images.device)


def eight_bits(images: Float[Tensor, "n 3 H W"]) -> UInt8[Tensor, "n 3 H W"]:
    """Pictures in [0, 1] as 8-bit levels, on which vision towers were trained."""
    return (images.float().clamp(0, 1) * 255).round().to(torch.uint8)


def shrunk(images: Float[Tensor, "n 3 H W"], size: int) -> Float[Tensor, "n 3 size size"]:
    """Pictures blurred and resized to a square of `size` pixels, as SVD prepares the input of its vision tower."""
    from torchvision.transforms.functional import gaussian_blur

    factors = [side / size for side in images.shape[-2:]]
    sigmas = [max((factor - 1) / 2, 0.001) for factor in factors]
    widths = [int(max(4 * sigma, 3)) // 2 * 2 + 1 for sigma in sigmas]
    blurred = gaussian_blur(images, widths[::-1], sigmas[::-1])
    return F.interpolate(blurred, (size, size), mode="bicubic", align_corners=True)
