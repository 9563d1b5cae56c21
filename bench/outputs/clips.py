"""Clips that other programs write: video files through FFmpeg; GIF, animated WebP and PNG through Pillow.

Frames keep their size. They are turned as the file's header says, and transparent pixels are laid on white.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import SyncbenchError, quoted
from ..files.film import FORMATS, opaque, upright
from ..files.reading import is_file
from .pictures import check_pixels, read_animation, undamaged

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
            shown, _ = upright(opaque(frame).astype(np.float32) / np.float32(255), frame, quoted(path))
            shown = np.ascontiguousarray(shown)
            yield torch.from_numpy(shown).permute(2, 0, 1).contiguous()
