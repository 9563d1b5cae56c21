"""The reference model's multi-view network: all views of an object denoised together, each from its camera.

MVDream (Shi et al. 2023, arXiv 2308.16512) at the reference world's size: self-attention over all views, the camera's
16 numbers in the time embedding. Trained by `syncbench train views`.

Cameras are told as MVDream's: on a unit orbit of the point they look at, their axes OpenGL's.
"""

from functools import cached_property
from typing import Any, ClassVar

from ..files.reading import is_file, read_object
from .parts.bundled import Bundled
from .parts.cameras import Camera, orbit_numbers
from .parts.composed import Parts
from .parts.network import UNet
from .parts.wrappers import Joint

PROMPTS = "prompts.json"
"""File of a folder that was trained on captures of one's own, with their `prompts`."""


class Views(Bundled):
    """Condition `camera`: (N, 16), rows of camera-to-world; without it the network is the plain 2-D one it mixes with.

    Where views are denoised together every self-attention spans all N; else each is denoised by itself, from its
    camera.
    """

    id = "views"
    paper: ClassVar[str] = "2308.16512"

    @cached_property
    def learnt(self) -> frozenset[str]:
        """Prompts that the network was trained on beside the reference world's captions, which it therefore takes."""
        file = self.weights.path / PROMPTS
        found: Any = read_object(file).get("prompts") if is_file(file) else None
        return (
            frozenset(prompt for prompt in found if isinstance(prompt, str)) if isinstance(found, list) else frozenset()
        )

    def parts(self) -> Parts:
        """The parts of the reference model, with this model's own network in place of its network."""
        base = self.base
        return Parts(
            network=Joint(UNet(self.weights.weights("UNet2DConditionModel"))),
            conditioners=(base.text, Camera(orbit_numbers)),
            codec=base.codec,
            levels=base.levels,
            window=base.window(),
            folders=self.folders(),
        )
