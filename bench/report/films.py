"""Clips side by side in motion: the source at the left, methods labelled at its right; as MP4 or as animated WebP."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal, get_args

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from PIL import Image, ImageDraw, ImageFont

from ..errors import SyncbenchError
from ..escaping import visible

Kind = Literal["mp4", "webp"]
"""File formats of films."""
ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf")
"""FFmpeg's names of the H.264 encoders that are used, the first of those that are there."""
WIDE, HIGH = 1920, 2160
"""Largest width and height of a film in pixels: more than players decode fluently is not drawn."""
LEAST = 96
"""Smallest width of a frame in pixels; frames are not shrunk further to make room."""
SECOND = 8
"""Frames per second."""
GAP, LINE = 8, 15
"""Space between frames, and height of a line of text, in pixels."""
INK, FAINT, PAPER, EMPTY = (20, 20, 20), (120, 120, 120), (255, 255, 255), (238, 238, 238)


@dataclass(frozen=True)
class Clip:
    """One clip of a film: what stands above it and its frames, or the reason why there are none."""

    label: str
    frames: Sequence[Image.Image]
    why: str = ""

    def at(self, frame: int) -> Image.Image | None:
        """The frame of that number; the last one where the clip is shorter, None where it has none."""
        return self.frames[min(frame, len(self.frames) - 1)] if self.frames else None


@dataclass(frozen=True)
class Scene:
    """One item of a film: a heading, the source clip if there is one, and the clips of methods."""

    heading: str
    source: Clip | None
    clips: Sequence[Clip]

    def every(self) -> list[Clip]:
        """All clips, the source first."""
        return [*([] if self.source is None else [self.source]), *self.clips]


