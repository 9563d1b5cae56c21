"""Seed spread

Root mean square, over pixels, colours and views, of the standard deviation over seeds (unbiased), in 8-bit levels: by
how much the answer changes when only the noise does. Lower is better where the input determines the answer, as a
picture its channels. All seeds of an item have the value of the item.

Source: the variance over samples by which papers on diffusion for depth and intrinsic channels argue for ensembles (Ke
et al. 2024, arXiv 2312.02145); the mean is taken of variances, so that the value does not depend on the number of
seeds.

Traps. A method that always makes the same wrong answer has none: read it beside the errors. Where the answer is open,
as the picture of a prompt, spread is variety, and no fault. An ensemble has less for its cost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import stored_views


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """Standard deviation of an item's views over seeds."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "levels"
    families: ClassVar[tuple[Family, ...]] = ("channels",)
    across: ClassVar[str] = "seeds"

    def fingerprint(self) -> str:
        """One line that names the statistic."""
        return "rms over pixels of the unbiased std over seeds, sRGB levels of 255, rgb8"

    def group(self, artifacts: Mapping[str, Artifact], items: Mapping[str, Item]) -> dict[str, Score]:
        """The spread, the same for every seed. Both mappings have seeds as keys."""
        views = {seed: stored_views(artifact).double() for seed, artifact in artifacts.items()}
        if len(views) < 2:
            return dict.fromkeys(artifacts, Score.none("one seed alone has no spread: --seeds 0,1"))
        if len({tuple(one.shape) for one in views.values()}) > 1:
            return dict.fromkeys(artifacts, Score.none("the seeds made views of unlike numbers or sizes"))
        variance = torch.stack(list(views.values())).var(0, correction=1)
        return dict.fromkeys(artifacts, Score(value=255 * float(variance.mean().sqrt())))
