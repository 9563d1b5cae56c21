"""Clips of a user's own as tensors: video files through FFmpeg, and folders of pictures.

Frames are taken as a player shows them: turned as the file's header says, with square pixels, and with transparent
pixels on white.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import av
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..bench.errors import SyncbenchError, quoted
from ..bench.files.film import FORMATS, opaque, upright
from ..bench.files.reading import is_file, is_folder
from ..bench.limits import PIXELS, check_size
from ._pictures import opened_picture, picture_files, read_picture, undamaged

WIDEST = 20
"""Largest ratio of a frame's longer side to its shorter one."""
MULTIPLE = 8
"""Heights and widths of frames that keep their shape are multiples of it, as Stable Diffusion's autoencoder needs."""
BRIGHT = {16: "PQ", 18: "HLG"}
"""FFmpeg's numbers of the transfer functions of high dynamic range."""
NUMBERS = 32
"""Largest level of a mask in one channel that is the number of an object; above it levels are levels of grey."""
Fit = Literal["crop", "letterbox", "keep"]
"""How a frame is brought to a model's size; see `Videos.fit`."""
STRETCH = 0.02
"""Largest relative difference between the shapes of a mask and its clip: 854 x 480 px are 1920 x 1080 px, rounded."""
Taken = Iterator[tuple[Float[Tensor, "1 c h w"], Fraction]]
"""Frames and the width of a stored pixel over its height."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Which frames of a clip are taken, and how large they become."""

    frames: int
    """Largest number of frames."""
    start: int = 0
    """Number of the first frame, from 0."""
    stop: int = 0
    """Number of the frame before which the clip ends; 0: its own end."""
    every: int = 1
    """Distance between the frames that are taken."""
    fps: float = 0.0
    """Frames per second that are taken instead, by the clip's own clock; 0: by number."""
    size: int = 512
    fit: Fit = "crop"

    def wanted(self, number: int) -> bool:
        """Whether the frame of this number is taken."""
        return number >= self.start and (number - self.start) % self.every == 0

    def over(self, number: int) -> bool:
        """Whether the clip has ended before the frame of this number."""
        return bool(self.stop) and number >= self.stop


def read_clip(path: str, cut: Cut) -> Float[Tensor, "t 3 h w"]:
    """The frames in [0, 1] of a video file or of a folder of pictures.

    Raises SyncbenchError for what is missing, no video, too large, or of fewer than two frames.
    """
    name = quoted(path)
    frames = _pictures(Path(path), cut) if is_folder(path) else _timed(path, cut) if cut.fps else _numbered(path, cut)
    taken: list[Tensor] = []
    for picture, pixel in frames:
        taken.append(_fitted(picture, pixel, cut, name))
        if len(taken) == cut.frames:
            break
    if len(taken) < 2:
        many = "only one frame is" if taken else "no frame is"
        rule = f", {cut.fps:g} a second" if cut.fps else f", one in {cut.every}" if cut.every > 1 else ""
        part = f" from number {cut.start}" if cut.start else ""
        part += f" to before number {cut.stop}" if cut.stop else ""
        raise SyncbenchError(f"{name}: {many} there{part}{rule}; a clip needs at least two")
    return torch.cat(taken)


