"""Views of things that were photographed or scanned, with their cameras: NeRF, COLMAP, CO3D, NAVI, SyncDreamer's GSO.

`path` names a capture, a folder of captures, or a jsonl, json or csv file with `cameras` (a capture, relative to that
file) and `prompt`, and if wanted `id` and `negative` (see `layouts.capture_rows`). Cameras are brought to the
convention of `surfaces.camera` and to the reference world's size: they look at a point half a unit above the origin,
from 2 units away on average. Lens distortion is undone, pictures are cut to their middle square.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ..bench.files.reading import read_bytes
from ..bench.limits import Length, Views, check_size
from ..bench.surfaces.camera import Cameras, closeness
from ..bench.surfaces.lazy import Lazy
from ..bench.surfaces.shared import Apart
from ..bench.types import Family, Item, Sampling, SyncbenchError
from ..bench.world.grammar import is_caption
from ._shots import masked, normals, positions, square_cameras, square_depth, square_masks, square_pictures
from .layouts.capture_rows import found_captures
from .layouts.captures import Capture, Shot

SEEN = ("views", "mask", "depth", "surface", "position", "normal", "object")
"""Names of the truth beside the cameras, as in `world.truth.truth`, where the capture knows them."""


@dataclass(frozen=True, kw_only=True)
class PosedViews:
    """One item per capture, whose views are to be imagined from its cameras. The photographs are the truth."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "prior"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    """A capture, a folder of captures, or a file that lists them. The path is no part of a result's identity."""
    prompt: str = ""
    """What captures without a prompt of their own show."""
    views: Views = 4
    """Number of views, evenly spaced over a capture's pictures."""
    held: Views = 4
    """Number of held-out views among the other pictures, or as many as there are."""
    size: Length = 256
    """Height and width of a view in pixels; the model's native size."""
    up: Literal["x", "y", "z"] = "z"
    """The axis of the capture's world that points up; z in Blender's and in scanned objects."""

    def items(self) -> list[Item]:
        """One item for each capture. Pictures are read when needed. Raises SyncbenchError for one that cannot be used.

        `truth` has `views`, `extrinsics` and `intrinsics`; `mask` where pictures have masks or transparency; `depth`,
        `position`, `normal` (by differences) and `surface` where there are depth maps; and the same names with `held_`.
        `conditions` are `camera`, `image` (the first view) and, where there is depth, `depth`.
        """
        if self.views < 2:
            raise SyncbenchError(f"posed_views needs at least 2 views, not {self.views}")
        check_size("an item", self.views + self.held, self.size, self.size)
        return [self._item(capture, negative) for capture, negative in found_captures(self.path, self.prompt)]

    def _item(self, capture: Capture, negative: str) -> Item:
        count = len(capture.shots)
        if count < self.views:
            raise SyncbenchError(
                f"capture '{capture.id}' has {count} pictures, fewer than {self.views}: lower posed_views.views"
            )
        chosen = np.arange(self.views) * count // self.views
        others = np.setdiff1d(np.arange(count), chosen)
        held = others[np.arange(min(self.held, len(others))) * len(others) // max(1, min(self.held, len(others)))]
        shots = [capture.shots[number] for number in [*chosen, *held]]
        every, scale = square_cameras(shots, self.size, self.up)
        shown, apart = every[: self.views], every[self.views :]
        seen = _Seen(shots[: self.views], shown, self.size, scale)
        truth = seen.truth()
        if len(apart):
            hidden = _Seen(shots[self.views :], apart, self.size, scale)
            truth |= {f"held_{name}": make for name, make in hidden.truth().items()}
        conditions: dict[str, Callable[[], Tensor]] = {
            "camera": lambda: torch.as_tensor(shown.to_world).float().reshape(-1, 16),
            "image": lambda: seen.made("views")[:1],
        }
        if "depth" in truth:
            conditions["depth"] = lambda: torch.as_tensor(closeness(seen.made("depth").numpy()))
        total = sha256(every.digest.encode())
        for file in [file for shot in shots for file in shot.files]:
            total.update(sha256(read_bytes(file)).digest())
        return Item(
            id=capture.id,
            family=self.family,
            world=is_caption(capture.prompt),
            prompts=(capture.prompt,),
            surface=Apart(self.views, self.size, self.size),
            protocol=Sampling(negative=negative),
            conditions=Lazy(**conditions),
            truth=Lazy(**truth),
            content=total.hexdigest()[:12],
        )


class _Seen:
    """What some cameras of a capture saw, each tensor read once."""

    def __init__(self, shots: Sequence[Shot], cameras: Cameras, size: int, scale: float) -> None:
        self._cameras = cameras
        self._depth = cache(lambda: square_depth(shots, size, scale))
        self._mask = cache(lambda: square_masks(shots, size))
        self._views = cache(lambda: square_pictures(shots, size))
        self._has_depth = all(shot.depth is not None for shot in shots)
        self._has_mask = self._has_depth or masked(shots)

    def truth(self) -> dict[str, Callable[[], Tensor]]:
        """Makers of the truth that is known, by name."""
        geometry = ("depth", "surface", "position", "normal") if self._has_depth else ()
        names = ("views", *(("mask", "object") if self._has_mask else ()), *geometry)
        makers: dict[str, Callable[[], Tensor]] = {name: lambda name=name: self.made(name) for name in names}
        makers["extrinsics"] = lambda: torch.as_tensor(self._cameras.extrinsics).float()
        makers["intrinsics"] = lambda: torch.as_tensor(self._cameras.intrinsics).float()
        return makers

    def made(self, name: str) -> Tensor:
        """One of SEEN."""
        if name == "views":
            return self._views()
        depth, mask = self._depth(), self._mask()
        if mask is None:
            mask = (depth > 0).float() if depth is not None else torch.ones_like(self._views()[:, :1])
        if name == "mask":
            return mask
        if name == "object":
            return torch.where(mask > 0.5, 1, 0)
        if depth is None:
            raise SyncbenchError(f"this capture has no depth, so there is no {name}")
        if name == "surface":
            return (depth > 0).float()
        return {"depth": lambda: depth, "position": lambda: positions(self._cameras, depth)}.get(
            name, lambda: normals(self._cameras, depth)
        )()
