"""A small field of density and colour in voxels, fitted to posed views by volume rendering.

Trilinear voxels without a network, coarse to fine, as in DirectVoxGO (Sun, Sun, Chen, CVPR 2022, arXiv 2111.11215) and
Plenoxels (Fridovich-Keil et al., CVPR 2022, arXiv 2112.05131); unbounded scenes are contracted into a cube, and weight
is drawn together along a ray, as in Mip-NeRF 360 (Barron et al., CVPR 2022, arXiv 2111.12077). Written from the papers.

The field's unit is `INNER` of the mean distance of the cameras from the point at which they look. The cube of half that
side one around this point is kept as it is, and all that is further out is drawn together into a shell around it.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

VOXELS = 32
"""Voxels along an edge of the field; the first half of the steps fits half as many."""
BATCH, SAMPLES, FAR_SAMPLES = 512, 40, 10
"""Rays of a step, samples of a ray, and how many of these lie behind the cube."""
INNER, SHELL = 0.4, 0.5
"""The field's unit in units of the cameras' distance, and how thick the shell is in the field's units."""
NEAR, FAR, HORIZON = 1 - INNER, 1.5, 75.0
"""Where samples begin, where they get sparse, and where they end, in units of the cameras' distance.

They begin at the cube: what is nearer to a camera may be seen by no other, so that nothing would determine it."""
RATE, DECAY = 0.2, 0.1
"""Adam's first rate of learning, and the last as a share of it."""
SMOOTH, COMPACT = 0.01, 0.01
"""Weights of the total variation (squared differences of neighbours) and of the spread of weight along a ray."""
EMPTY, GAIN = -3.0, 8.0
"""Density before the softplus at the start, and opacity per field unit of a density of 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rays:
    """Rays in the field's units; `direction` has a z of 1 in camera axes, times the field's units of a world unit."""

    origin: Float[Tensor, "r 3"]
    direction: Float[Tensor, "r 3"]

    def __getitem__(self, index: Tensor) -> "Rays":
        return Rays(origin=self.origin[index], direction=self.direction[index])

    def __len__(self) -> int:
        return len(self.origin)

    @property
    def off_centre(self) -> Float[Tensor, " r"]:
        """How far from the field's centre each ray passes, in units of the cameras' distance."""
        along = F.normalize(self.direction, dim=-1)
        return INNER * (self.origin - (self.origin * along).sum(-1, keepdim=True) * along).norm(dim=-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Focus:
    """The point at which cameras look, and how far away from it they stand."""

    at: Float[Tensor, "3"]
    distance: float
    directions: Float[Tensor, "n 3"]
    """Unit vectors from the point towards the cameras."""


def common_focus(extrinsics: Float[Tensor, "n 4 4"]) -> Focus | None:
    """The point nearest to all optical axes; None where it lies behind a camera, or where all axes are parallel."""
    poses = extrinsics.double()
    turn, axis = poses[:, :3, :3], poses[:, 2, :3]
    eyes = -(turn.mT @ poses[:, :3, 3:])[..., 0]
    across = torch.eye(3, dtype=torch.float64) - axis[:, :, None] * axis[:, None]
    total = across.sum(0)
    if float(torch.linalg.eigvalsh(total)[0]) < 1e-4 * len(poses):
        return None
    at = torch.linalg.solve(total, (across @ eyes[..., None]).sum(0))[:, 0]
    away = eyes - at
    if bool(((away * axis).sum(1) >= 0).any()):
        return None
    return Focus(at=at, distance=float(away.norm(dim=1).mean()), directions=F.normalize(away, dim=1))


def view_rays(
    extrinsics: Float[Tensor, "4 4"],
    intrinsics: Float[Tensor, "3 3"],
    size: tuple[int, int],
    reduced: tuple[int, int],
    focus: Focus,
) -> Rays:
    """The rays through the pixel centres of a view of `size` that was reduced to `reduced` (height, width) pixels."""
    (high, wide), (rows, columns) = size, reduced
    y = (torch.arange(rows, dtype=torch.float64) + 0.5) * high / rows
    x = (torch.arange(columns, dtype=torch.float64) + 0.5) * wide / columns
    v, u = torch.meshgrid(y, x, indexing="ij")
    turn = extrinsics[:3, :3].double()
    pixels = torch.stack([u, v, torch.ones_like(u)], -1).reshape(-1, 3)
    unit = INNER * focus.distance
    direction = (pixels @ torch.linalg.inv(intrinsics.double()).mT @ turn / unit).float()
    eye = -turn.mT @ extrinsics[:3, 3].double()
    return Rays(origin=((eye - focus.at) / unit).float().expand_as(direction), direction=direction)


class Voxels:
    """A field in front of cameras at `distance` (in world units) from its centre."""

    def __init__(self, grid: Float[Tensor, "1 4 k k k"], distance: float) -> None:
        self.grid = grid
        """Density (first channel, before the softplus) and colour (before the sigmoid) at the voxels' corners."""
        near = torch.linspace(NEAR, FAR, SAMPLES - FAR_SAMPLES + 1)
        far = FAR / torch.linspace(1, FAR / HORIZON, FAR_SAMPLES + 1)
        edges = distance * torch.cat([near[:-1], far])
        self._start, self._gap = edges[:-1], edges.diff()
        # Behind the cube a sample is as long as within it: there the contracted field is coarse.
        self._length = torch.minimum(self._gap, self._gap[0])

    def render(
        self, rays: Rays, jitter: Float[Tensor, "r s"] | None = None
    ) -> tuple[Float[Tensor, "r 3"], Float[Tensor, "r s"]]:
        """The colours of rays, in [0, 1], and the weights of their samples, which add up to 1.

        `jitter` in [0, 1) places each sample in its stretch of the ray; without it samples are in the middle.
        """
        along = self._start + self._gap * (0.5 if jitter is None else jitter)
        at = contract(rays.origin[:, None] + along.expand(len(rays), -1)[..., None] * rays.direction[:, None])
        found = F.grid_sample(self.grid, at[None, :, :, None], align_corners=True, padding_mode="border")[0, ..., 0]
        depth = F.softplus(found[0]) * (GAIN * self._length * rays.direction.norm(dim=-1, keepdim=True))
        opacity = torch.cat([1 - torch.exp(-depth[:, :-1]), torch.ones_like(depth[:, :1])], 1)
        weight = opacity * torch.exp(depth - depth.cumsum(1))
        return (weight * torch.sigmoid(found[1:])).sum(-1).T, weight


