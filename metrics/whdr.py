"""WHDR, weighted human disagreement rate

The weight of the judgements with which the predicted albedo disagrees, as a fraction of the weight of all. A judgement
says of two points which one has the darker surface, or that they are alike. The albedo says that point 1 is darker if
l2 / l1 > 1 + delta, point 2 if l1 / l2 > 1 + delta, else that they are alike; l is the mean of its channels in linear
light. Range [0, 1]; lower is better.

Bell, Bala, Snavely, Intrinsic Images in the Wild, ACM Trans. Graph. (SIGGRAPH) 2014; delta = 0.10 as there.
`truth["judgements"]` (n, 5) holds x1, y1, x2, y2 in [0, 1] and which is darker (1, 2, or 0: alike),
`truth["judgement_weights"]` (n,) how sure people are; weights of 0 and less do not count. An item with a true albedo
and no judgements is judged by that albedo and the same rule, at neighbours on a grid of 24 x 24 points.

Traps. Most judgements are "alike", so one flat colour scores about 0.37 on IIW and often best on smooth scenes:
`balanced` gives each of the three answers the same weight, and one colour then scores 2/3. Only reflectance in linear
light counts. Published numbers differ in the test split and where a method was trained on the judgements.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.light import decoded_channels, scored_mask

GRID = 24
"""Points to a side of the grid on which a true albedo is judged."""
FAINTEST = 1e-10
"""Smallest reflectance, so that no ratio divides by zero."""


@dataclass(frozen=True, kw_only=True)
class Whdr:
    """Weighted share of judgements of relative reflectance that the albedo contradicts."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("channels",)
    estimates: ClassVar[str] = "albedo_error"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"balanced": {"balanced": True}}

    delta: Annotated[float, Interval(ge=0, le=10)] = 0.10
    """By how much one reflectance must exceed the other to be called lighter."""
    balanced: bool = False
    """Whether the three answers count alike, however many judgements each has."""

    def fingerprint(self) -> str:
        """One line that names the threshold, the light and the weights."""
        how = ", answers balanced" if self.balanced else ""
        return f"WHDR delta {self.delta:g}{how}, mean of channels, linear light, else grid {GRID} of the truth, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The rate; coverage is the fraction of the judgements that count."""
        predicted = decoded_channels(artifact, item)
        if predicted is None or predicted.albedo is None:
            return Score.none("the artifact has no albedo")
        grey = predicted.albedo.mean(0)
        judged = self._judgements(item)
        if isinstance(judged, str):
            return Score.none(judged)
        points, darker, weight = judged
        counts = weight > 0
        if not counts.any():
            return Score.none("no judgement has a weight above 0")
        points, darker, weight = points[counts], darker[counts], weight[counts]
        wrong = self._answers(grey, points) != darker
        if self.balanced:
            kinds = [darker == answer for answer in (0, 1, 2) if bool((darker == answer).any())]
            rates = [float((weight * wrong)[kind].sum() / weight[kind].sum()) for kind in kinds]
            value = sum(rates) / len(rates)
        else:
            value = float((weight * wrong).sum() / weight.sum())
        return Score(value=value, coverage=float(counts.double().mean()))

    def _answers(self, grey: Float[Tensor, "h w"], points: Float[Tensor, "n 4"]) -> Int[Tensor, " n"]:
        """For each pair of points the darker one, 1 or 2, or 0 where the two are alike."""
        first, second = (
            grey[tuple(_index(points[:, k], n) for k, n in ((y, grey.shape[0]), (x, grey.shape[1])))].clamp(
                min=FAINTEST
            )
            for x, y in ((0, 1), (2, 3))
        )
        one, two = second / first > 1 + self.delta, first / second > 1 + self.delta
        return one.long() + 2 * two.long()

    def _judgements(self, item: Item) -> tuple[Float[Tensor, "n 4"], Int[Tensor, " n"], Float[Tensor, " n"]] | str:
        """Pairs of points, which is the darker one, and weights; or the reason why there are none."""
        given, weight = item.truth.get("judgements"), item.truth.get("judgement_weights")
        if given is not None:
            if given.ndim != 2 or given.shape[1] != 5 or (weight is not None and len(weight) != len(given)):
                return "judgements must be (n, 5) with n weights"
            if not len(given):
                return "the item has no judgement"
            sure = torch.ones(len(given)) if weight is None else weight
            return given[:, :4].double(), given[:, 4].round().long(), sure.double()
        if "albedo" not in item.truth:
            return "the item has neither judgements of its albedo nor a true one"
        truth = item.truth["albedo"][0].double()
        points = _neighbours(scored_mask(item, "surface", *truth.shape[1:])[0] > 0.5)
        if not len(points):
            return "the picture shows no surface"
        return points, self._answers(truth.mean(0), points), torch.ones(len(points)).double()


def _index(share: Float[Tensor, " n"], size: int) -> Int[Tensor, " n"]:
    """The pixel in which a coordinate in [0, 1] lies."""
    return (share * size).long().clamp(0, size - 1)


def _neighbours(inner: Bool[Tensor, "h w"]) -> Float[Tensor, "n 4"]:
    """Points (x1, y1, x2, y2) of every two neighbours on the grid that are both inside."""
    along = (torch.arange(GRID).double() + 0.5) / GRID
    y, x = torch.meshgrid(along, along, indexing="ij")
    inside = inner[_index(y.flatten(), inner.shape[0]), _index(x.flatten(), inner.shape[1])].reshape(GRID, GRID)
    at = torch.stack([x, y], -1)
    right = torch.cat([at[:, :-1], at[:, 1:]], -1)[inside[:, :-1] & inside[:, 1:]]
    down = torch.cat([at[:-1], at[1:]], -1)[inside[:-1] & inside[1:]]
    return torch.cat([right, down])
