"""Least-squares stitching: overlapping windows sampled alone, then fitted to each other after decoding.

Gain adjustment: Brown and Lowe, IJCV 2007 (doi 10.1007/s11263-006-0002-3), eq. 29, with sigma_N = 10/255 and
sigma_g = 0.1; the bias b_i and its prior sigma_b are added here. Screened Poisson: Bhat et al., ECCV 2008, after
Perez et al., SIGGRAPH 2003: the gradients of the window nearest its middle, the feather blend as the screen.
Written from the formulas. Left out: multi-band blending, and graph-cut seams.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import fft
from torch import Tensor

from ...bench.canvas import Canvas
from ...bench.limits import Positive
from .feather import Feather


@dataclass(frozen=True, kw_only=True)
class LeastSquares(Feather):
    """Fits windows to each other (`fit`) before or instead of feathering; noise is shared where windows overlap."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "10.1007/s11263-006-0002-3"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"gain": {"fit": "gain"}, "poisson": {"fit": "poisson"}}

    fit: Literal["gain", "poisson"] = "gain"
    """`gain`: one gain and one bias per window and channel, then feathering. `poisson`: the image whose gradients are
    those of the windows."""
    sigma_n: Positive = 10 / 255
    """Expected difference of mean colours in an overlap, in [0, 1] (for `gain`)."""
    sigma_g: Positive = 0.1
    """Standard deviation of gains around 1 (for `gain`)."""
    sigma_b: Positive = 0.1
    """Standard deviation of biases around 0 (for `gain`)."""
    screen: Positive = 1e-2
    """Weight lambda of the feather blend (for `poisson`): colours follow it beyond about 1 / sqrt(lambda) pixels."""

    def blend(self, images: Float[Tensor, "views channels h w"], pixels: Canvas) -> Float[Tensor, "channels H W"]:
        """One image from decoded windows; `pixels` carries the feather weights. Colours may leave [0, 1]."""
        if self.fit == "gain":
            gain, bias = gains(images, pixels, self.sigma_n, self.sigma_g, self.sigma_b)
            return pixels.paint(images * gain[..., None, None] + bias[..., None, None])
        return screened_poisson(pixels.paint(images), *owned_gradients(images, pixels), self.screen, pixels.wraps)


def gains(
    images: Float[Tensor, "views c h w"], pixels: Canvas, sigma_n: float, sigma_g: float, sigma_b: float
) -> tuple[Float[Tensor, "views c"], Float[Tensor, "views c"]]:
    """Gain and bias (g, b) of each view and channel that bring mean colours of overlaps together.

    Minimises sum_ij N_ij [(g_i m_ij + b_i - g_j m_ji - b_j)^2 / sigma_n^2 + (1 - g_i)^2 / sigma_g^2
    + b_i^2 / sigma_b^2], where m_ij is the mean of view i on the N_ij pixels it shares with view j.
    """
    views, channels = images.shape[:2]
    eye = torch.eye(views, dtype=torch.float64)
    rows: list[Tensor] = []
    shared = torch.full((views,), 1e-6, dtype=torch.float64)
    for i, (values, seen) in enumerate(_on_canvas(images, pixels)):
        for j in range(i + 1, views):
            both = (pixels.index[j] >= 0) & seen[pixels.index[j].clamp(min=0)]
            count = int(both.sum())
            if count:
                mean_i = values[:, pixels.index[j][both]].double().mean(1).cpu()
                mean_j = images[j][:, both].double().mean(1).cpu()
                gain_part = mean_i[:, None] * eye[i] - mean_j[:, None] * eye[j]
                bias_part = (eye[i] - eye[j]).expand(channels, -1)
                rows.append(torch.cat([gain_part, bias_part], 1) * (count**0.5 / sigma_n))
                shared[[i, j]] += count
    priors = torch.cat([shared.sqrt() / sigma_g, shared.sqrt() / sigma_b]).diag()
    overlaps = torch.stack(rows, 1) if rows else priors.new_zeros(channels, 0, 2 * views)
    system = torch.cat([overlaps, priors.expand(channels, -1, -1)], 1)
    wanted = torch.zeros(channels, system.shape[1], 1, dtype=torch.float64)
    wanted[:, -2 * views : -views, 0] = shared.sqrt() / sigma_g
    solution = torch.linalg.lstsq(system, wanted).solution[..., 0].T.to(images)
    return solution[:views], solution[views:]


