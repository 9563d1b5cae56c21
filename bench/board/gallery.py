"""The pictures of a board: one WebP a sample, one WebM a clip, as data URIs."""

# pyright: reportUnknownMemberType=false
# (PyAV's types are only partly known.)

import base64
import io
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from PIL import Image
from torch import Tensor

from ..show import INPUT, SECOND, Cell, pictured, samples
from ..store import Store
from ..types import Json

QUALITY = 88
"""Of WebP, 0 to 100. Metrics are computed from the stored PNG files, never from these."""
SMALL = 256
"""Clips narrower than this are magnified, pixel by pixel, by a whole factor: codecs are made for larger frames."""


def gallery(
    stores: Sequence[Store], datasets: Collection[str], items: int, progress: Callable[[int, int, str], None]
) -> dict[str, Json]:
    """By dataset, of those named: the `items` shown, their prompts, and the pictures by item and method.

    A picture is `{"kind", "src"}`, or says why there is none. It is of the lowest seed; the first `items` items in
    order of their ids are shown. A row `INPUT` shows what methods were given, where that is a picture.
    """
    found: dict[str, list[tuple[Store, str, Json]]] = {}
    for store in stores:
        for key in store.finished():
            job = store.job(key)
            if job is not None and job["header"]["dataset"] in datasets:
                found.setdefault(job["header"]["dataset"], []).append((store, key, job))
    shown = {name: sorted({job["header"]["item"] for _, _, job in jobs})[:items] for name, jobs in found.items()}
    total = sum(job["header"]["item"] in shown[name] for name, jobs in found.items() for _, _, job in jobs)
    done = 0
    progress(0, total, "")
    made: dict[str, Json] = {}
    for name, jobs in sorted(found.items()):
        pictures: dict[str, dict[str, Json]] = {item: {} for item in shown[name]}
        prompts: dict[str, str] = {}
        for item in shown[name]:
            mine = [one for one in jobs if one[2]["header"]["item"] == item]
            prompts[item] = mine[0][2]["identity"]["item"]["prompts"][0]
            several = len({job["header"]["model"] for _, _, job in jobs}) > 1
            for store in stores:
                part = [(key, job) for owner, key, job in mine if owner is store]
                for (label, _), cell in samples(store, part, several=several).items():
                    pictures[item].setdefault(label, _shown(cell))
            done += len(mine)
            progress(done, total, f"{name} {item}")
        made[name] = {"items": shown[name], "prompts": prompts, "pictures": pictures, "input": INPUT}
    return made


def _shown(cell: Cell) -> Json:
    if cell.views is None:
        return {"kind": "none", "why": {"error": "failed", "unsupported": "not possible"}[cell.job["status"]]}
    if cell.job["header"]["family"] == "frames" and len(cell.views) > 1:
        return {"kind": "clip", "src": _uri("video/webm", clip(cell.views))}
    picture = pictured(cell)
    assert picture is not None
    return {"kind": "picture", "src": _uri("image/webp", webp(picture)), "size": [picture.width, picture.height]}


def webp(picture: Image.Image) -> bytes:
    """A picture as WebP."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY, method=4)
    return file.getvalue()


def clip(views: Tensor) -> bytes:
    """Frames (n, 3, h, w) in [0, 1] as a VP9 clip in WebM, `show.SECOND` frames a second."""
    frames = (views * 255).round().byte().permute(0, 2, 3, 1).numpy()
    factor = max(1, -(-SMALL // frames.shape[2]))
    frames = frames.repeat(factor, 1).repeat(factor, 2)
    frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        stream: Any = container.add_stream("libvpx-vp9", rate=SECOND, options={"crf": "24", "b:v": "0", "row-mt": "1"})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.time_base = Fraction(1, SECOND)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
