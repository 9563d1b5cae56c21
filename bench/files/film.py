"""Decoded frames of clips as a player shows them: transparent pixels on white, turned as the file's header says."""

from typing import Any

import av
import numpy as np

from ..errors import SyncbenchError

FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,obu,flv,ogg,asf,nut,gif,apng,webp_pipe,mjpeg,"
    "mxf,dv,yuv4mpegpipe"
)
"""FFmpeg's names of the containers that are read. Containers that name other files, such as playlists, are left out."""


def opaque(frame: av.VideoFrame) -> np.ndarray:
    """The frame's levels (h, w, 3), 0 to 255; transparent pixels are laid on white."""
    if not (frame.format.has_palette or any(component.is_alpha for component in frame.format.components)):
        return frame.to_ndarray(format="rgb24")
    levels = frame.to_ndarray(format="rgba").astype(np.float32)
    share = levels[..., 3:] / 255
    return levels[..., :3] * share + 255 * (1 - share)


def upright(picture: np.ndarray, frame: av.VideoFrame, name: str) -> tuple[np.ndarray, bool]:
    """The picture turned and mirrored by the display matrix of its header, and whether rows became columns.

    The matrix moves the point (x, y) to (a x + c y, b x + d y). Raises SyncbenchError, which begins with `name`, for
    other turns than by multiples of 90 degrees.
    """
    side: Any = frame.side_data
    stored = side.get("DISPLAYMATRIX")
    matrix = b"" if stored is None else bytes(stored)
    if len(matrix) < 36:
        return picture, False
    (a, b, _), (c, d, _) = np.frombuffer(matrix[:36], np.int32).reshape(3, 3)[:2].astype(float) / 2**16
    turned = abs(b) > abs(a)
    kept, lost = ((b, c), (a, d)) if turned else ((a, d), (b, c))
    if max(map(abs, lost)) > 0.01 * min(map(abs, kept)):
        raise SyncbenchError(f"{name}: the clip's header turns it by no multiple of 90 degrees; re-encode it upright")
    shown = picture.transpose(1, 0, 2) if turned else picture
    along_x, along_y = (c, b) if turned else (a, d)
    return shown[:: -1 if along_y < 0 else 1, :: -1 if along_x < 0 else 1], turned
