"""FRESCO's attention in a decoder, and its optimisation of what enters the decoder's blocks."""

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from ...bench.canvas import Canvas
from ...bench.models.parts.tapped import Attend, Tapped, plain
from ...bench.types import Surface, SyncbenchError
from ._trajectories import Tracks, along, tracks_of
from .rerender import like

SPREAD = 0.2
"""Factor of the keys in spatial-guided and temporal-guided attention: below 1 more tokens have a share."""
RATE = 0.2
"""Learning rate of the optimisation (Adam)."""
ALIKE = 100.0
"""Weight of the spatial loss; the temporal loss has 2."""
PART = 2**24
"""Number of similarities of tokens that are in memory together."""


@dataclass(frozen=True)
class Sight:
    """What is known of the tokens of all frames at one resolution."""

    tracks: Tracks
    fresh: Int[Tensor, " some"]
    """Numbers of the tokens, frame * tokens + token, that show what no earlier frame shows, and all of frame 0."""
    pairs: tuple["Pairs", "Pairs"]
    """Tokens of the next frame, and of the previous; the last frame's next is the first."""

    @staticmethod
    def of(canvas: Canvas) -> "Sight":
        """Of the frames that look at a canvas at this resolution."""
        fresh = canvas.first | (canvas.index < 0)
        fresh[0] = True
        return Sight(tracks_of(canvas), fresh.flatten().nonzero()[:, 0], (Pairs.of(canvas, 1), Pairs.of(canvas, -1)))


@dataclass(frozen=True)
class Pairs:
    """For each token of each frame one of another frame that shows the same."""

    place: Int[Tensor, "frames tokens"]
    """Numbers of the other frame's tokens; 0 where there is none."""
    seen: Bool[Tensor, "frames tokens"]
    """Whether there is one."""
    step: int
    """Number of frames from a frame to the other."""

    @staticmethod
    def of(canvas: Canvas, step: int) -> "Pairs":
        """The tokens that see the same cell; the first of several."""
        index = canvas.index.flatten(1)
        tokens, found = torch.arange(index.shape[1], device=index.device), []
        for frame in range(len(index)):
            other = index[(frame + step) % len(index)]
            table = torch.full((canvas.cells + 1,), len(tokens), device=index.device)
            table.scatter_reduce_(0, torch.where(other < 0, canvas.cells, other), tokens, "amin")
            table[-1] = len(tokens)  # of pixels that see no cell
            found.append(table[index[frame]])
        place = torch.stack(found)
        seen = place < len(tokens)
        return Pairs(torch.where(seen, place, 0), seen, step)

    def there(self, x: Float[Tensor, "groups frames c tokens"]) -> Float[Tensor, "groups frames c tokens"]:
        """The other frame's features, at the tokens that show the same."""
        place = self.place[None, :, None].expand(len(x), -1, x.shape[2], -1)
        return x.roll(-self.step, 1).gather(3, place)


def sights(surface: Surface, canvas: Canvas, factor: int) -> dict[tuple[int, int], Sight]:
    """What is known at the resolution of the latents and of the levels below, by height and width, where it is known.

    `factor` is the number of pixels to a side of a latent cell, and `canvas` that of the latents.
    """
    found, (frames, high, wide) = {(canvas.index.shape[1], canvas.index.shape[2]): Sight.of(canvas)}, canvas.index.shape
    for level in range(1, 4):
        if high % 2**level or wide % 2**level:
            break
        try:
            coarse = surface.canvas(factor * 2**level).to(canvas.index.device)
        except SyncbenchError:  # its pixels are no multiple of that
            break
        if coarse.index.shape == (frames, high >> level, wide >> level):
            found[high >> level, wide >> level] = Sight.of(coarse)
    return found