def read_masks(path: str, cut: Cut, count: int, clip: str) -> Float[Tensor, "t 1 h w"]:
    """1 on the object and 0 elsewhere, for the `count` frames that `read_clip` takes of the file or folder `clip`.

    A PNG with a palette, or of one channel without grey levels, holds numbers of objects (0: none; 255 of a palette:
    void, as in DAVIS). Any other picture is the object where it is at least half as bright as white. One picture,
    instead of a folder or a clip, serves for all frames. Raises SyncbenchError for another number of masks, for masks
    of another shape than the clip's, and for a folder of masks where `cut` counts by seconds.
    """
    place, name = Path(path), quoted(path)
    pixels = [Fraction(1)] * count
    if is_folder(place):
        if cut.fps:
            raise SyncbenchError(f"{name}: pictures have no clock, so leave out fps, or give the masks as a clip")
        files = [file for number, file in enumerate(picture_files(place)) if cut.wanted(number)][:count]
        masks = [_mask(file) for file in files]
    elif place.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"):
        masks = [_mask(place)] * count
    else:
        taken = list(_first(_timed(path, cut) if cut.fps else _numbered(path, cut), count))
        masks = [(picture.mean(1, keepdim=True) >= 0.5).float() for picture, _ in taken]
        pixels = [pixel for _, pixel in taken]
    if len(masks) != count:
        raise SyncbenchError(
            f"{name}: {len(masks)} masks for the {count} frames that are taken; there must be one each"
        )
    shown, stretch = _opening(clip)
    wide, high = shown.shape[3] * float(stretch), shown.shape[2]
    for mask, pixel in zip(masks, pixels, strict=True):
        broad, tall = mask.shape[3] * float(pixel), mask.shape[2]
        if not 1 - STRETCH <= broad * high / (tall * wide) <= 1 + STRETCH:
            raise SyncbenchError(
                f"{name}: a mask of {broad:g} x {tall} px does not fit a clip of {wide:g} x {high} px; it may be "
                "larger or smaller, but of the same shape"
            )
    size = _fitted(shown, stretch, cut, clip).shape[2:]
    fitted = [_fitted(mask, pixel, cut, name) for mask, pixel in zip(masks, pixels, strict=True)]
    return torch.cat([(F.interpolate(mask, size) >= 0.5).float() for mask in fitted])


def _opening(path: str) -> tuple[Float[Tensor, "1 3 h w"], Fraction]:
    """A clip's first frame as a player shows it, and the width of its pixels over their height."""
    if is_folder(path):
        return read_picture(picture_files(Path(path))[0]), Fraction(1)
    return _shown(*next(_decoded(path)), quoted(path))


def _first(frames: Taken, count: int) -> Taken:
    for _, frame in zip(range(count), frames, strict=False):
        yield frame


def _mask(file: Path) -> Float[Tensor, "1 1 h w"]:
    with undamaged(file):
        image = opened_picture(file, deep=True)
        levels: Any = np.asarray(image if image.mode in ("P", "L", "I", "I;16") else image.convert("L"))
    numbered = image.mode == "P" or (image.format == "PNG" and levels[levels != 255].max(initial=0) <= NUMBERS)
    named = (levels > 0) & ((levels != 255) | (image.mode != "P"))
    inner = named if numbered else levels >= 128
    return torch.from_numpy(np.ascontiguousarray(inner, dtype=np.float32))[None, None]


def _pictures(folder: Path, cut: Cut) -> Taken:
    """The pictures of a folder. Raises SyncbenchError for one of another size, and where `cut` counts by seconds."""
    files = picture_files(folder)
    if cut.fps:
        raise SyncbenchError(f"{quoted(folder)}: pictures have no clock, so leave out fps; `every` skips frames")
    if not files:
        raise SyncbenchError(f"{quoted(folder)}: no pictures in this folder, so it is no clip")
    first: tuple[int, ...] = ()
    for number, file in enumerate(files):
        if cut.over(number):
            return
        if cut.wanted(number):
            picture = read_picture(file)
            first = first or tuple(picture.shape[2:])
            if tuple(picture.shape[2:]) != first:
                raise SyncbenchError(
                    f"{quoted(file)}: {picture.shape[3]} x {picture.shape[2]} px, but the first frame was "
                    f"{first[1]} x {first[0]}; a clip has one size"
                )
            yield picture, Fraction(1)


def _numbered(path: str, cut: Cut) -> Taken:
    """The frames of a video file that are taken by number."""
    for number, (frame, pixel) in enumerate(_decoded(path)):
        if cut.over(number):
            return
        if cut.wanted(number):
            yield _shown(frame, pixel, quoted(path))


