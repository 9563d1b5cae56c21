"""SyncTweedies: views move alone, but every step they agree on the clean image they move towards.

Kim, Koo, Yeo, Sung, NeurIPS 2024, arXiv 2403.14370. Case 2 of its six, "x0 of the views, averaged on the surface";
cases 1 and 3 average the noise or the next state instead (`averaged`). They are no presets, because here they are no
other methods: views start as looks at one noise, and each update is linear in a state that all share, so that on
strips, atlases and tracks cases 1 to 6 make the same samples to 1e-5, and with `end = 1` on strips those of
MultiDiffusion. What the paper finds between them needs views that start apart.

Written from the paper's table 1 and checked against upstream's steps (MIT) to 4e-6. Its released mesh and panorama runs
also share attention between neighbouring views on all steps and with a reference view on the first fifth, put a prefix
before the prompt, fuse the latents once more, and synchronise wide images to the end (`end = 1`). Left out: these, and
the texture's last bake, after which views agree by construction. `pixels` is upstream's setting of 360-degree images
(`--average_rgb`) and of Gaussian splats; its mesh runs average latents, on a texture 16 times finer than ours.
"""

from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar, Literal

from torch import Tensor

from ...bench.canvas import Canvas
from ...bench.limits import Fraction, Scale, Share
from ...bench.models.interface import Model
from ...bench.sampling.loop import Noise, Step, Sync, views_artifact
from ...bench.types import Artifact, Item


@dataclass(frozen=True, kw_only=True)
class SyncTweedies(Sync):
    """x0_i <- look(paint(x0)); each view's own x_t moves towards that. The state is the views.

    Serves every surface whose views see common cells: strips, spheres, atlases, tracks. Where none is common, it is
    independent sampling from the same noise.
    """

    version: ClassVar[int] = 2
    paper: ClassVar[str] = "2403.14370"
    licence: ClassVar[str] = "MIT"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"pixels": {"space": "pixels"}}

    stride: Fraction | None = 0.125
    """On strips: 8 of 64 latent pixels, as upstream."""
    averaged: Literal["x0", "eps", "next"] = "x0"
    """What is averaged: the predicted clean view (case 2), its noise (case 1), or the next state (case 3)."""
    space: Literal["latent", "pixels"] = "latent"
    """Average latents, or decoded pixels that are then encoded again; pixels take `averaged = "x0"`."""
    power: Scale = 1.0
    """The surface's weights, cosines of the viewing angle on a mesh, are raised to this."""
    end: Share = 0.8
    """Views agree on the first so many steps, as a fraction of all, rounded up as upstream's, and end alone."""
    rederive: bool = True
    """After averaging x0 the noise is the one that leads from it to x_t; else the network's stays."""

    def __post_init__(self) -> None:
        if self.space == "pixels" and self.averaged != "x0":
            raise ValueError("in pixels only x0 can be averaged: leave `averaged` at x0")

    def start(self, noise: Noise, canvas: Canvas) -> Tensor:
        """The views' looks at one noise on the surface."""
        return canvas.look(noise())

    def look(self, state: Tensor, s: Step) -> Tensor:
        """The state is the views."""
        return state

    def step(self, state: Tensor, x: Tensor, s: Step) -> Tensor:
        """Average what is to be averaged, then move each view."""
        if s.level.index >= ceil(self.end * s.level.total - 1e-9):  # 0.28 * 25 is a little above 7
            return s.move(s.x0, s.eps)
        if self.averaged == "next":
            return self._agreed(s.move(s.x0, s.eps), s.canvas)
        if self.averaged == "eps":
            eps = self._agreed(s.eps, s.canvas)
            return s.move(s.level.x0_of(x, eps), eps)
        x0 = self._through_pixels(s) if self.space == "pixels" else self._agreed(s.x0, s.canvas)
        return s.move(x0, s.level.eps_of(x, x0) if self.rederive else s.eps)

    def finish(self, state: Tensor, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """Decode the views one by one."""
        return views_artifact(model.decode(state), item, canvas, model.factor)

    def _agreed(self, x: Tensor, canvas: Canvas) -> Tensor:
        canvas = canvas if self.power == 1 else canvas.with_weight(canvas.weight**self.power)
        return canvas.look(canvas.paint(x))

    def _through_pixels(self, s: Step) -> Tensor:
        return s.model.encode(self._agreed(s.model.decode(s.x0), s.pixels()))
