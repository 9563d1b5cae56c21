"""Clips that other programs write: video files through FFmpeg; GIF, animated WebP and PNG through Pillow.

Frames keep their size. They are turned as the file's header says, and transparent pixels are laid on white.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import SyncbenchError, quoted
from ..files.reading import is_file
from .pictures import check_pixels, on_white, read_animation, undamaged

FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,obu,flv,ogg,asf,nut,mjpeg,mxf,dv,yuv4mpegpipe"
)
"""FFmpeg's names of the containers that are read; those that name other files, such as playlists, are left out."""
ENDINGS = frozenset(
    f".{ending}"
    for ending in [
        "mp4",
        "mov",
        "m4v",
        "mkv",
        "webm",
        "avi",
        "ts",
        "mpg",
        "mpeg",
        "ogv",
        "wmv",
        "flv",
        "nut",
        "y4m",
        "gif",
        "apng",
    ]
)
"""Endings of names of clips; a WebP or PNG with several frames is one, too."""


def read_frames(path: Path, most: int) -> list[Float[Tensor, "3 h w"]]:
    """The frames of a clip, sRGB in [0, 1], as they are shown; `most` + 1 where it has more than `most`.

    Raises SyncbenchError for a file that is missing, no clip or damaged, or whose frames have more than PIXELS.
    """
    if not is_file(path):
        raise SyncbenchError(f"no clip '{quoted(path)}'")
    still = path.suffix.lower() in (".gif", ".apng", ".webp", ".png")
    frames: list[Tensor] = []
    with undamaged(path):
        for frame in read_animation(path) if still else _decoded(path):
            if frames and frame.shape != frames[0].shape:
                raise SyncbenchError(f"{quoted(path)}: frame {len(frames)} has another size than the first")
            frames.append(frame)
            if len(frames) > most:
                break
    if not frames:
        raise SyncbenchError(f"{quoted(path)}: no frames in this clip")
    return frames


def _decoded(path: Path) -> Iterator[Float[Tensor, "3 h w"]]:
    with av.open(str(path), options={"format_whitelist": FORMATS, "protocol_whitelist": "file"}) as container:
        if not container.streams.video:
            raise SyncbenchError(f"{quoted(path)}: there is no picture in this file")
        stream = container.streams.video[0]
        check_pixels(stream.width, stream.height, path)
        for frame in container.decode(video=0):
            check_pixels(frame.width, frame.height, path)
            clear = frame.format.has_palette or any(part.is_alpha for part in frame.format.components)
            levels = frame.to_ndarray(format="rgba" if clear else "rgb24").astype(np.float32) / np.float32(255)
            shown = np.ascontiguousarray(_upright(on_white(levels), frame, path))
            yield torch.from_numpy(shown).permute(2, 0, 1).contiguous()


def _upright(picture: np.ndarray, frame: av.VideoFrame, path: Path) -> np.ndarray:
    """The picture (h, w, 3) turned and mirrored by the display matrix of its header.

    The matrix takes the point (x, y) to (a x + c y, b x + d y). Raises SyncbenchError for turns by other angles than
    multiples of 90 degrees.
    """
    side: Any = frame.side_data
    stored = side.get("DISPLAYMATRIX")
    matrix = b"" if stored is None else bytes(stored)
    if len(matrix) < 36:
        return picture
    (a, b, _), (c, d, _) = np.frombuffer(matrix[:36], np.int32).reshape(3, 3)[:2].astype(float) / 2**16
    turned = abs(b) > abs(a)
    kept, lost = ((b, c), (a, d)) if turned else ((a, d), (b, c))
    if max(map(abs, lost)) > 0.01 * min(map(abs, kept)):
        raise SyncbenchError(f"{quoted(path)}: its header turns it by no multiple of 90 degrees; re-encode it upright")
    along_x, along_y = (c, b) if turned else (a, d)
    shown = picture.transpose(1, 0, 2) if turned else picture
    return shown[:: -1 if along_y < 0 else 1, :: -1 if along_x < 0 else 1]
