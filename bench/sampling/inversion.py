"""DDIM inversion: noise from which the deterministic sampler comes back to a given clip, on the model's own levels.

Song, Meng, Ermon, ICLR 2021, arXiv 2010.02502, section 4.3, reversed: from the sample y at the level (a', b') where a
step ends, the sample x at the level (a, b) where it starts is looked for, so that a step from x ends at y. Because the
network is evaluated at x, which is not known, the equation is solved by fixed-point iterations that start at y (Pan et
al., ICCV 2023, arXiv 2309.04907; Garibi et al., ECCV 2024, arXiv 2403.14602). One iteration is the usual inversion, as
in diffusers' `DDIMInverseScheduler`: the error grows with the size of a step, and few steps need more iterations.

Both forms of the equation have the same solution:

    x = b / b' (y - a' x0(x)) + a x0(x)          for noisy levels; holds where the schedule begins with no signal, a = 0
    x = a / a' (y - b' eps(x)) + b eps(x)        for clean levels; holds where it ends without noise, b' = 0
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..catalogue.content import content_of, digest
from ..models.interface import Condition, Model
from ..models.parts.schedule import Level, Schedule
from ..types import Item, SyncbenchError
from . import kept


@dataclass(frozen=True)
class Inverted:
    """An inverted clip."""

    path: Float[Tensor, "levels views c h w"]
    """The sample at every level of the schedule, from the noisiest to the clean latents that were inverted."""
    error: float
    """Root mean square of (latents sampled from `path[0]` - the clean latents), over that of the clean latents."""

    @property
    def noise(self) -> Float[Tensor, "views c h w"]:
        """The sample at the first level."""
        return self.path[0]


Predict = Callable[[Tensor, Level, Condition], tuple[Tensor, Tensor]]
"""(views at a level, the level, condition) -> clean views x0 and noise eps, as `Model.predict`."""


def invert(
    clean: Float[Tensor, "views c h w"],
    predict: Predict,
    condition: Condition,
    schedule: Schedule,
    iterations: int = 1,
) -> Float[Tensor, "levels views c h w"]:
    """The sample at every level of the schedule, of which the last is `clean`.

    `condition` should have guidance 1: guidance makes inversion unstable. Predicts `iterations` times a step.
    """
    found = [clean]
    for level in reversed([*schedule]):
        lower = x = found[-1]
        for _ in range(iterations):
            x0, eps = predict(x, level, condition)
            if level.b_next > level.a_next:
                x = level.b / level.b_next * (lower - level.a_next * x0) + level.a * x0
            else:
                x = level.a / level.a_next * (lower - level.b_next * eps) + level.b * eps
        found.append(x)
    return torch.stack(found[::-1])


def sampled(x: Float[Tensor, "views c h w"], predict: Predict, condition: Condition, schedule: Schedule) -> Tensor:
    """Clean latents by the deterministic sampler (eta = 0) from the sample `x` at the schedule's first level."""
    for level in schedule:
        x = level.move(*predict(x, level, condition))
    return x


def inverted(
    item: Item,
    model: Model,
    prompts: Sequence[str],
    schedule: Schedule,
    iterations: int = 1,
    *,
    way: tuple[str, Predict] | None = None,
    together: bool = False,
    **inputs: Any,
) -> Inverted:
    """The inversion of the item's source clip, with the `prompts` of its frames at guidance 1.

    It is kept in the user's cache folder by model, clip, prompts, levels and iterations, so that methods and seeds
    share it. Its evaluations and seconds count in `model.cost` in either case; those of the measurement of `error` do
    not. `inputs` are conditions that the model reads; `way` is the name of another way to predict, and that way.
    Raises SyncbenchError for an item without a source clip.
    """
    clip = source_clip(item)
    manner, predict = way or ("", model.predict)
    before = replace(model.cost)

    def made() -> tuple[Tensor, Condition, Tensor]:
        clean = model.encode(clip)
        condition = model.condition(prompts, 1.0, "", together=together, **inputs)
        return clean, condition, invert(clean, predict, condition, schedule, iterations)

    if getattr(model, "rehearses", False):  # its latents mean nothing
        return Inverted(made()[2], 0.0)
    facts = [model.id, model.revision, str(model.dtype), model.device.type, content_of(item), [*prompts], iterations]
    levels = [[*schedule.t], [*schedule.a], [*schedule.b], manner, together, sorted(inputs)]
    name = digest(["inversion 1", *facts, levels])
    found = kept.read(name, (len(schedule) + 1, len(clip)))
    if found is None:
        with kept.timed(model.device) as timer:
            clean, condition, path = made()
        counted = replace(model.cost)
        with kept.timed(model.device) as measuring:
            again = sampled(path[0], predict, condition, schedule)
            error = float((again - clean).square().mean().sqrt() / clean.square().mean().sqrt())
        spent = kept.added(counted, before, -1)
        # the measurement is no part of the method: what it took is taken off the method's seconds again
        model.cost = replace(counted, seconds=counted.seconds - measuring.seconds)
        found = kept.Kept(path.float().cpu().contiguous(), error, replace(spent, seconds=timer.seconds))
        kept.write(name, found)
    else:
        model.cost = kept.added(before, found.cost)
    return Inverted(found.path.to(model.device, model.dtype), found.error)


def source_clip(item: Item) -> Float[Tensor, "frames 3 H W"]:
    """The clip that an item asks to edit. Raises SyncbenchError for an item without one."""
    clip = item.conditions.get("video")
    if clip is None:
        raise SyncbenchError(f"item '{item.id}' has no source clip (`conditions[\"video\"]`) to edit")
    return clip
