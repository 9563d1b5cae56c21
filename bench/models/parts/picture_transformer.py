"""Transformers that denoise pictures: Stable Diffusion 3, FLUX.1 and PixArt-Sigma, each called as its pipeline does."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import SyncbenchError
from ..interface import Call
from .conditioners import Rows
from .network import Bare


@dataclass(frozen=True)
class Transformer(Bare):
    """A transformer over the patches of one picture, and nothing else in the batch."""

    def patched(self, x: Tensor, patch: int, most: int | None = None) -> None:
        """Raise SyncbenchError for latents of no whole number of patches, or of more than `most` along a side."""
        sides = x.shape[-2:]
        if any(side % patch for side in sides):
            raise SyncbenchError(
                f"the network reads patches of {patch}x{patch} latent cells, and a view has "
                f"{sides[0]}x{sides[1]}: choose a size in pixels that is a multiple of {8 * patch}"
            )
        if most is not None and max(sides) // patch > most:
            raise SyncbenchError(
                f"the network knows the places of {most} patches along a side, and a view has {max(sides) // patch}: "
                "choose smaller windows"
            )


@dataclass(frozen=True)
class SD3Transformer(Transformer):
    """An `SD3Transformer2DModel`: Stable Diffusion 3 and 3.5. Reads rows `text` and `pooled`.

    Every window has the positions of the middle of a grid of `pos_embed_max_size` patches.
    """

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The predicted velocity, one row per row of `x`."""
        net = self.module()
        self.patched(x, int(net.config.patch_size), int(net.config.pos_embed_max_size))
        return net(
            hidden_states=x.to(net.dtype),
            timestep=torch.full((len(x),), call.level.t, device=x.device),
            encoder_hidden_states=rows["text"].to(net.dtype),
            pooled_projections=rows["pooled"].to(net.dtype),
            **more,
        ).sample


@dataclass(frozen=True)
class FluxTransformer(Transformer):
    """A `FluxTransformer2DModel`. Reads rows `text`, `pooled` and, where it was distilled, `guidance` (rows,).

    Every four latent cells are one token. Positions begin at 0 in every window, whatever its place on a canvas.
    """

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The predicted velocity, one row per row of `x`."""
        net = self.module()
        self.patched(x, 2)
        height, width = x.shape[-2:]
        text = rows["text"].to(net.dtype)
        guided = bool(net.config.guidance_embeds)
        found = net(
            hidden_states=packed(x).to(net.dtype),
            timestep=torch.full((len(x),), call.level.t / 1000, device=x.device, dtype=net.dtype),
            guidance=rows["guidance"].to(x) if guided else None,
            pooled_projections=rows["pooled"].to(net.dtype),
            encoder_hidden_states=text,
            txt_ids=torch.zeros(text.shape[1], 3, device=x.device, dtype=net.dtype),
            img_ids=places(height // 2, width // 2).to(x.device, net.dtype),
            **more,
        ).sample
        return unpacked(found, height, width)


@dataclass(frozen=True)
class PixArtTransformer(Transformer):
    """A `PixArtTransformer2DModel` that reads no sizes (PixArt-Sigma). Reads rows `text` and `mask`.

    Its output is the noise, then a variance, which `Composed` drops.
    """

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The predicted noise and its variance, (rows, 2 c, h, w)."""
        net = self.module()
        self.patched(x, int(net.config.patch_size))
        return net(
            x.to(net.dtype),
            encoder_hidden_states=rows["text"].to(net.dtype),
            encoder_attention_mask=rows["mask"].to(net.dtype),
            timestep=torch.full((len(x),), call.level.t, device=x.device),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            **more,
        ).sample


def packed(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n tokens four_c"]:
    """Tokens of 4 c numbers, each of 2 x 2 cells, row by row."""
    n, c, h, w = x.shape
    return x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(n, h * w // 4, 4 * c)


def unpacked(tokens: Float[Tensor, "n tokens four_c"], height: int, width: int) -> Float[Tensor, "n c h w"]:
    """Latents of `height` x `width` cells from their tokens; the inverse of `packed`."""
    n, _, four = tokens.shape
    found = tokens.view(n, height // 2, width // 2, four // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return found.reshape(n, four // 4, height, width)


def places(rows: int, columns: int) -> Float[Tensor, "tokens 3"]:
    """Positions of `rows` x `columns` tokens: 0, row and column of each."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([torch.zeros_like(row), row, column], -1).flatten(0, 1).float()
