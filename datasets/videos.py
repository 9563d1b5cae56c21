"""Clips of your own to be edited: video files or folders of frames, with prompts.

One clip: `path=run.mp4` and `prompt=...`. Several: `path` names a jsonl, json or csv file with `video` (a path,
relative to that file) and `prompt`, and if wanted `id`, `negative`, `source` (the prompt of the clip as it is), `mask`,
`start`, `stop` and `every`; or a folder of clips, DAVIS, LOVEU-TGVE-2023 or V2VBench (see `layouts.clip_rows`). Motion
is not known, so it is estimated: methods that synchronise frames do so along tracks of optical flow. Frames are taken
as a player shows them: turned as the file's header says, with square pixels, and with transparent pixels on white.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Annotated, ClassVar

import cv2
import numpy as np
import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from ..bench.backbones.depth import depth
from ..bench.limits import Length, check_size
from ..bench.surfaces.lazy import Lazy
from ..bench.types import Family, Item, Sampling, SyncbenchError
from ..bench.world.grammar import is_caption
from ._clips import Cut, Fit, read_clip, read_masks
from ._tracks import Motion, tracks_of
from .layouts.clip_rows import clip_rows


@dataclass(frozen=True, kw_only=True)
class Videos:
    """One item per clip and prompt: `conditions["video"]` is to be edited to fit the prompt. There is no truth.

    Where the object's mask is known, it is `conditions["mask"]` (t, 1, h, w) and the truth's `mask`, 1 on the object.
    """

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "frames"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    """A video file, a folder, a list, or a data set's own index (see above). It is no part of a result's identity."""
    prompt: str = ""
    """What clips without a prompt of their own are to become."""
    source: str = ""
    """What clips show that say nothing of it themselves."""
    frames: Annotated[int, Interval(ge=2, le=1_000)] = 8
    """Number of frames taken from `start`; fewer where the clip is shorter."""
    start: Annotated[int, Interval(ge=0, le=100_000)] = 0
    """Number of the first frame that is taken, from 0."""
    stop: Annotated[int, Interval(ge=0, le=1_000_000)] = 0
    """Number of the frame before which a clip ends; 0: where it ends itself."""
    every: Annotated[int, Interval(ge=1, le=100_000)] = 1
    """Distance between frames that are taken: 1 takes every frame, 2 every second one."""
    fps: Annotated[float, Interval(ge=0, le=1_000)] = 0.0
    """Frames per second that are taken, whatever the clip's own rate, which may vary; 0: every one in `every`."""
    size: Length = 512
    """Height and width in pixels; see `fit`."""
    fit: Fit = "crop"
    """`crop`: the short side is scaled to `size`, and the middle square is kept. `letterbox`: the long side is scaled
    to `size`, and what is missing of the square is black. `keep`: the short side is scaled to `size`, and the shape is
    kept, to multiples of 8 pixels."""
    motion: Motion = "dis"
    """How tracks through a clip are found: by the optical flow of this name, or not at all (`none`)."""

    edges: bool = False
    """Whether `conditions["edge"]` has the frames' edges, as ControlNets for Canny edges read them."""

    depth: str = ""
    """A folder or hub id of a network that estimates `conditions["depth"]`, inverse and relative, on the source clip;
    e.g. `depth-anything/Depth-Anything-V2-Small-hf` after `syncbench fetch depth-anything`. Empty: no depth."""

    def items(self) -> list[Item]:
        """One item for each clip and prompt, in order; its id ends with digits of the frames' hash.

        Raises SyncbenchError for a clip that cannot be used.
        """
        if self.frames < 2 or self.every < 1 or self.size < 1:
            raise SyncbenchError("videos needs at least 2 frames, every 1 or more, and a positive size")
        if self.fps and self.every > 1:
            raise SyncbenchError("videos takes frames by number (every) or by time (fps), not by both")
        check_size("a clip", self.frames, self.size, self.size)
        return [self._item(row) for row in clip_rows(self.path, self.prompt)]

    def _item(self, row: dict[str, str]) -> Item:
        cut = Cut(
            frames=self.frames,
            start=int(row["start"] or self.start),
            stop=int(row["stop"] or self.stop),
            every=max(1, int(row["every"] or self.every)),
            fps=self.fps,
            size=self.size,
            fit=self.fit,
        )
        clip = read_clip(row["video"], cut)
        masks = {"mask": read_masks(row["mask"], cut, len(clip), row["video"])} if row["mask"] else {}
        known: dict[str, Callable[[], Tensor]] = {name: lambda name=name: masks[name] for name in masks}
        if self.edges:
            known["edge"] = lambda: edges(conditions["video"])
        if self.depth:
            known["depth"] = lambda: depth(self.depth)(conditions["video"])
        conditions = Lazy(video=partial(read_clip, row["video"], cut), **known)
        frames, _, high, wide = clip.shape
        digest = sha256(clip.numpy().tobytes()).hexdigest()
        return Item(
            id=f"{row['id']}-{digest[:6]}",
            family=self.family,
            world=is_caption(row["prompt"]),
            prompts=(row["prompt"],),
            source=row["source"] or self.source,
            target=row["target"],
            surface=tracks_of(lambda: conditions["video"], (frames, high, wide), digest[:12], self.motion),
            protocol=Sampling(negative=row["negative"]),
            conditions=conditions,
            truth=masks,
            content=f"{digest[:12]} {depth(self.depth).fingerprint}" if self.depth else digest[:12],
        )


def edges(clip: Float[Tensor, "t 3 h w"]) -> Float[Tensor, "t 3 h w"]:
    """Edges of frames in [0, 1], white on black, by Canny's detector with the thresholds 100 and 200 of 255.

    The input of ControlNets for edges, e.g. `lllyasviel/control_v11p_sd15_canny`, as their authors made it.
    """
    grey = (clip * 255).round().byte().permute(0, 2, 3, 1).numpy()
    found = np.stack([cv2.Canny(np.ascontiguousarray(frame), 100, 200) for frame in grey])
    return torch.from_numpy(found).float()[:, None].expand(-1, 3, -1, -1) / 255
