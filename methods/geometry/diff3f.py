"""Diff3F: features of a picture network, gathered from many views onto the vertices of a mesh.

Dutt, Muralikrishnan, Mitra, CVPR 2024, arXiv 2311.17024; upstream code read (MIT, commit 5bda687), nothing copied. Each
view starts from a grey rendering that is noised by `strength` of the schedule, and is redrawn by a depth-conditioned
model. Features are the output of a block of the U-Net's decoder, made unit, and summed over late steps with weights
that rise from 0.1 to 1; DINO's, of the finished picture, may stand beside them. A vertex has the mean, over views, of
the mean over the pixels in a ball around it; unseen vertices have those of the nearest one that is seen.

The answer is `extras`: `features` (vertices, d), float16 unit rows in the order of the item's mesh, and `vertices`
(vertices, 3), where the mesh has them, float32. Views show the mesh coloured by the features' three principal
components, so that they are textured meshes like all others; with the preset `pictures` they are the pictures that the
model drew.

Where code and paper differ, defaults are the paper's, and `release` is the code: features of the negative prompt's
pass, of the last 75 % of the steps that are taken, and one noise for all views. Published rigs have 100 views
(`--set DATASET.rig=diff3f`), eta is 1, guidance 7 (`protocol`). Here maps are interpolated between cells and only then
made unit; upstream lets each view count by one arbitrary pixel of a ball, because its sums by index do not accumulate.
DINO is version 1 (ViT-B/16), which `syncbench fetch dino` brings, not version 2. Left out: the ControlNet of normals
(unless the model has it), functional maps.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ...bench.backbones.dino import ABSENT, dino
from ...bench.canvas import Canvas
from ...bench.limits import Fraction
from ...bench.models.interface import Model
from ...bench.models.parts.features import entering
from ...bench.models.parts.schedule import Level
from ...bench.sampling.loop import Noise, Reported, Setting, Step, Sync, views_artifact
from ...bench.surfaces.atlas import Atlas
from ...bench.types import Artifact, Item, SyncbenchError
from ._diff3f import Drawing
from ._vertices import Gathered, colours_of, grey_views, vertex_views

AT_ONCE = 4
"""Views of a network call: within hooks no model cuts its calls up."""


@dataclass(frozen=True, kw_only=True)
class Diff3f(Sync):
    """Views that are drawn alone, and features of their mesh."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2311.17024"
    licence: ClassVar[str] = "MIT"
    along_tracks: ClassVar[bool] = False
    requires: ClassVar[tuple[str, ...]] = ("text", "attention")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "release": {"pass_of": "negative", "late": 0.6, "shared_noise": True},
        "pictures": {"shown": "pictures"},
        "dino": {"dino": True},
    }
    reported: ClassVar[tuple[Reported, ...]] = (
        {
            "metric": "correspondence",
            "value": "26.41 % (no DINO 26.53 %, no texture 17.20 %)",
            "setting": "SHREC'19, 430 pairs, 1,024 random points, Stable Diffusion 1.5 with depth and normals",
            "source": "Diff3F, tables 2 and 4",
        },
        {
            "metric": "correspondence",
            "value": "20.27 %",
            "setting": "TOSCA, 286 pairs of animals, 1,024 random points, Stable Diffusion 1.5 with depth and normals",
            "source": "Diff3F, table 2",
        },
    )

    shared_noise: bool = False
    """Whether all views start from one noise instead of one each."""
    strength: Fraction = 0.8
    """Share of the schedule by which the grey renderings are noised, and that is taken."""
    block: Annotated[int, Interval(ge=0, le=8)] = 1
    """Number of the decoder's block whose output is kept; not the last one."""
    late: Fraction = 0.25
    """Share of the schedule, its end, whose features are summed: the paper's, from T / 4 on."""
    pass_of: Literal["prompt", "negative"] = "prompt"
    """The pass of guidance whose features are kept."""
    dino: bool = False
    """Whether DINO's features of the finished pictures stand beside the network's, counting equally."""
    radius: Annotated[float, Interval(gt=0, le=1)] = 0.01
    """Of the ball around a vertex, as a fraction of the diagonal of the mesh's box."""
    neighbours: Annotated[int, Interval(ge=1, le=10_000)] = 100
    """Largest number of pixels in a ball, the nearest ones."""
    shown: Literal["features", "pictures"] = "features"
    """What views show: the mesh coloured by its features, or the pictures that the model drew."""

    def loads(self) -> dict[str, str]:
        """DINO's weights, where they are used and on this machine."""
        found = dino() if self.dino else None
        return {} if found is None else {"dino": found.fingerprint}

    def lacks(self, item: Item) -> str | None:
        """A sentence where the item is no mesh, or DINO is asked for and not on this machine."""
        if not isinstance(item.surface, Atlas):
            return "features are gathered onto a mesh, and the item has none"
        return ABSENT if self.dino and dino() is None else None

    def prepare(self, setting: Setting) -> Drawing:
        """Grey renderings, noised to the first level that is taken."""
        item, model = setting.item, setting.model
        first = next(iter(self.taken(setting)))
        noise = self.drawn(setting.noise, (setting.canvas.views, model.channels, *setting.canvas.index.shape[1:]))
        if isinstance(item.surface, Atlas):
            mesh, cameras, _ = item.surface.shape
            grey = grey_views(mesh, cameras)
        else:
            grey = torch.full((setting.canvas.views, 3, *item.surface.window), 0.8)
        clean = torch.cat([model.encode(some.to(noise)) for some in grey.split(AT_ONCE)])
        return Drawing(first.a * clean + first.b * noise)

    def drawn(self, noise: Noise, shape: tuple[int, ...]) -> Float[Tensor, "views c h w"]:
        """Fresh noise for views that share no cells: a seed has the same, however the mesh is unwrapped."""
        return noise((1, *shape[1:])).expand(shape) if self.shared_noise else noise(shape)

    def taken(self, setting: Setting) -> list[Level]:
        """The levels that are taken: at least one, `strength` of all."""
        every = [*setting.schedule]
        return every[-max(1, round(self.strength * len(every))) :]

    def levels(self, state: Drawing, setting: Setting) -> Iterator[Level]:
        """The levels that are taken; the late ones' features are kept, with weights that rise from 0.1 to 1."""
        taken = self.taken(setting)
        kept = min(len(taken), max(1, ceil(self.late * len(setting.schedule) - 1e-9)))
        weights = torch.linspace(0.1, 1, kept, dtype=torch.float64).tolist() if kept > 1 else [1.0]
        for level, weight in zip(taken, [0.0] * (len(taken) - kept) + weights, strict=True):
            state.weight = weight
            if weight:
                state.times.append(float(level.t))
            yield level

    def hooks(self, state: Drawing, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which the block's output is kept. Raises SyncbenchError for a model without such a block."""
        model, after = setting.model, f"up_blocks.{self.block + 1}"

        def listen(name: str, hidden: Tensor) -> Tensor:
            if name == after and state.weight:
                self.keep(state, hidden, model)
            return hidden

        def change(network: Any) -> AbstractContextManager[Any]:
            blocks = len(getattr(network, "up_blocks", ()))
            if blocks and self.block + 1 >= blocks:
                raise SyncbenchError(
                    f"model {model.id} has a decoder of {blocks} blocks, so diff3f.block is 0 to {blocks - 2}"
                )
            return entering(network, "up_blocks", listen)

        within: Callable[..., AbstractContextManager[Any]] | None = getattr(model, "within", None)
        if within is None:
            raise SyncbenchError(f"diff3f reads the features of a decoder, and model {model.id} shows none")
        return within(change)

    def keep(self, state: Drawing, hidden: Float[Tensor, "rows d h w"], model: Model) -> None:
        """Add the features of the call in progress to the sum."""
        assert model.call is not None
        passes = hidden.unflatten(0, (model.call.groups, model.call.views))
        own = F.normalize(passes[0 if self.pass_of == "negative" else -1].float(), dim=1)
        if not state.total.numel():
            state.total = own.new_zeros(len(state.views), *own.shape[1:])
        state.total[state.rows] += state.weight * own

    def look(self, state: Drawing, s: Step) -> Tensor:
        """The views."""
        return state.views

    def predict(self, state: Drawing, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """Clean latents and noise of all views, a few in each call."""
        made: list[tuple[Tensor, Tensor]] = []
        for start in range(0, len(x), AT_ONCE):
            state.rows = slice(start, min(start + AT_ONCE, len(x)))
            made.append(s.model.predict(x[state.rows], s.level, s.condition.rows(state.rows)))
        x0, eps = zip(*made, strict=True)
        return torch.cat(x0), torch.cat(eps)

    def step(self, state: Drawing, x: Tensor, s: Step) -> Drawing:
        """The views at the next level."""
        state.views = s.level.move(s.x0, s.eps, s.sampling.eta, lambda: self.drawn(s.noise, tuple(x.shape)))
        return state

    def finish(self, state: Drawing, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The features, and views of them; elsewhere than on a mesh the pictures alone."""
        made = views_artifact(model.decode(state.views), item, canvas, model.factor)
        if not isinstance(item.surface, Atlas):
            return made
        mesh, cameras, _ = item.surface.shape
        maps = state.total if state.total.numel() else torch.zeros(len(cameras), 1, 1, 1)  # a rehearsal has none
        kinds = [maps]
        if self.dino:
            judge = dino(model.device)
            if judge is None:
                raise SyncbenchError(ABSENT)
            kinds.append(judge.patches(made.views))
        features, unseen = Gathered(mesh, cameras, self.radius, self.neighbours)(*kinds)
        made.extras["features"] = features.half()
        made.extras["vertices"] = torch.from_numpy(mesh.vertices).float()
        made.notes |= {"layer": f"up_blocks.{self.block}", "timesteps": state.times, "unseen_vertices": unseen}
        if self.shown == "features":
            made.views = vertex_views(mesh, cameras, colours_of(features))
        return made
