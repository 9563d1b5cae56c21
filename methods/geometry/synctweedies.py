"""SyncTweedies: views are denoised apart, but at every step they agree on the clean image they move towards.

Kim, Koo, Yeo, Sung, NeurIPS 2024, arXiv 2403.14370. This is case 2 of the paper's six, "x0 of the views, averaged on
the surface"; cases 1 and 3 average the noise or the next state instead, and in cases 4 to 6 the surface, not the views,
takes the sampler's step from averaged noise, x0 or next states (presets `case1` to `case6`; case 0 is `independent`).
Where all views start from one noise on the surface, each update is linear in a state that all share. So on strips,
atlases and tracks cases 1 to 6 then make the same samples to 1e-5, and with `end = 1` on strips those of
MultiDiffusion. Differences between the cases need views that start from unlike noise, which they can in cases 1 to 3
and do in these presets (`shared_noise`); the surface of cases 4 to 6 has one noise.

Written from the paper's table 1 and checked against upstream's steps (MIT) to 4e-6. Upstream's mesh and panorama runs
also share attention between neighbouring views on all steps and with a reference view on the first fifth, put a prefix
before the prompt, fuse the latents once more, and synchronise wide images to the end (`end = 1`). Left out: these, and
the texture's last bake, after which views agree by construction. The preset `pixels` is upstream's setting for
360-degree images (`--average_rgb`) and for Gaussian splats; upstream's mesh runs average latents, on a texture 16 times
finer than ours.
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
    """x0_i <- look(paint(x0)); each view's own x_t moves towards this average.

    The method serves every surface whose views see common cells: strips, spheres, atlases, tracks. Where views have no
    cell in common, the method equals independent sampling.
    """

    version: ClassVar[int] = 2
    paper: ClassVar[str] = "2403.14370"
    licence: ClassVar[str] = "MIT"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "pixels": {"space": "pixels"},
        "case1": {"averaged": "eps", "shared_noise": False},
        "case2": {"averaged": "x0", "shared_noise": False},
        "case3": {"averaged": "next", "shared_noise": False},
        "case4": {"averaged": "eps", "state": "surface"},
        "case5": {"averaged": "x0", "state": "surface"},
        "case6": {"averaged": "next", "state": "surface"},
    }

    stride: Fraction | None = 0.125
    """Step between windows of a strip as a fraction of a window: 8 of 64 latent pixels, as upstream."""
    averaged: Literal["x0", "eps", "next"] = "x0"
    """What is averaged: the predicted clean view (case 2), its noise (case 1), or the next state (case 3)."""
    state: Literal["views", "surface"] = "views"
    """What takes the sampler's step: each view (cases 1 to 3), or the surface (cases 4 to 6)."""
    shared_noise: bool = True
    """Whether all views start from one noise on the surface; otherwise each from its own."""
    space: Literal["latent", "pixels"] = "latent"
    """Average latents, or decoded pixels that are then encoded again; pixels take `averaged = "x0"`."""
    power: Scale = 1.0
    """Exponent of the surface's weights in the average; on a mesh these are cosines of the viewing angle."""
    end: Share = 0.8
    """Leading fraction of the steps on which views are averaged, rounded up as upstream does; the rest run alone."""
    rederive: bool = True
    """Whether eps is computed anew from x_t and the averaged x0; otherwise the network's own eps is kept."""

    def __post_init__(self) -> None:
        if self.space == "pixels" and self.averaged != "x0":
            raise ValueError("in pixels only x0 can be averaged: leave `averaged` at x0")
        if self.state == "surface" and not self.shared_noise:
            raise ValueError("a surface has one noise: leave `shared_noise` at true, or `state` at views")

    def start(self, noise: Noise, canvas: Canvas) -> Tensor:
        """The noise of the views (views, c, h, w), or of the surface (c, *shape)."""
        if self.state == "surface" and self.end > 0:
            return noise()
        return canvas.look(noise()) if self.shared_noise else noise.alone()

    def look(self, state: Tensor, s: Step) -> Tensor:
        """The views of the surface, or the views, which are the state."""
        return state if state.ndim == 4 else s.canvas.look(state)

    def step(self, state: Tensor, x: Tensor, s: Step) -> Tensor:
        """The views or the surface at the next noise level, after averaging x0, eps or the next views on the surface.

        A surface becomes views with the last step in which they agree.
        """
        agreed = ceil(self.end * s.level.total - 1e-9)  # 0.28 * 25 is a little above 7
        if s.level.index >= agreed:
            return s.move(s.x0, s.eps)
        state = self._averaged(state, s)
        return s.canvas.look(state) if state.ndim < 4 and s.level.index + 1 >= agreed else state

    def _averaged(self, state: Tensor, s: Step) -> Tensor:
        agree = self._agreed if state.ndim == 4 else self._fused
        if self.averaged == "next":
            return agree(s.move(s.x0, s.eps), s.canvas)
        if self.averaged == "eps":
            eps = agree(s.eps, s.canvas)
            return s.move(s.level.x0_of(state, eps), eps)
        if self.space == "pixels":
            x0 = self._through_pixels(s)
            x0 = x0 if state.ndim == 4 else self._fused(x0, s.canvas)
        else:
            x0 = agree(s.x0, s.canvas)
        eps = s.eps if state.ndim == 4 else self._fused(s.eps, s.canvas)
        return s.move(x0, s.level.eps_of(state, x0) if self.rederive else eps)

    def finish(self, state: Tensor, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The views, decoded one by one, as an artifact."""
        return views_artifact(model.decode(state), item, canvas, model.factor)

    def _fused(self, x: Tensor, canvas: Canvas) -> Tensor:
        return canvas.raised(self.power).paint(x)

    def _agreed(self, x: Tensor, canvas: Canvas) -> Tensor:
        return canvas.look(self._fused(x, canvas))

    def _through_pixels(self, s: Step) -> Tensor:
        return s.model.encode(self._agreed(s.model.decode(s.x0), s.pixels()))
