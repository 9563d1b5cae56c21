"""TexPainter: in every step the decoded predictions are fused into one colour texture, and latents are fitted to it.

Zhang, Pan, Zhang, Zhu, Gao, SIGGRAPH 2024, arXiv 2406.18539; upstream code read (MIT, commit d5020b5), nothing copied.
Each step the clean predictions of all views are decoded and averaged in colours with weights cos^6 of the viewing
angle; each view's latent is then optimised, through the decoder, towards its picture of that texture; the latents are
written to the latent texture, each texel from the view that sees it at the best angle, and the texture takes the
sampler's step. Sampling stops at 70 % of the steps: the result is the colour texture, of which the views are pictures.

`reencode` encodes the pictures of the texture instead of optimising latents; upstream's authors call it nearly equal
and six times as fast. `tiny` optimises through a small decoder (TAESD) in place of the model's own, which upstream does
not. The decoder's range is cut off at black and white, where no gradient is left. Upstream samples with eta = 1 (`--set
protocol.eta=1`); its cameras are eight on a ring. Left out: the field of colours that is fitted to the texture in the
end, which makes up what no view sees. Background is drawn with the object and belongs to its view alone.
"""

from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor

from ...bench.canvas import Canvas
from ...bench.limits import Fraction, Positive, Scale
from ...bench.models.interface import Model
from ...bench.models.parts.schedule import Level
from ...bench.sampling.loop import Reported, Setting, Step, canvas_artifact, pixel_canvas
from ...bench.types import Artifact, Item
from ._buffers import Colouring
from ._directions import Directed
from ._second import Decode, revision_of, tiny_decoder


@dataclass
class _Fused:
    """The latent texture at the level that the next step starts from, and the pictures of the colour texture."""

    texture: Tensor
    """(c, *cells)"""
    colouring: Colouring
    decode: Decode
    """The decoder through which latents are optimised."""
    pictures: Tensor
    """(views, 3, H, W) in [0, 1]."""
    colours: Tensor
    """(3, cells of pixels)."""


@dataclass(frozen=True, kw_only=True)
class TexPainter(Directed):
    """Colour-space fusion of x0, and latents whose decoded pictures are those of the fused texture."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2406.18539"
    licence: ClassVar[str] = "MIT"
    reported: ClassVar[tuple[Reported, ...]] = (
        {
            "metric": "CMMD",
            "value": "2.483 (TEXTure 3.047, SyncMVD 2.584)",
            "setting": "Hunyuan3D-2's meshes",
            "source": "Hunyuan3D-2, table of texture synthesis",
        },
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "reencode": {"iterations": 0},
        "tiny": {"decoder": "madebyollin/taesd"},
        "quick": {"iterations": 5},
    }

    stride: Fraction | None = 0.5
    """Step between windows of a strip as a fraction of a window."""
    power: Scale = 6.0
    """Exponent of the weights with which colours are averaged."""
    iterations: Annotated[int, Interval(ge=0, le=1000)] = 20
    """Steps of AdamW in which each view's latent is optimised; 0: the picture is encoded instead."""
    rate: Positive = 0.1
    """Learning rate of the optimisation."""
    end: Fraction = 0.7
    """Leading fraction of the steps that are taken, rounded up; 35 of 50 upstream."""
    decoder: str = ""
    """Folder or hub id of a small decoder (AutoencoderTiny) to optimise through; empty: the model's own."""

    def loads(self) -> dict[str, str]:
        """The fingerprint of the small decoder, where there is one on this machine."""
        return {"decoder_weights": revision} if (revision := self._revision) else {}

    def lacks(self, item: Item) -> str | None:
        """A reason where the small decoder is missing, or as for directions."""
        if self.decoder and not self._revision:
            return f"its small decoder is not on this machine: `syncbench fetch {self.decoder}` brings it"
        return super().lacks(item)

    @property
    def _revision(self) -> str:
        return revision_of(self.decoder, "small decoder")

    def prepare(self, setting: Setting) -> _Fused:
        """Noise in the latent texture, and no picture yet."""
        model = setting.model
        decode = tiny_decoder(self.decoder, model) if self.decoder else model.decode
        colouring = Colouring.of(setting.item, pixel_canvas(setting.item, setting.canvas, model))
        return _Fused(setting.noise(), colouring, decode, torch.empty(0), torch.empty(0))

    def levels(self, state: _Fused, setting: Setting) -> list[Level]:
        """The steps that are taken."""
        return [*setting.schedule][: ceil(self.end * len(setting.schedule) - 1e-9)]

    def look(self, state: _Fused, s: Step) -> Tensor:
        """The views of the latent texture."""
        return s.canvas.look(state.texture)

    def step(self, state: _Fused, x: Tensor, s: Step) -> _Fused:
        """The latent texture at the next noise level, after all views agree in colours."""
        state.colours, mass = state.colouring.paint(s.model.decode(s.x0), self.power)
        state.pictures, _ = state.colouring.look(state.colours, mass)
        if self.iterations:
            fitted = optimised(s.x0, state.pictures, state.decode, self.iterations, self.rate)
        else:
            fitted = s.model.encode(state.pictures)
        texture = s.canvas.winners().paint(fitted)
        state.texture = s.move(texture, s.level.eps_of(state.texture, texture))
        return state

    def finish(self, state: _Fused, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The pictures of the colour texture."""
        if item.surface.picture:
            return canvas_artifact(state.colours.unflatten(1, item.surface.canvas().shape), item)
        return Artifact(views=state.pictures.float().cpu())


def optimised(x0: Tensor, goal: Tensor, decode: Decode, iterations: int, rate: float) -> Tensor:
    """Latents (n, c, h, w) that AdamW reaches from `x0` on the squared error of their decoded pictures to `goal`."""
    with torch.enable_grad():
        x = x0.detach().clone().requires_grad_()
        descent = torch.optim.AdamW([x], lr=rate)
        for _ in range(iterations):
            descent.zero_grad()
            (decode(x) - goal).square().mean((1, 2, 3)).sum().backward()
            descent.step()
    return x.detach()
