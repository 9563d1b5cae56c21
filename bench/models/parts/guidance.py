"""Classifier-free guidance: the passes of the network, and how their outputs are combined.

A pass drops groups of conditions (`text`, `image`); the last drops none. Conditions of no group are in every pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

EVERYTHING = frozenset({"text", "image"})


class Guidance(Protocol):
    """A rule of guidance: the passes, and how to combine their outputs."""

    def passes(self, scale: float) -> tuple[frozenset[str], ...]:
        """Groups of conditions that each pass drops, in the order of the passes in a batch."""
        ...

    def combine(self, outputs: Sequence[Tensor], scale: float, together: bool = False) -> Tensor:
        """The guided output (views, c, h, w) from those of the passes; `together`: the views are frames of one clip."""
        ...


@dataclass(frozen=True)
class Plain:
    """out = out_negative + scale (out_given - out_negative); one pass where the scale is 1 (Ho and Salimans 2022)."""

    def passes(self, scale: float) -> tuple[frozenset[str], ...]:
        """Two passes, of which the first drops all groups; one pass, which drops none, where guidance has no effect."""
        return (frozenset(),) if scale == 1.0 else (EVERYTHING, frozenset())

    def combine(self, outputs: Sequence[Tensor], scale: float, together: bool = False) -> Tensor:
        """The guided output (views, c, h, w) from those of the passes."""
        if len(outputs) == 1:
            return outputs[0]
        negative, given = outputs
        return negative + scale * (given - negative)


@dataclass(frozen=True)
class PerView:
    """Guidance whose scale rises linearly from `low` at the first view to the protocol's at the last, as in SVD.

    Views that are not denoised together are clips of one frame, guided at the protocol's scale.
    """

    low: float = 1.0

    def passes(self, scale: float) -> tuple[frozenset[str], ...]:
        """Two passes, of which the first drops all groups; one pass, which drops none, where guidance has no effect."""
        return (frozenset(),) if scale == self.low == 1.0 else (EVERYTHING, frozenset())

    def combine(self, outputs: Sequence[Tensor], scale: float, together: bool = False) -> Tensor:
        """The guided output (views, c, h, w) from those of the passes."""
        if len(outputs) == 1:
            return outputs[0]
        negative, given = outputs
        low = self.low if together else scale
        scales = torch.linspace(low, scale, len(given), device=given.device, dtype=given.dtype)
        return negative + scales.view(-1, *[1] * (given.ndim - 1)) * (given - negative)


@dataclass(frozen=True)
class TextAndImage:
    """out = out_none + image (out_image - out_none) + scale (out_both - out_image), as in InstructPix2Pix.

    Brooks et al. 2023, arXiv 2211.09800, equation 3. `rescale` moves the result towards the standard deviation of the
    last pass (Lin et al. 2024, arXiv 2305.08891), as in X-to-RGB.
    """

    image: float = 1.5
    rescale: float = 0.0

    def passes(self, scale: float) -> tuple[frozenset[str], ...]:
        """Three passes: all groups dropped, the text dropped, none dropped; fewer where a scale of 1 needs none."""
        if self.image == 1.0:
            return (frozenset(),) if scale == 1.0 else (frozenset({"text"}), frozenset())
        return (EVERYTHING, frozenset({"text"}), frozenset())

    def combine(self, outputs: Sequence[Tensor], scale: float, together: bool = False) -> Tensor:
        """The guided output (views, c, h, w) from those of the passes."""
        if len(outputs) == 1:
            return outputs[0]
        # where the scale of the image is 1, the pass without conditions cancels
        nothing, image, both = outputs if len(outputs) == 3 else (outputs[0], *outputs)
        mixed = nothing + self.image * (image - nothing) + scale * (both - image)
        if not self.rescale:
            return mixed
        within = list(range(1, mixed.ndim))
        factor = both.std(within, keepdim=True) / mixed.std(within, keepdim=True)
        return mixed * (self.rescale * factor + 1 - self.rescale)


@dataclass(frozen=True)
class Distilled:
    """One pass whatever the scale: the network was trained to read it as a condition, or without any."""

    def passes(self, scale: float) -> tuple[frozenset[str], ...]:
        """One pass, which drops nothing."""
        return (frozenset(),)

    def combine(self, outputs: Sequence[Tensor], scale: float, together: bool = False) -> Tensor:
        """The output of the only pass."""
        [output] = outputs
        return output
