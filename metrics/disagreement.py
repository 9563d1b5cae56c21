"""Pre-fusion disagreement

Variance of the windows' predicted clean images on cells several of them see, before fusion, over the variance of
all predictions; averaged over the second half of the denoising steps. Lower is better: the windows agree before they
are fused.

Source: our definition. Methods that average satisfy agreement after fusion by construction, so only what was there
before is informative. Range [0, about 1]; independent noise gives about 1 - 1/k for k windows a cell.

Traps. The variance is measured inside the shared loop, in latent space: published pipelines that run their own loop
have none (null), and values of unlike models or strides are not comparable. A method that drives all windows to the
same blank image wins: read it beside `sharpness`. The metric is not defined for channels of one picture, which are
meant to differ, and for imagined objects, whose views have no cells in common.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.types import Artifact, Family, Item, Role, Score


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """Mean normalised variance between views before they are fused."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("overlap", "geometry", "frames")

    def fingerprint(self) -> str:
        """One line that names the variances and the steps they are averaged over."""
        return "variance of predicted x0 over shared cells / variance of all, mean over the last half of the steps"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean; coverage is 1, or the fraction of the averaged steps that were measured."""
        steps = artifact.extras.get("disagreement")
        if steps is None or steps.numel() == 0:
            return Score.none("the method did not measure disagreement: no cell is seen twice, or it runs its own loop")
        late = steps.detach().double().flatten()[steps.numel() // 2 :]
        measured = late[late.isfinite()]
        if measured.numel() == 0:
            return Score.none("no step in the second half was measured")
        return Score(value=float(measured.mean()), coverage=measured.numel() / late.numel())