@dataclass
class Guided:
    """The attention of all layers and the optimisation, and what they know of the source."""

    sharing: bool
    """Whether frames attend to the fresh tokens of all frames."""
    iterations: int
    """Steps of the optimisation."""
    frames: int
    sights: dict[tuple[int, int], Sight]
    """What is known of tokens, by height and width, the finest level first."""
    recording: bool = False
    """Whether the network is seeing the source."""
    spatial: bool = False
    temporal: bool = False
    optimised: bool = False
    """What is done in this step: attention guided by the source's, attention along tracks, optimisation of features."""
    layers: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict[str, tuple[Tensor, Tensor]])
    """The source's queries and keys, by layer."""
    features: dict[str, Float[Tensor, "rows tokens c"]] = field(default_factory=dict[str, Tensor])
    """The source's features of unit length, by block."""

    def processor(self, name: str, layer: Any) -> Tapped:
        """The processor of a layer."""
        formula = self.formula(name)
        return Tapped(layer.processor, lambda hidden: formula)

    def formula(self, name: str) -> Attend:
        """The formula of a self-attention layer; layers coarser than half the latents' height attend as ever."""
        known = {high * wide: sight for (high, wide), sight in [*self.sights.items()][:2]}

        def folded(x: Tensor) -> Tensor:
            return x.unflatten(0, (-1, self.frames)).transpose(1, 2).flatten(2, 3)

        def attend(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
            sight = known.get(query.shape[2])
            if sight is None:
                return plain(query, key, value, scale)
            if self.recording:
                self.layers[name] = (query, key)
                return plain(query, key, value, scale)
            asked = query
            if self.spatial and name in self.layers:
                theirs, their_keys = self.layers[name]
                asked = plain(theirs, their_keys * SPREAD, query, scale)
            if self.sharing:
                k, v = (folded(x)[:, :, sight.fresh] for x in (key, value))
                out = plain(folded(asked), k, v, scale)
            else:
                out = folded(plain(asked, key, value, scale))
            if self.temporal and len(sight.tracks.place):
                factor = SPREAD * (query.shape[-1] ** -0.5 if scale is None else scale)
                out = along(out, sight.tracks, factor, folded(query), folded(key))
            return out.unflatten(2, (self.frames, -1)).transpose(1, 2).flatten(0, 1)

        return attend

    def enter(self, name: str, hidden: Float[Tensor, "rows c h w"]) -> Float[Tensor, "rows c h w"]:
        """What enters a block of the decoder."""
        if self.recording:
            self.features[name] = unit(wide(hidden))
            return hidden
        if not self.optimised:
            return hidden
        sight = self.sights.get((hidden.shape[2], hidden.shape[3]))
        pairs = () if sight is None else sight.pairs
        return optimised(hidden, self.frames, pairs, self.features.get(name), self.iterations)


def wide(x: Tensor) -> Tensor:
    """In single precision at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def unit(x: Float[Tensor, "rows c h w"]) -> Float[Tensor, "rows tokens c"]:
    """Tokens of unit length."""
    return F.normalize(x.flatten(2).transpose(1, 2), dim=-1)


def optimised(
    hidden: Float[Tensor, "rows c h w"],
    frames: int,
    pairs: tuple[Pairs, ...],
    source: Float[Tensor, "rows tokens c"] | None,
    iterations: int,
) -> Float[Tensor, "rows c h w"]:
    """Features of lower loss: alike where frames show the same, and as alike within a frame as the source's are.

    Each channel of each frame keeps its mean and standard deviation.
    """
    with torch.enable_grad():
        x = wide(hidden).detach().clone().requires_grad_()
        adam = torch.optim.Adam([x], RATE)
        for _ in range(iterations):
            adam.zero_grad()
            if pairs:
                temporal_loss(x, frames, pairs).backward()
            if source is not None:
                many = max(1, PART // source.shape[1] ** 2)
                for begin in range(0, len(x), many):  # similarities of few frames at a time
                    part = slice(begin, begin + many)
                    share = len(x[part]) / len(x)
                    (share * spatial_loss(x[part], source[part])).backward()
            adam.step()
    return like(x.detach(), wide(hidden)).to(hidden.dtype)


def temporal_loss(x: Float[Tensor, "rows c h w"], frames: int, pairs: tuple[Pairs, ...]) -> Float[Tensor, ""]:
    """Twice the mean difference of tokens to those that show the same in the next and in the previous frame."""
    clips = x.flatten(2).unflatten(0, (-1, frames))
    total = x.new_zeros(())
    for one in pairs:
        total = total + ((clips - one.there(clips)).abs() * one.seen[None, :, None]).mean()
    return 2 * total


def spatial_loss(x: Float[Tensor, "rows c h w"], source: Float[Tensor, "rows tokens c"]) -> Float[Tensor, ""]:
    """The mean difference of the cosines of all tokens of a frame to those of the source's, times its weight."""
    mine = unit(x)
    return ALIKE * (mine @ mine.transpose(1, 2) - source @ source.transpose(1, 2)).abs().mean()
