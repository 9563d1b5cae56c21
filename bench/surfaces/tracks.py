"""Exact motion: where the point that a pixel sees lies in another frame, whether it is seen there, and tracks.

Nothing is estimated. A `Film` knows the cameras, how every object moves, and what a ray hits first. To follow a pixel,
the point it sees is moved with its object, and a ray tells whether that point is the first one seen in the other frame.
"""

from collections.abc import Callable
from dataclasses import InitVar, dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from ..canvas import Canvas
from ..catalogue.content import digest
from .camera import Array, Cameras, inverse
from .clip import Clip
from .mesh import Ids

Mask = npt.NDArray[np.bool_]
Cast = Callable[[int, Array, Array], tuple[Ids, Array]]
"""Casts rays: (frame, origin (3,), directions (n, 3)) to object ids (n,), -1 for the sky, and ray parameters (n,)."""
TOLERANCE = 1e-3
"""Largest relative difference between two depths of one surface."""


@dataclass(frozen=True, eq=False)
class Film:
    """Frames of moving objects, one camera for each frame."""

    cameras: Cameras
    poses: dict[int, Array]
    """Poses (frames, 4, 4), object to world, by object id; objects without poses stand still."""
    cast: Cast
    content: str
    """Identity of the objects as any text: part of the digest."""

    def __len__(self) -> int:
        return len(self.cameras)

    @cached_property
    def digest(self) -> str:
        """12 hex digits of everything that determines the motion."""
        return digest([self.cameras.digest, self.content, self.poses])

    def coarser(self, factor: int) -> "Film":
        """This film with `factor` x `factor` pixels merged into one."""
        return self if factor == 1 else replace(self, cameras=self.cameras.coarser(factor))

    def hits(self, frame: int) -> tuple[Ids, Array]:
        """Object ids (h, w) and points (h, w, 3) that pixel centres see; at the sky -1 and directions instead."""
        origin, directions = self.cameras.rays(frame)
        flat = directions.reshape(-1, 3)
        which, along = self.cast(frame, origin, flat)
        points = np.where(which[:, None] < 0, flat, origin + np.where(which < 0, 0, along)[:, None] * flat)
        shape = (self.cameras.height, self.cameras.width)
        return which.reshape(shape), points.reshape(*shape, 3)

    def carry(self, which: Ids, points: Array, start: int, end: int) -> tuple[Array, Array]:
        """Pixels (..., 2) and depth (...) in frame `end` of points that frame `start` sees (see `hits`).

        The depth of the sky is infinite, and -1 where it lies behind the camera.
        """
        for id, poses in self.poses.items():
            move = poses[end] @ inverse(poses[start])
            points = np.where((which == id)[..., None], points @ move[:3, :3].T + move[:3, 3], points)
        pixels, depth = self.cameras.project(end, points)
        far, ahead = self.cameras.project(end, points, directions=True)
        sky = which < 0
        return np.where(sky[..., None], far, pixels), np.where(sky, np.where(ahead > 0, np.inf, -1.0), depth)

    def seen(self, which: Ids, pixels: Array, depth: Array, frame: int) -> Mask:
        """Whether points at those pixels and depths of `frame` are inside the picture, with nothing before them."""
        inside = (pixels >= 0).all(-1) & (pixels[..., 0] < self.cameras.width)
        inside &= (pixels[..., 1] < self.cameras.height) & (depth > 0)
        visible = np.zeros(inside.shape, bool)
        origin, directions = self.cameras.rays(frame, pixels[inside])
        there, along = self.cast(frame, origin, directions)
        wanted, expected = which[inside], depth[inside]
        sky = wanted < 0
        close = np.abs(np.where(sky, 0, along) - np.where(sky, 0, expected)) <= TOLERANCE * np.where(sky, 1, expected)
        visible[inside] = (there == wanted) & close
        return visible

    def flow(self, start: int, end: int) -> tuple[Float[Tensor, "2 h w"], Float[Tensor, "1 h w"]]:
        """Flow (dx, dy) in pixels of every pixel of frame `start`, and 1 where its point is seen in frame `end`."""
        which, points = self.hits(start)
        pixels, depth = self.carry(which, points, start, end)
        seen = self.seen(which, pixels, depth, end)
        moved = pixels - self.cameras.pixels
        return torch.as_tensor(moved).permute(2, 0, 1).float(), torch.as_tensor(seen)[None].float()


@dataclass(frozen=True)
class Tracks(Clip):
    """The frames of a clip that look at tracks: pixels that see one point share a cell.

    A pixel joins the cell of the earliest frame in which its point is seen; a point that is seen first opens a cell. So
    `shape` is flat, with one cell for each track, and nothing drifts: correspondence is never chained over frames.
    """

    digest: str
    """Hash of the film; two instances are equal if their fields are."""
    film: InitVar[Film]

    def __post_init__(self, film: Film) -> None:
        Clip.__post_init__(self)
        object.__setattr__(self, "_film", film)

    @staticmethod
    def of(film: Film) -> "Tracks":
        """The tracks of a film."""
        return Tracks(len(film), film.cameras.height, film.cameras.width, film.digest, film)

    def canvas(self, factor: int = 1, stride: float | None = None) -> Canvas:
        """The canvas with one view for each frame, `factor` pixels to a side of a cell; `stride` is ignored."""
        self.check(factor)
        whole: Film = self.__dict__["_film"]
        film = whole.coarser(factor)
        hits = [film.hits(frame) for frame in range(len(film))]
        index: list[Ids] = []
        cells = 0
        for frame, (which, _) in enumerate(hits):
            cell = np.full(which.shape, -1, np.int64)
            for past in range(frame):
                open_ = np.nonzero(cell < 0)
                row, column, seen = _reached(film, hits, open_, frame, past)
                cell[open_[0][seen], open_[1][seen]] = index[past][row, column]
            new = cell < 0
            cell[new] = cells + np.arange(int(new.sum()))
            cells += int(new.sum())
            index.append(cell)
        stacked = torch.as_tensor(np.stack(index))
        return Canvas(stacked, torch.ones(stacked.shape), (cells,))


def _reached(
    film: Film, hits: list[tuple[Ids, Array]], at: tuple[Ids, ...], frame: int, past: int
) -> tuple[Ids, Ids, Mask]:
    """Rows and columns in frame `past` of the points that pixels `at` of `frame` see, and which of them are seen there.

    Only points that are seen have a row and a column. The pixel of `past` must see the same surface: its own point has
    to come back to within a pixel.
    """
    which, points = hits[frame][0][at], hits[frame][1][at]
    pixels, depth = film.carry(which, points, frame, past)
    seen = film.seen(which, pixels, depth, past)
    column, row = np.floor(pixels[seen]).astype(np.int64).T
    there, back_points = hits[past][0][row, column], hits[past][1][row, column]
    back, ahead = film.carry(there, back_points, past, frame)
    own = np.stack([at[1], at[0]], -1)[seen] + 0.5
    same = (there == which[seen]) & (ahead > 0) & (np.abs(back - own).max(-1) <= 1.0)
    seen[seen] = same
    return row[same], column[same], seen
