"""Clips of your own to be edited: video files with prompts, read through FFmpeg.

One clip: `path=run.mp4` and `prompt=...`. Several: `path` names a jsonl, json or csv file with `video` (a path,
relative to that file) and `prompt`, and if wanted `id` and `negative`. Motion is not known, so it is estimated: methods
that synchronise frames do so along tracks of optical flow. Frames are taken as a player shows them: turned as the
file's header says, with square pixels, and with transparent pixels on white.
"""

from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from typing import Annotated, Any, ClassVar

import av
import numpy as np
import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..bench.errors import quoted
from ..bench.files.reading import is_file
from ..bench.limits import PIXELS, Length, check_size
from ..bench.types import Family, Item, Sampling, SyncbenchError
from ..bench.world.grammar import is_caption
from ._tracks import Motion, tracks_of
from .meshes import files_of

FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,obu,flv,ogg,asf,nut,gif,apng,webp_pipe,mjpeg,"
    "mxf,dv,yuv4mpegpipe"
)
"""FFmpeg's names of the containers that are read. Containers that name other files, such as playlists, are left out."""
WIDEST = 20
"""Largest ratio of a frame's longer side to its shorter one."""


@dataclass(frozen=True, kw_only=True)
class Videos:
    """One item per clip: `conditions["video"]` is to be edited to fit the prompt. There is no truth."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "frames"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    """A video file, or a jsonl, json or csv file that names several. The path is no part of a result's identity."""
    prompt: str = ""
    """Prompt of a single clip: what it is to become."""
    frames: Annotated[int, Interval(ge=2, le=1_000)] = 8
    """Number of frames taken from the beginning; fewer where the clip is shorter."""
    every: Annotated[int, Interval(ge=1, le=100_000)] = 1
    """Distance between frames that are taken: 1 takes every frame, 2 every second one."""
    size: Length = 512
    """Height and width in pixels: the short side of a frame is scaled to it, and the middle square is kept."""
    motion: Motion = "dis"
    """How tracks through a clip are found: by the optical flow of this name, or not at all (`none`)."""

    def items(self) -> list[Item]:
        """One item for each clip, in order; its id ends with digits of the frames' hash.

        Raises SyncbenchError for a clip that cannot be used.
        """
        if self.frames < 2 or self.every < 1 or self.size < 1:
            raise SyncbenchError("videos needs at least 2 frames, every 1 or more, and a positive size")
        check_size("a clip", self.frames, self.size, self.size)
        return [self._item(row) for row in files_of("videos", self.path, "video", self.prompt)]

    def _item(self, row: dict[str, str]) -> Item:
        clip = read_clip(row["video"], self.frames, self.every, self.size)
        digest = sha256(clip.numpy().tobytes()).hexdigest()
        return Item(
            id=f"{row['id']}-{digest[:6]}",
            family=self.family,
            world=is_caption(row["prompt"]),
            prompts=(row["prompt"],),
            surface=tracks_of(lambda: clip, (len(clip), self.size, self.size), digest[:12], self.motion),
            protocol=Sampling(negative=row["negative"]),
            conditions={"video": clip},
        )


def read_clip(path: str, frames: int, every: int, size: int) -> Float[Tensor, "t 3 size size"]:
    """The middle squares, in [0, 1], of the first `frames` frames of a video, of which one in `every` is taken.

    Raises SyncbenchError for a file that is missing, no video, too large, or of fewer than two frames.
    """
    name = quoted(path)
    if not is_file(path):
        raise SyncbenchError(f"no video file '{name}'")
    taken: list[Tensor] = []
    try:
        with av.open(path, options={"format_whitelist": FORMATS, "protocol_whitelist": "file"}) as container:
            if not container.streams.video:
                raise SyncbenchError(f"{name}: there is no picture in this file, only {_kinds(container)}")
            stream = container.streams.video[0]
            if stream.width * stream.height > PIXELS:
                raise SyncbenchError(
                    f"{name}: {stream.width} x {stream.height} px are more than the {PIXELS:,} px that are read"
                )
            pixel = stream.sample_aspect_ratio or Fraction(1)
            first = (0, 0)
            for number, frame in enumerate(container.decode(video=0)):
                if number == 0:
                    first = frame.width, frame.height
                if (frame.width, frame.height) != first:
                    raise SyncbenchError(
                        f"{name}: frame {number} is {frame.width} x {frame.height} px, but the first was "
                        f"{first[0]} x {first[1]}; re-encode the clip at one size"
                    )
                if number % every == 0:
                    taken.append(_square(frame, pixel, size, name))
                if len(taken) == frames:
                    break
    except (av.FFmpegError, ValueError) as error:
        raise SyncbenchError(
            f"{name}: FFmpeg cannot read this video ({error}); playlists and lists of files are none"
        ) from error
    if len(taken) < 2:
        many = "one frame" if taken else "no frames"
        raise SyncbenchError(f"{name}: {many} of one in {every}; a clip needs at least two")
    return torch.stack(taken)


def _square(frame: av.VideoFrame, pixel: Fraction, size: int, name: str) -> Float[Tensor, "3 size size"]:
    """The middle square of a frame as a player shows it, its short side scaled to `size`.

    `pixel` is the width of a stored pixel over its height, and `name` is the file's, for messages. Raises
    SyncbenchError for a frame that is too narrow.
    """
    shown, turned = _upright(_opaque(frame), frame, name)
    high, wide = shown.shape[:2]
    across, down = (1.0, float(pixel)) if turned else (float(pixel), 1.0)
    tall, broad = high * down, wide * across
    if max(tall, broad) > WIDEST * min(tall, broad):
        raise SyncbenchError(f"{name}: a frame of {broad:g} x {tall:g} px is too narrow for a square to be cut from it")
    scale = size / min(tall, broad)
    new = max(size, round(tall * scale)), max(size, round(broad * scale))
    picture = torch.from_numpy(np.ascontiguousarray(shown)).permute(2, 0, 1)[None].float() / 255
    if new != (high, wide):
        picture = F.interpolate(picture, new, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    top, left = (new[0] - size) // 2, (new[1] - size) // 2
    return picture[0, :, top : top + size, left : left + size].contiguous()


def _opaque(frame: av.VideoFrame) -> np.ndarray:
    """The frame's levels (h, w, 3), 0 to 255; transparent pixels are laid on white."""
    if not (frame.format.has_palette or any(component.is_alpha for component in frame.format.components)):
        return frame.to_ndarray(format="rgb24")
    levels = frame.to_ndarray(format="rgba").astype(np.float32)
    share = levels[..., 3:] / 255
    return levels[..., :3] * share + 255 * (1 - share)


def _upright(picture: np.ndarray, frame: av.VideoFrame, name: str) -> tuple[np.ndarray, bool]:
    """The picture turned and mirrored by the display matrix of its header, and whether rows became columns.

    The matrix moves the point (x, y) to (a x + c y, b x + d y). Raises SyncbenchError for other turns than by multiples
    of 90 degrees.
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


def _kinds(container: Any) -> str:
    return ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