@dataclass(frozen=True)
class Layout:
    """Where the clips of all scenes stand."""

    wide: int
    high: int
    """Size of the largest frame as drawn."""
    scale: float
    across: int
    """Number of methods side by side at the right of the source."""
    left: int
    """1 where there is a column of sources, else 0."""
    label: int
    """Height of the labels above the frames."""
    scene: int
    """Height of a scene."""

    @staticmethod
    def of(scenes: Sequence[Scene], scale: float) -> "Layout":
        """The layout of frames that are magnified by `scale`, or by as much less as lets one scene fit."""
        sizes = [frame.size for scene in scenes for clip in scene.every() for frame in clip.frames[:1]]
        most, left = max(1, *(len(scene.clips) for scene in scenes)), int(any(scene.source for scene in scenes))
        while True:
            wide = max(LEAST, *(round(w * scale) for w, _ in sizes))
            high = max(LEAST // 2, *(round(h * scale) for _, h in sizes))
            across = min(most, max(1, WIDE // (wide + GAP) - left))
            label = LINE * max(len(_lines(clip.label, wide)) for scene in scenes for clip in scene.every()) + 4
            rows = -(-most // across)
            across = -(-most // rows)  # rows of like length
            tall = 2 * LINE + rows * (label + high + GAP)
            if (tall <= HIGH - 2 * LINE and (left + across) * (wide + GAP) <= WIDE) or wide <= LEAST:
                return Layout(wide, high, scale, across, left, label, tall)
            scale *= 0.8

    @property
    def width(self) -> int:
        """Width of the film."""
        return max((self.left + self.across) * (self.wide + GAP) + GAP, 320)

    @property
    def most(self) -> int:
        """Number of scenes that fit below each other, at least 1."""
        return max(1, (HIGH - 2 * LINE) // self.scene)


def film(scenes: Sequence[Scene], title: str, scale: float) -> Iterator[Image.Image]:
    """The pictures of a film, one after another, as many as the longest clip has; as many scenes as fit are drawn.

    `scale` magnifies frames. Raises SyncbenchError where no clip has frames.
    """
    length = max((len(clip.frames) for scene in scenes for clip in scene.every()), default=0)
    if not length:
        raise SyncbenchError(f"nothing of {title} moves: every clip failed or is damaged")
    layout = Layout.of(scenes, scale)
    shown = scenes[: layout.most]
    if len(shown) < len(scenes):
        title += f"; {len(shown)} of {len(scenes)} items (name others with --item)"
    for frame in range(length):
        yield _picture(shown, title, layout, frame)


def _picture(scenes: Sequence[Scene], title: str, layout: Layout, frame: int) -> Image.Image:
    picture = Image.new("RGB", (layout.width, 2 * LINE + len(scenes) * layout.scene), PAPER)
    pen, font, small = ImageDraw.Draw(picture), ImageFont.load_default(14), ImageFont.load_default(12)
    pen.text((GAP, 6), visible(title), INK, font)
    for number, scene in enumerate(scenes):
        top = 2 * LINE + number * layout.scene
        pen.text((GAP, top), visible(scene.heading), FAINT, small)
        places = [(layout.left + n % layout.across, n // layout.across) for n in range(len(scene.clips))]
        for clip, (column, row) in zip(scene.every(), [*([(0, 0)] if scene.source else []), *places], strict=True):
            x = GAP + column * (layout.wide + GAP)
            y = top + LINE + 4 + row * (layout.label + layout.high + GAP)
            for n, line in enumerate(_lines(clip.label, layout.wide)):
                pen.text((x, y + n * LINE), line, INK, small)
            y += layout.label
            seen = clip.at(frame)
            if seen is None:
                pen.rectangle((x, y, x + layout.wide - 1, y + layout.high - 1), EMPTY)
                why = wrap(visible(clip.why), max(10, layout.wide // 7))
                pen.text((x + 6, y + layout.high // 2 - 8 * len(why)), "\n".join(why), FAINT, small)
                continue
            kind = Image.Resampling.NEAREST if layout.scale > 1 else Image.Resampling.LANCZOS
            size = (max(1, round(seen.width * layout.scale)), max(1, round(seen.height * layout.scale)))
            picture.paste(seen.resize(size, kind), (x, y))
    return picture


def write(path: Path, pictures: Iterable[Image.Image], kind: Kind, rate: int) -> None:
    """Write the pictures, all of one size, as a film of `rate` frames a second.

    Raises SyncbenchError for `mp4` where PyAV has no encoder of H.264.
    """
    if kind == "mp4":
        write_mp4(path, map(np.asarray, pictures), rate)
        return
    first, *others = pictures
    rest = {"append_images": others, "duration": 1000 // rate, "loop": 0, "quality": 80}
    first.save(path, "WEBP", save_all=True, **rest)


def write_mp4(path: Path, pictures: Iterable[np.ndarray], rate: int) -> None:
    """Write pictures (h, w, 3) of bytes as H.264 in MP4, in the pixel format that all players decode (yuv420p).

    That format has even sizes: an odd side is one pixel longer, a copy of its last. Raises SyncbenchError where PyAV
    has no encoder of H.264.
    """
    name = encoder()
    if name is None:
        raise SyncbenchError("PyAV has no encoder of H.264 on this machine: choose --format webp")
    # bitexact: no random ids and no dates, so that the same pictures are the same bytes
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        stream: Any = None
        for number, levels in enumerate(pictures):
            high, wide = levels.shape[:2]
            even = np.pad(levels, ((0, high % 2), (0, wide % 2), (0, 0)), mode="edge")
            if stream is None:
                options = {"crf": "16"} if name == "libx264" else {}
                stream = container.add_stream(name, rate=rate, options={**options, "flags": "+bitexact"})
                stream.width, stream.height, stream.pix_fmt = wide + wide % 2, high + high % 2, "yuv420p"
                stream.time_base = Fraction(1, rate)
                # said and used alike, or players guess by the size and shift the colours
                stream.codec_context.colorspace = stream.codec_context.color_primaries = 1  # BT.709
                stream.codec_context.color_trc, stream.codec_context.color_range = 1, 1
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))


def encoder() -> str | None:
    """The encoder of H.264 that PyAV has; None where it has none."""
    return next((name for name in ENCODERS if name in av.codecs_available and _encodes(name)), None)


def _encodes(name: str) -> bool:
    try:
        return av.Codec(name, "w").is_encoder
    except UnknownCodecError:
        return False


def chosen(kind: str | None) -> Kind:
    """The format of that name; None: MP4 where it can be written, else WebP. Raises SyncbenchError for other names."""
    if kind is None:
        return "mp4" if encoder() else "webp"
    for one in get_args(Kind):
        if one == kind:
            return one
    raise SyncbenchError(f"--format {kind}: choose {' or '.join(get_args(Kind))}")


def _lines(label: str, wide: int) -> list[str]:
    """A label in lines that are as wide as a frame, three at most, broken before its preset and between its fields."""
    parts = re.sub(r"(?=[@\[])|(?<=,)", " ", visible(label))
    return wrap(parts, max(10, wide // 7))[:3] if len(label) > wide // 7 else [visible(label)]