def owned_gradients(
    images: Float[Tensor, "views c h w"], pixels: Canvas
) -> tuple[Float[Tensor, "c H W"], Float[Tensor, "c H W"]]:
    """Forward differences (down, right) of the view with the largest weight in each cell; 0 past the last cell.

    Where the owner does not see the neighbouring cell, the weighted mean's difference stands in.
    """
    best = torch.zeros(pixels.cells, device=images.device)
    mean_down, mean_right = down, right = _differences(pixels.paint(images), pixels.wraps)
    for view, (values, seen) in enumerate(_on_canvas(images, pixels)):
        weight = torch.zeros_like(best)
        inside = pixels.index[view] >= 0
        weight[pixels.index[view][inside]] = pixels.weight[view][inside].to(best)
        owned = (seen & (weight > best)).reshape(pixels.shape)
        best = torch.maximum(best, weight)
        grid = seen.reshape(pixels.shape)
        below, beside = grid.roll(-1, 0), grid.roll(-1, 1)
        own_down, own_right = _differences(values.reshape(-1, *pixels.shape), pixels.wraps)
        down = torch.where(owned, torch.where(below, own_down, mean_down), down)
        right = torch.where(owned, torch.where(beside, own_right, mean_right), right)
    return down, right


def screened_poisson(
    screen: Float[Tensor, "c H W"],
    down: Float[Tensor, "c H W"],
    right: Float[Tensor, "c H W"],
    strength: float,
    wrap: bool = False,
) -> Float[Tensor, "c H W"]:
    """argmin_I |D I - (down, right)|^2 + strength |I - screen|^2, D forward differences.

    Neumann boundaries, solved exactly by a cosine transform; the width is periodic (FFT) when `wrap`.
    """
    high, wide = screen.shape[-2:]
    v, u = (x.double().cpu().numpy() for x in (down, right))
    side = np.roll(u, 1, -1) if wrap else np.pad(u, ((0, 0), (0, 0), (1, 0)))[..., :-1]
    above = np.pad(v, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    target = above - v + side - u + strength * screen.double().cpu().numpy()
    tall = 2 - 2 * np.cos(np.pi * np.arange(high) / high)
    broad = 2 - 2 * np.cos((2 if wrap else 1) * np.pi * np.arange(wide) / wide)
    spectrum = np.asarray(fft.dct(target, axis=-2, norm="ortho"))
    spectrum = np.fft.fft(spectrum, axis=-1) if wrap else fft.dct(spectrum, axis=-1, norm="ortho")
    spectrum = np.asarray(spectrum) / (tall[:, None] + broad + strength)
    solved = np.fft.ifft(spectrum, axis=-1).real if wrap else fft.idct(spectrum, axis=-1, norm="ortho")
    return torch.from_numpy(fft.idct(solved, axis=-2, norm="ortho")).to(screen)


def _differences(image: Tensor, wrap: bool) -> tuple[Tensor, Tensor]:
    """(down, right) forward differences of (c, H, W), 0 past the last cell unless the width wraps."""
    down, right = image.roll(-1, -2) - image, image.roll(-1, -1) - image
    down[:, -1] = 0
    if not wrap:
        right[..., -1] = 0
    return down, right


def _on_canvas(images: Tensor, pixels: Canvas) -> Iterator[tuple[Float[Tensor, "c cells"], Bool[Tensor, " cells"]]]:
    """Each view laid on the canvas alone: (values, seen), 0 and False where it does not look."""
    for image, index in zip(images, pixels.index, strict=True):
        values = image.new_zeros(image.shape[0], pixels.cells)
        seen = torch.zeros(pixels.cells, dtype=torch.bool, device=image.device)
        inside = index >= 0
        values[:, index[inside]] = image[:, inside]
        seen[index[inside]] = True
        yield values, seen
