"""The truth of a take as tensors: what its views show, and where every point that they show lies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..surfaces.camera import closeness
from ..surfaces.lazy import Lazy
from ..surfaces.shared import SHADING_MAX
from .materials import to_srgb
from .stage import OBJECT, SKY
from .trace import Buffers, Take, buffers

HELD_NAMES = ("views", "position", "mask", "depth", "normal", "object", "face", "extrinsics", "intrinsics")
CHANNELS = ("albedo", "normal", "shading")
"""Names of the channels of a picture, in the order of the views."""


def _planes(image: np.ndarray) -> Tensor:
    """Images (n, h, w, 3) or (n, h, w) as a float32 tensor (n, c, h, w)."""
    full = image if image.ndim == 4 else image[..., None]
    return torch.from_numpy(np.ascontiguousarray(full.transpose(0, 3, 1, 2), dtype=np.float32))


def _numbers(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.astype(np.int64))[:, None]


_SEEN: dict[str, Callable[[Buffers], Tensor]] = {
    "views": lambda b: _planes(to_srgb(b.linear)),
    "linear": lambda b: _planes(b.linear),
    "albedo": lambda b: _planes(b.albedo),
    "shading": lambda b: _planes(b.shading),
    "normal": lambda b: _planes(b.normal),
    "depth": lambda b: _planes(b.depth),
    "mask": lambda b: _planes(b.object == OBJECT),
    "surface": lambda b: _planes(b.object != SKY),
    "position": lambda b: _planes(b.position),
    "object": lambda b: _numbers(b.object),
    "face": lambda b: _numbers(b.face),
}


def _one(take: Take, name: str) -> Tensor:
    if name == "extrinsics":
        return torch.from_numpy(take.cameras.extrinsics).float()
    if name == "intrinsics":
        return torch.from_numpy(take.cameras.intrinsics).float()
    return _SEEN[name](buffers(take))


def _flows(take: Take, backward: bool, part: int) -> Tensor:
    film = take.film
    pairs = ((t + 1, t) if backward else (t, t + 1) for t in range(len(film) - 1))
    return torch.stack([film.flow(start, end)[part] for start, end in pairs])


def truth(take: Take, held: Take | None = None, moving: bool = False, **instead: Callable[[], Tensor] | None) -> Lazy:
    """The truth of one item, tensors by name, made on first access.

    There are n views of h x w px; tensors are float32 unless another type is named. `views` (n, 3, h, w) are sRGB in
    [0, 1]; `linear` and `albedo` (n, 3, h, w) linear light; `shading` is (n, 1, h, w), with linear = albedo x shading;
    `normal` (n, 3, h, w) unit vectors in camera axes, 0 at the sky; `depth` (n, 1, h, w) camera z, 0 at the sky;
    `position` (n, 3, h, w) world coordinates; `mask` and `surface` (n, 1, h, w) 1 on the object, and on anything but
    sky; `object` (n, 1, h, w) int64 ids, -1 sky, 0 ground, 1 object; `face` (n, 1, h, w) int64, the object's face or
    -1; `extrinsics` (n, 4, 4) and `intrinsics` (n, 3, 3) as in `bench.surfaces.camera`.

    `held` adds what other cameras see, under names that begin with `held_`. `moving` adds `flow` (n - 1, 2, h, w) in
    pixels from frame t to t + 1, `backward` from t + 1 to t, and `visible`, `visible_backward` (n - 1, 1, h, w), 1
    where the point is seen in the other frame. `instead` replaces how a tensor is made; None leaves its name out.
    """
    names = (*_SEEN, "extrinsics", "intrinsics")
    makers: dict[str, Callable[[], Tensor]] = {name: partial(_one, take, name) for name in names}
    if held is not None:
        makers |= {f"held_{name}": partial(_one, held, name) for name in HELD_NAMES}
    if moving:
        makers["flow"] = partial(_flows, take, False, 0)
        makers["visible"] = partial(_flows, take, False, 1)
        makers["backward"] = partial(_flows, take, True, 0)
        makers["visible_backward"] = partial(_flows, take, True, 1)
    return Lazy(**{name: make for name, make in (makers | instead).items() if make is not None})


def camera(take: Take) -> Tensor:
    """Camera to world of each view, row by row: (n, 16)."""
    return torch.from_numpy(take.cameras.to_world).float().reshape(-1, 16)


def depth(take: Take) -> Tensor:
    """Normalised inverse depth (n, 1, h, w) in [0, 1]: 1 at the nearest surface of all views, 0 at the sky."""
    return _planes(closeness(buffers(take).depth))


def views(take: Take) -> Tensor:
    """The pictures that the views show (n, 3, h, w), sRGB in [0, 1]."""
    return _one(take, "views")


def channels(take: Take) -> Tensor:
    """CHANNELS of one view as images (3, 3, h, w) in [0, 1].

    Albedo and (grey) shading / SHADING_MAX are encoded as sRGB; unit normals u are stored as (u + 1) / 2.
    """
    seen = buffers(take)
    grey = np.repeat(to_srgb(seen.shading / SHADING_MAX)[..., None], 3, -1)
    return _planes(np.concatenate([to_srgb(seen.albedo), (seen.normal + 1) / 2, grey]))