def _timed(path: str, cut: Cut) -> Taken:
    """The frames that a player shows at times 1 / fps apart, the first one at that of frame `start`.

    So a clip of a variable frame rate keeps its speed. Raises SyncbenchError for a clip without times.
    """
    began: float | None = None
    shown: tuple[av.VideoFrame, Fraction] | None = None
    count = 0
    for number, (frame, pixel) in enumerate(_decoded(path)):
        if number < cut.start:
            continue
        time: float | None = cast(Any, frame).time
        if time is None:
            raise SyncbenchError(f"{quoted(path)}: frame {number} has no time, so leave out fps; `every` skips frames")
        began = time if began is None else began
        while shown is not None and began + count / cut.fps < time - 1e-6:
            yield _shown(*shown, quoted(path))
            count += 1
        if cut.over(number):
            return
        shown = frame, pixel
    if shown is not None:
        yield _shown(*shown, quoted(path))


def _decoded(path: str) -> Iterator[tuple[av.VideoFrame, Fraction]]:
    """All frames of a video file. Raises SyncbenchError for what is no video, is too large or has several sizes."""
    name = quoted(path)
    if not is_file(path):
        raise SyncbenchError(f"no video file '{name}'")
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
                first = first if number else (frame.width, frame.height)
                if (frame.width, frame.height) != first:
                    raise SyncbenchError(
                        f"{name}: frame {number} is {frame.width} x {frame.height} px, but the first was "
                        f"{first[0]} x {first[1]}; re-encode the clip at one size"
                    )
                yield frame, pixel
    except (av.FFmpegError, ValueError) as error:
        raise SyncbenchError(
            f"{name}: FFmpeg cannot read this video ({error}); playlists and lists of files are none"
        ) from error


def _shown(frame: av.VideoFrame, pixel: Fraction, name: str) -> tuple[Float[Tensor, "1 3 h w"], Fraction]:
    """A frame as a player shows it, and the width of its pixels over their height; `name` is the file's.

    Raises SyncbenchError for high dynamic range, which would look grey, and for an odd turn.
    """
    curve = BRIGHT.get(int(frame.color_trc or 0))
    if curve is not None:
        raise SyncbenchError(f"{name}: this clip is of high dynamic range ({curve}); tone-map it to BT.709 first")
    shown, turned = upright(opaque(frame), frame, name)
    picture = torch.from_numpy(np.ascontiguousarray(shown)).permute(2, 0, 1)[None].float() / 255
    return picture, 1 / pixel if turned else pixel


def _fitted(picture: Float[Tensor, "1 c h w"], pixel: Fraction, cut: Cut, name: str) -> Float[Tensor, "1 c H W"]:
    """A frame at the size that `cut` asks for, black beside a letterboxed one.

    `pixel` is the width of a pixel over its height. Raises SyncbenchError for a frame that is too narrow or too large.
    """
    high, wide = picture.shape[2:]
    tall, broad, size = float(high), wide * float(pixel), cut.size
    if max(tall, broad) > WIDEST * min(tall, broad):
        raise SyncbenchError(f"{name}: a frame of {broad:g} x {tall:g} px is too narrow for a square to be cut from it")
    if cut.fit == "keep":
        new = [MULTIPLE * max(1, round(side * size / min(tall, broad) / MULTIPLE)) for side in (tall, broad)]
    elif cut.fit == "letterbox":
        new = [max(1, round(side * size / max(tall, broad))) for side in (tall, broad)]
    else:
        new = [max(size, round(side * size / min(tall, broad))) for side in (tall, broad)]
    check_size(f"{name}: a clip", cut.frames, *new)
    if new != [high, wide]:
        picture = F.interpolate(picture, new, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    if cut.fit == "keep":
        return picture
    above, beside = (new[0] - size) // 2, (new[1] - size) // 2
    if cut.fit == "crop":
        return picture[:, :, above : above + size, beside : beside + size].contiguous()
    return F.pad(picture, (-beside, size - new[1] + beside, -above, size - new[0] + above))


def _kinds(container: Any) -> str:
    return ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
