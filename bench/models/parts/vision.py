"""Conditioners of networks that are told of one picture: its embedding by a vision tower, its latent, small numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ...errors import SyncbenchError
from .conditioners import Request, Rows, Silent
from .texts import Text
from .weights import Loadable

Prepare = Callable[[Tensor], Tensor]
"""Pictures (n, 3, H, W) in [0, 1] to what a vision tower reads."""


def given_picture(request: Request, otherwise: str = "") -> Float[Tensor, "1 3 H W"]:
    """Condition `image`, or the first row of `otherwise`. Raises SyncbenchError where there is neither."""
    for name in ("image", otherwise):
        if name in request.inputs:
            return request.inputs[name][:1]
    also = f" or `{otherwise}`" if otherwise else ""
    raise SyncbenchError(f"the model needs condition `image`{also}: choose a dataset that has it")


class Begun(Silent):
    """What reads the picture that begins a clip: condition `image`, or the first row of another one."""

    otherwise: str
    """The condition whose first row is the picture where there is no `image`; empty for none."""
    group: str = "image"

    @property
    def takes(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The picture, or the clip that it begins."""
        return frozenset({"image", self.otherwise} - {""})

    @property
    def needs(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The picture, unless something else may stand in."""
        return frozenset() if self.otherwise else self.takes


@dataclass(frozen=True)
class Vision(Begun):
    """The picture's embedding by a vision tower, as the only token of the network's cross-attention (SVD).

    Where guidance drops it there are zeros.
    """

    tower: Loadable
    prepare: Prepare
    otherwise: str = ""
    """The condition whose first row is the picture where there is no `image`."""

    @torch.no_grad()
    def embed(self, image: Float[Tensor, "1 3 H W"]) -> Float[Tensor, "1 d"]:
        """The projected embedding."""
        tower = self.tower.module
        weight = next(tower.parameters())
        shown = torch.zeros(image.shape) if image.is_meta else image  # what prepares pictures needs values
        return tower(self.prepare(shown).to(weight)).image_embeds

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """One token a view, the same for all."""
        found = self.embed(given_picture(request, self.otherwise))[:, None].expand(request.views, -1, -1)
        return {"text": found}, {"text": torch.zeros_like(found)}


@dataclass(frozen=True)
class Ramp(Silent):
    """The empty text, to whose tokens the picture's embedding is added, each with a factor of its own (Zero123++).

    Where guidance drops it there is the empty text alone. Prompts say nothing.
    """

    text: Text
    vision: Vision
    factors: tuple[float, ...]
    """One a token."""
    takes: frozenset[str] = frozenset({"image"})
    needs: frozenset[str] = frozenset({"image"})
    offers: frozenset[str] = frozenset({"text"})
    group: str = "image"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """77 tokens a view, the same for all."""
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

    The frame has some noise on it, which is the same for all items and seeds so that samples can be repeated. Where
    guidance drops it there are zeros.
    """

    noise: float = 0.02
    """Standard deviation of the noise, for pixels in [-1, 1]."""
    otherwise: str = "video"
    """The condition whose first row is the frame where there is no `image`."""
    group: str = "image"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """One latent a view, the same for all."""
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
        """One row a view."""
        rows = {self.out: torch.tensor(self.values).expand(request.views, -1)}
        return rows, rows


def shrunk(images: Float[Tensor, "n 3 H W"], size: int) -> Float[Tensor, "n 3 size size"]:
    """Pictures blurred and resized to a square, in the range they have: how SVD prepares its vision tower's input."""
    from torchvision.transforms.functional import gaussian_blur

    factors = [side / size for side in images.shape[-2:]]
    sigmas = [max((factor - 1) / 2, 0.001) for factor in factors]
    widths = [int(max(4 * sigma, 3)) // 2 * 2 + 1 for sigma in sigmas]
    blurred = gaussian_blur(images, widths[::-1], sigmas[::-1])
    return F.interpolate(blurred, (size, size), mode="bicubic", align_corners=True)
