"""Clips of your own to be edited: video files with prompts, read through FFmpeg.

One clip: `path=run.mp4` and `prompt=...`. Several: `path` names a jsonl or csv file with `video` (a path, relative to
that file) and `prompt`, and if wanted `id` and `negative`. Motion is not known, so every pixel is a cell of its own.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..bench.geometry.shared import Apart
from ..bench.types import Family, Item, Sampling, SyncbenchError
from .meshes import read_rows

CONTAINERS = "mov,matroska,avi,gif,apng,webp,mpegts,mpeg,flv,ogg,asf,ivf,yuv4mpegpipe,mjpeg,h264,hevc"
"""FFmpeg's names of the formats that hold a clip themselves. Playlists are none: they make FFmpeg open other files."""
PIXELS = 2**25
"""Most pixels of a frame."""


@dataclass(frozen=True, kw_only=True)
class Videos:
    """One item per clip: edit `conditions["video"]` to the prompt. There is no truth."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "frames"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    """A video file, or a jsonl or csv file that names some. Its place is no part of a result's identity."""
    prompt: str = ""
    """What a single clip is to become."""
    frames: int = 8
    """Frames taken from the beginning; fewer where the clip ends sooner."""
    every: int = 1
    """Take one frame of so many."""
    size: int = 512
    """Height and width in pixels: frames are scaled until the short side fits, and their middle is kept."""

    def items(self) -> list[Item]:
        """The clips in order; an id ends with digits of the clip's content.

        Raises SyncbenchError, in one sentence, for a clip that cannot be used.
        """
        if self.frames < 2 or self.every < 1 or self.size < 1:
            raise SyncbenchError("videos needs at least 2 frames, every 1 or more, and a positive size")
        return [self._item(row) for row in read_rows(self.path, "video", self.prompt)]

    def _item(self, row: dict[str, str]) -> Item:
        clip = read_clip(row["video"], self.frames, self.every, self.size)
        digest = sha256(clip.numpy().tobytes()).hexdigest()[:6]
        return Item(
            id=f"{row['id']}-{digest}",
            family=self.family,
            prompts=(row["prompt"],),
            surface=Apart(len(clip), self.size, self.size),
            protocol=Sampling(negative=row["negative"]),
            conditions={"video": clip},
        )


def read_clip(path: str, frames: int, every: int, size: int) -> Float[Tensor, "t 3 size size"]:
    """The first frames of a video in [0, 1], the middle square of each. Raises SyncbenchError with the cause."""
    if not Path(path).is_file():
        raise SyncbenchError(f"no video file '{path}'")
    found: list[np.ndarray] = []
    try:
        with av.open(path, options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}) as container:
            if not container.streams.video:
                raise SyncbenchError(f"{path}: there is no picture in this file, only {_kinds(container)}")
            stream = container.streams.video[0]
            if stream.width * stream.height > PIXELS:
                raise SyncbenchError(
                    f"{path}: {stream.width} x {stream.height} px are more than the {PIXELS:,} px read"
                )
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    found.append(frame.to_ndarray(format="rgb24"))
                if found[-1].shape != found[0].shape:
                    (high, wide), (first, second) = found[-1].shape[:2], found[0].shape[:2]
                    raise SyncbenchError(
                        f"{path}: frame {number} is {wide} x {high} px, but the first was {second} x {first}; "
                        "re-encode the clip at one size"
                    )
                if len(found) == frames:
                    break
    except (av.FFmpegError, ValueError) as error:
        raise SyncbenchError(
            f"{path}: FFmpeg cannot read this video ({error}); playlists and lists of files are none"
        ) from error
    if len(found) < 2:
        many = "one frame" if found else "no frames"
        raise SyncbenchError(f"{path}: {many} of one in {every}; a clip needs at least two")
    clip = torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 255
    high, wide = clip.shape[2:]
    scale = size / min(high, wide)
    new = max(size, round(high * scale)), max(size, round(wide * scale))
    if new != (high, wide):
        clip = F.interpolate(clip, new, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    top, left = (new[0] - size) // 2, (new[1] - size) // 2
    return clip[..., top : top + size, left : left + size].contiguous()


def _kinds(container: Any) -> str:
    return ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