def contract(points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """Points of all of space moved into the cube [-1, 1]: the inner cube in its middle, the rest around it."""
    reach = points.abs().amax(-1, keepdim=True).clamp(min=1)
    return points / reach * (1 + SHELL * (1 - 1 / reach)) / (1 + SHELL)


def fit_voxels(rays: Rays, colours: Float[Tensor, "r 3"], distance: float, steps: int, seed: int) -> Voxels:
    """The field after `steps` steps of Adam on random rays, with squared errors; the same for the same `seed`."""
    random = torch.Generator().manual_seed(seed)
    mean = torch.logit(colours.mean(0).clamp(0.02, 0.98))
    coarse = VOXELS // 2
    grid = torch.cat([torch.full((1,), EMPTY), mean])[None, :, None, None, None].repeat(1, 1, coarse, coarse, coarse)
    place = torch.arange(SAMPLES) / SAMPLES
    for size in (coarse, VOXELS):
        grid = F.interpolate(grid.detach(), (size, size, size), mode="trilinear", align_corners=True).requires_grad_()
        adam = torch.optim.Adam([grid], lr=RATE, betas=(0.9, 0.99), eps=1e-10)
        for step in range(steps // 2):
            adam.param_groups[0]["lr"] = RATE * DECAY ** (2 * step / steps)
            chosen: Int[Tensor, " b"] = torch.randint(len(rays), (BATCH,), generator=random)
            jitter = torch.rand(BATCH, SAMPLES, generator=random)
            colour, weight = Voxels(grid, distance).render(rays[chosen], jitter)
            middle = (weight * place).sum(1, keepdim=True)
            loss = (colour - colours[chosen]).square().mean()
            loss = loss + COMPACT * (weight * (place - middle).square()).sum(1).mean()
            loss = loss + SMOOTH * sum(grid.diff(dim=axis).square().mean() for axis in (2, 3, 4))
            adam.zero_grad()
            loss.backward()
            adam.step()
    return Voxels(grid.detach(), distance)
