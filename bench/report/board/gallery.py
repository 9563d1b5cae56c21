"""The pictures of a board as data URIs: one WebP for each sample, or one WebM for each clip."""

import base64
import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image
from torch import Tensor

from ...run.events import Tally
from ...run.loaded import Loaded
from ...store.folder import Store
from ...store.stored import StoredJob
from ...types import Json
from ..cells import DAMAGED, INPUT, SheetCell, cell_picture, input_cell, stored_cell
from ..films import SECOND
from .solids import solid

QUALITY = 88
"""Quality of WebP pictures, 0 to 100. Metrics are computed from the stored PNG files, never from these."""
SMALL = 256
"""Clips smaller than this, in pixels, are magnified by a whole factor, because codecs are made for larger frames."""

TEXTURE = 1024
"""Largest side in pixels of a texture of the viewer."""
LARGEST = 16383
"""Largest side of a WebP picture in pixels; larger pictures are scaled down."""

Board = tuple[Any, ...]
"""Values of the columns that name a leaderboard, `analysis.frame.BOARD`."""


class GallerySample(NamedTuple):
    """A sample that a gallery may show."""

    key: str
    """Key of its job."""
    name: str
    """Name of its line on the leaderboard."""
    item: str
    board: Board


def gallery(
    stores: Sequence[Store], samples: Sequence[GallerySample], items: int, meshes: int, progress: Tally
) -> dict[Board, Json]:
    """The gallery of each leaderboard: its first `items` items by id, their prompts, and pictures by item and method.

    A picture is `{"kind", "src"}`, or has `why` there is none. A row `INPUT` shows what methods were given, where that
    is a picture. Samples that no store has are left out. Of the first `meshes` items on given meshes a picture has a
    `texture`, too, for the item's shape in `shapes`.
    """
    grouped: dict[Board, dict[str, list[GallerySample]]] = {}
    for one in samples:
        grouped.setdefault(one.board, {}).setdefault(one.item, []).append(one)
    shown = {board: sorted(of)[:items] for board, of in grouped.items()}
    total, done = sum(len(grouped[board][item]) for board, some in shown.items() for item in some), 0
    progress(0, total, "")
    galleries: dict[Board, Json] = {}
    loaded = Loaded()
    for board, some in shown.items():
        pictures: dict[str, dict[str, Json]] = {}
        prompts: dict[str, str] = {}
        shapes: dict[str, Json] = {}
        for item in some:
            for one in grouped[board][item]:
                found = next(((store, job) for store in stores if (job := store.job(one.key))), None)
                cell = stored_cell(*found) if found else None
                if cell is None and any(store.folder(one.key) in store.damage for store in stores):
                    pictures.setdefault(item, {})[one.name] = {"kind": "none", "why": DAMAGED}
                if cell is not None:
                    if item not in prompts:
                        given = input_cell(cell.job, loaded)
                        pictures.setdefault(item, {}).update({} if given is None else {INPUT: _encoded(given)})
                        prompts[item] = cell.job.prompts[0]
                    pictures[item][one.name] = _encoded(cell)
                    solid_too = cell.views is not None and cell.job.header.family == "geometry"
                    if found and solid_too and (len(shapes) < meshes or item in shapes):
                        _add_solid(pictures[item][one.name], shapes, item, found, loaded)
                done += 1
                progress(done, total, f"{one.name} {item}")
        prompts = {item: prompts.get(item, "") for item in pictures}
        galleries[board] = {
            "items": list(pictures),
            "prompts": prompts,
            "pictures": pictures,
            "input": INPUT,
            "shapes": shapes,
        }
    return galleries


def _add_solid(
    picture: Json, shapes: dict[str, Json], item: str, found: tuple[Store, StoredJob], loaded: Loaded
) -> None:
    """Add a sample's texture to its `picture` and the shape of its item to `shapes`, where there are some."""
    made = solid(*found, loaded)
    if isinstance(made, str):
        return
    shapes.setdefault(item, made[0])
    flat = cell_picture(SheetCell(found[1], made[1], canvas=True))
    assert flat is not None
    flat.thumbnail((TEXTURE, TEXTURE))
    picture["texture"] = _uri("image/webp", webp(flat))


def _encoded(cell: SheetCell) -> Json:
    """A sample as a picture or clip of the gallery, or the reason why it has none."""
    if cell.views is None:
        return {"kind": "none", "why": cell.why}
    if cell.job.header.family == "frames" and len(cell.views) > 1:
        try:
            return {"kind": "clip", "src": _uri("video/webm", webm_clip(cell.views))}
        except FFmpegError as error:
            return {"kind": "none", "why": f"no clip of {cell.views.shape[3]} x {cell.views.shape[2]} px ({error})"}
    picture = cell_picture(cell)
    assert picture is not None
    picture.thumbnail((LARGEST, LARGEST))
    return {"kind": "picture", "src": _uri("image/webp", webp(picture)), "size": [picture.width, picture.height]}


def webp(picture: Image.Image) -> bytes:
    """The bytes of a picture as WebP."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY, method=4)
    return file.getvalue()


def webm_clip(views: Tensor) -> bytes:
    """The bytes of frames (n, 3, h, w) in [0, 1] as a VP9 clip in WebM, `films.SECOND` frames a second."""
    frames = (views * 255).round().byte().permute(0, 2, 3, 1).numpy()
    factor = max(1, -(-SMALL // max(frames.shape[1:3])))
    frames = frames.repeat(factor, 1).repeat(factor, 2)
    frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    file = io.BytesIO()
    # bitexact: no random ids, so that the same frames are the same bytes
    with av.open(file, "w", format="webm", options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream(
            "libvpx-vp9", rate=SECOND, options={"crf": "24", "b:v": "0", "flags": "+bitexact"}
        )
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.time_base = Fraction(1, SECOND)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
