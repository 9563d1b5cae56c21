"""A scene in closed form, ray by ray in numpy: a textured ball on a textured ground, and cameras around it.

It shares no code with the world or the metrics: what is projected there is intersected here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from syncbench.bench.types import Artifact, Item
from torch import Tensor

BALL, RADIUS = np.array([0.0, 0.0, 0.5]), 0.5
LIGHT = np.array([0.5, -0.6, 1.0]) / np.linalg.norm([0.5, -0.6, 1.0])
EYE = 3.0
"""Distance of the cameras from the ball."""
Array = np.ndarray[Any, Any]


class Plain:
    """A surface that says no more than the size of its views, and what they are."""

    picture = False

    def __init__(self, size: int, names: tuple[str, ...] = ()) -> None:
        self.window, self.names = (size, size), names


def camera(azimuth: float, elevation: float, size: int) -> tuple[Array, Array]:
    """World to camera and intrinsics of a camera that looks at the ball; angles in degrees."""
    a, e = np.radians([azimuth, elevation])
    back = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    forward, right = -back, np.array([-np.sin(a), np.cos(a), 0.0])
    rows = np.stack([right, np.cross(forward, right), forward])
    extrinsics = np.eye(4)
    extrinsics[:3, :3], extrinsics[:3, 3] = rows, -rows @ (BALL + EYE * back)
    return extrinsics, np.array([[1.7 * size, 0, size / 2], [0, 1.7 * size, size / 2], [0, 0, 1]])


def texture(at: Array, seed: int, fineness: float) -> Array:
    """Colours (p, 3) in [0.2, 0.9] of world points (p, 3): a few plane waves per channel."""
    rng = np.random.default_rng(seed)
    found = np.zeros((len(at), 3))
    for _ in range(6):
        wave, phase = rng.normal(size=(3, 3)), rng.uniform(0, 2 * np.pi, 3)
        found += np.sin(fineness * at @ wave + phase)
    return 0.55 + 0.35 * np.tanh(found / 2)


def shoot(
    view: tuple[Array, Array], size: int, ball: bool = True, seed: int = 0, fineness: float = 6.0
) -> dict[str, Array]:
    """Everything one camera sees, pixel by pixel: arrays (size, size, c)."""
    extrinsics, intrinsics = view
    rotation = extrinsics[:3, :3]
    eye = -rotation.T @ extrinsics[:3, 3]
    v, u = np.mgrid[0:size, 0:size] + 0.5
    ray = np.stack([u, v, np.ones_like(u)], -1).reshape(-1, 3) @ np.linalg.inv(intrinsics).T @ rotation
    with np.errstate(all="ignore"):
        ground = np.where(ray[:, 2] < -1e-9, -eye[2] / ray[:, 2], np.inf)
        b, a, c = ray @ (eye - BALL), (ray**2).sum(1), ((eye - BALL) ** 2).sum() - RADIUS**2
        root = np.sqrt(b**2 - a * c)
        hit = np.where(np.isnan(root) | (not ball), np.inf, (-b - root) / a)
    on_ball, t = hit < ground, np.minimum(hit, ground)
    known = np.isfinite(t)
    at = np.where(known[:, None], eye + np.where(known, t, 0)[:, None] * ray, 0)
    normal = np.where(on_ball[:, None], (at - BALL) / RADIUS, [0.0, 0, 1]) * known[:, None]
    albedo = np.where(known[:, None], texture(at, seed, fineness), [0.35, 0.5, 0.8])
    shading = np.where(known, 0.3 + 0.7 * np.clip(normal @ LIGHT, 0, None), 1.0)
    light = albedo * shading[:, None]
    found = {
        "views": srgb(light),
        "linear": light,
        "albedo": albedo,
        "shading": shading[:, None],
        "normal": normal @ rotation.T,
        "depth": np.where(known, t, 0)[:, None],  # the ray's z is 1 in camera axes
        "mask": on_ball[:, None] * 1.0,
        "surface": known[:, None] * 1.0,
        "position": at,
        "object": np.where(known, on_ball * 1.0, -1)[:, None],
    }
    return {name: x.reshape(size, size, -1) for name, x in found.items()}


def srgb(light: Array) -> Array:
    """The sRGB curve."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def truth(views: Sequence[tuple[float, float]], size: int = 96, prefix: str = "", **options: Any) -> dict[str, Tensor]:
    """The truth of cameras at (azimuth, elevation), as tensors with the world's keys."""
    cameras = [camera(*angles, size) for angles in views]
    shots = [shoot(view, size, **options) for view in cameras]
    found = {
        name: torch.from_numpy(np.stack([s[name] for s in shots])).permute(0, 3, 1, 2).float() for name in shots[0]
    }
    found["object"] = found["object"].long()
    found["extrinsics"] = torch.from_numpy(np.stack([e for e, _ in cameras])).float()
    found["intrinsics"] = torch.from_numpy(np.stack([k for _, k in cameras])).float()
    return {prefix + name: value.contiguous() for name, value in found.items()}


def orbit(size: int = 96, count: int = 6, **options: Any) -> Item:
    """Views all around at 25 degrees, and two held-out cameras between them."""
    seen = truth([(360 * k / count, 25) for k in range(count)], size, **options)
    held = truth([(40, 35), (220, 10)], size, "held_", **options)
    return Item(id="x", family="geometry", prompts=("a ball",), world=True, surface=Plain(size), truth={**seen, **held})


def moving(size: int = 96, frames: int = 6, step: float = 3.0, **options: Any) -> Item:
    """A clip: the camera goes around by `step` degrees a frame. Flow and visibility from positions and exact rays."""
    seen = truth([(step * k, 25) for k in range(frames)], size, **options)
    flow, visible = zip(*(displacement(seen, t, t + 1, size) for t in range(frames - 1)), strict=True)
    known = {**seen, "flow": torch.stack(flow).float(), "visible": torch.stack(visible).float()}
    return Item(id="x", family="frames", prompts=("a ball",), world=True, surface=Plain(size), truth=known)


def displacement(seen: dict[str, Tensor], here: int, there: int, size: int) -> tuple[Tensor, Tensor]:
    """Where the points of one frame appear in another (2, h, w), and whether the way there is free (1, h, w)."""
    at = seen["position"][here].double().reshape(3, -1).numpy()
    extrinsics, intrinsics = seen["extrinsics"][there].double().numpy(), seen["intrinsics"][there].double().numpy()
    point = extrinsics[:3, :3] @ at + extrinsics[:3, 3:]
    xy = (intrinsics @ point)[:2] / point[2]
    eye = -extrinsics[:3, :3].T @ extrinsics[:3, 3]
    way = at.T - eye
    b, a, c = way @ (eye - BALL), (way**2).sum(1), ((eye - BALL) ** 2).sum() - RADIUS**2
    with np.errstate(invalid="ignore"):
        first = (-b - np.sqrt(b**2 - a * c)) / a
    free = ~(first < 1 - 1e-4) & ((xy >= 0) & (xy < size)).all(0)
    free &= seen["surface"][here].reshape(-1).numpy() > 0
    v, u = np.mgrid[0:size, 0:size] + 0.5
    flow = xy.reshape(2, size, size) - np.stack([u, v])
    return torch.from_numpy(flow), torch.from_numpy(free.reshape(1, size, size))


def made(views: Tensor) -> Artifact:
    """An artifact of these views."""
    return Artifact(views=views)
