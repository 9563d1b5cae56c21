"""Clips of the reference world to be edited: a source clip, a new colour or pattern for the object, exact flow.

Cameras circle the object, or the object turns or slides. The truth is the edited clip: motion, light and surroundings
of the source, and the object as the prompt describes it.
"""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval

from ..bench.limits import Length
from ..bench.surfaces.lazy import Lazy
from ..bench.surfaces.tracks import Tracks
from ..bench.types import Family, Item, Sampling, SyncbenchError
from ..bench.world.scene import object_scene
from ..bench.world.stage import object_pose, orbit_cameras, stage
from ..bench.world.trace import Take
from ..bench.world.truth import depth, truth, views

CLIPS = (
    ("circle", "a red cube on a green meadow under a blue sky", "a yellow cube on a green meadow under a blue sky"),
    (
        "turn",
        "a blue star with white dots on a yellow desert under a purple sky",
        "a red star with white dots on a yellow desert under a purple sky",
    ),
    (
        "slide",
        "an orange ball with blue stripes on a grey sea under a white sky",
        "a green ball with blue stripes on a grey sea under a white sky",
    ),
    (
        "circle",
        "a white cylinder with red checks on a blue sea under an orange sky",
        "a white cylinder with purple stripes on a blue sea under an orange sky",
    ),
    (
        "turn",
        "a green cube with yellow dots on a white desert under a red sky",
        "a blue cube with yellow dots on a white desert under a red sky",
    ),
    (
        "both",
        "a purple ring with white stripes on an orange meadow under a yellow sky",
        "a grey ring with white stripes on an orange meadow under a yellow sky",
    ),
    (
        "slide",
        "a yellow cone on a purple meadow under a cloudy blue sky",
        "a yellow cone with red dots on a purple meadow under a cloudy blue sky",
    ),
    (
        "circle",
        "a grey star on a red desert under a white sky",
        "an orange star with blue stripes on a red desert under a white sky",
    ),
    (
        "both",
        "a red cylinder with yellow stripes on a green sea under a purple sky",
        "an orange cylinder with blue dots on a green sea under a purple sky",
    ),
    (
        "turn",
        "a white ball with green checks on a blue desert under an orange sky",
        "a yellow ball with red checks on a blue desert under an orange sky",
    ),
    (
        "both",
        "an orange cube with white checks on a grey meadow under a blue sky",
        "a purple cube with white checks on a grey meadow under a blue sky",
    ),
    (
        "slide",
        "a green star on a white sea under a cloudy red sky",
        "a red star with yellow dots on a white sea under a cloudy red sky",
    ),
    (
        "circle",
        "a yellow ball with purple dots on a red desert under a blue sky",
        "a white ball with purple dots on a red desert under a blue sky",
    ),
    (
        "turn",
        "a grey cylinder with blue checks on a yellow meadow under a white sky",
        "a grey cylinder with red stripes on a yellow meadow under a white sky",
    ),
    (
        "slide",
        "a blue cube with orange stripes on a green desert under a purple sky",
        "a white cube with orange stripes on a green desert under a purple sky",
    ),
    (
        "both",
        "a green star with purple stripes on a grey desert under a yellow sky",
        "a yellow star with purple stripes on a grey desert under a yellow sky",
    ),
    (
        "circle",
        "an orange ring with green dots on a blue meadow under a cloudy grey sky",
        "a red ring with green dots on a blue meadow under a cloudy grey sky",
    ),
    (
        "turn",
        "a purple cube with white stripes on an orange desert under a blue sky",
        "a green cube with white stripes on an orange desert under a blue sky",
    ),
    (
        "slide",
        "a red cylinder with grey dots on a white meadow under an orange sky",
        "a blue cylinder with grey dots on a white meadow under an orange sky",
    ),
    (
        "both",
        "a white cone with purple checks on a green sea under a red sky",
        "an orange cone with purple checks on a green sea under a red sky",
    ),
    (
        "circle",
        "a blue cone with yellow stripes on a purple desert under a cloudy white sky",
        "a red cone with yellow stripes on a purple desert under a cloudy white sky",
    ),
    (
        "turn",
        "a yellow ring with red stripes on a grey meadow under a green sky",
        "a purple ring with red stripes on a grey meadow under a green sky",
    ),
    (
        "slide",
        "a grey ball with orange checks on a blue meadow under a yellow sky",
        "a green ball with orange checks on a blue meadow under a yellow sky",
    ),
    (
        "both",
        "a purple ball with yellow dots on a white sea under a blue sky",
        "an orange ball with yellow dots on a white sea under a blue sky",
    ),
)
"""For each clip: how it moves, the caption of the source, and the caption of the edit."""
SCENES = 3 * 10**9 + 2000
"""Seed of the first scene, above all seeds that training draws."""


@dataclass(frozen=True, kw_only=True)
class WorldVideos:
    """One item per clip: `conditions["video"]` is to be edited to fit the prompt, alike in every frame."""

    version: ClassVar[int] = 2
    family: ClassVar[Family] = "frames"

    frames: Annotated[int, Interval(ge=2, le=120)] = 8
    """Number of frames of every clip. The time to compute tracks grows with its square."""
    size: Length = 128
    """Height and width of a frame in pixels; the reference models' native size."""
    back: bool = False
    """Whether a clip goes back the way it came, so that its last frame is seen as the first; see `revisit_error`."""

    def items(self) -> list[Item]:
        """One item for each clip, in order; all tensors are made on first access (see `world.truth.truth`)."""
        if self.frames < 2:
            raise SyncbenchError(f"a clip needs at least 2 frames, not {self.frames}")
        return [self._item(*clip, number) for number, clip in enumerate(CLIPS)]

    def _item(self, kind: str, source: str, edit: str, number: int) -> Item:
        rng = np.random.default_rng([SCENES, number])
        time, sign = np.linspace(-0.5, 0.5, self.frames), rng.choice([-1, 1])
        time = 0.5 - 2 * np.abs(time) if self.back else time
        # flat shapes are seen from their front in the middle of the clip, cubes from a corner
        flat = source.split()[2] in ("star", "ring")
        azimuth, level = float(rng.uniform(-12, 12) if flat else rng.uniform(25, 60)), float(rng.uniform(7, 16))
        before = stage(source, SCENES + number, azimuth=azimuth)
        wanted = object_scene(edit, SCENES + number).parts
        rest = tuple(part for part in before.scene.parts if part.role not in ("object", "pattern"))
        parts = tuple(part for part in wanted if part.role in ("object", "pattern")) + rest
        after = replace(before, scene=replace(before.scene, caption=edit, parts=parts))
        eyes = orbit_cameras(azimuth + sign * 36 * time * (kind in ("circle", "both")), level, 2.0, self.size)
        turn = -sign * 70 * time * (kind in ("turn", "both"))
        path = sign * 0.6 * time * (kind == "slide")
        # across the picture and a little towards the camera
        heading = np.radians(azimuth + 70)
        steps = zip(turn, path * np.cos(heading), path * np.sin(heading), strict=True)
        poses = np.stack([object_pose(yaw, x, y, before.stretch) for yaw, x, y in steps])
        given, take = Take(before, eyes, poses), Take(after, eyes, poses)
        return Item(
            id=f"{number:02d}-{kind}-{edit.split()[2]}",
            family=self.family,
            world=True,
            prompts=(edit,),
            source=source,
            surface=Tracks.of(take.film),
            protocol=Sampling(steps=16, guidance=4.0),
            conditions=Lazy(video=lambda: views(given), depth=lambda: depth(take)),
            truth=truth(take, moving=True),
            content=f"{given.digest} {take.digest}",
        )
