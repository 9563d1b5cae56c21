"""Vertices matched by their features, and how pairs of shapes become scores of items.

A method's features are the artifact's extra `features` (vertices, d); which vertices are the same is the item's truth
(`match_ID` for each shape ID, see the data set `world_shapes`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Interval
from jaxtyping import Float, Int
from torch import Tensor

from ...bench.types import Artifact, Item, Score

TRUTH = "match_"
"""What names of truth begin with; a shape's id follows."""
SEED = 42
"""Draws the vertices that are matched, as upstream's evaluation does."""


@dataclass(frozen=True)
class Matched:
    """Vertices of one shape, and where they were found on another one."""

    source: Item
    target: Item
    queries: Int[Tensor, " k"]
    """Vertices of the source whose place on the target is known."""
    found: Int[Tensor, " k"]
    """The vertices of the target that have the most similar features."""
    true: Int[Tensor, " k"]
    """The vertices of the target that they are."""


@dataclass(frozen=True, kw_only=True)
class Matching(ABC):
    """A metric of matches: an item's value is the mean over the shapes that it is to be matched with."""

    points: Annotated[int, Interval(ge=1, le=1_000_000)] = 1024
    """Largest number of vertices of a shape that are matched, drawn at random; each with all vertices of the other."""

    @abstractmethod
    def judge(self, matched: Matched) -> tuple[float, float] | str:
        """The value of a pair and the share of its matches that it speaks of, or why there is none."""

    def fingerprint(self) -> str:
        """One line that names the matches."""
        return f"argmax of cosine among all vertices of the target, {self.points} random vertices (seed {SEED})"

    def group(self, artifacts: Mapping[str, Artifact], items: Mapping[str, Item]) -> dict[str, Score]:
        """The score by item id; coverage is the share of its pairs, and of their matches, that were judged."""
        features = {name: features_of(artifacts[name], items[name]) for name in artifacts}
        return {name: self._score(name, features, items) for name in artifacts}

    def _score(self, name: str, features: Mapping[str, Tensor | str], items: Mapping[str, Item]) -> Score:
        own, partners = features[name], [key for key in items[name].truth if key.startswith(TRUTH)]
        if not partners:
            return Score.none("the item's truth matches it with no other shape")
        if isinstance(own, str):
            return Score.none(own)
        values: list[float] = []
        shares: list[float] = []
        reasons: list[str] = []
        for key in partners:
            other = key.removeprefix(TRUTH)
            theirs = features.get(other, f"shape {other}, which it is to be matched with, was not sampled")
            answer = theirs if isinstance(theirs, str) else self._pair(items[name], items[other], own, theirs)
            if isinstance(answer, str):
                reasons.append(answer)
                continue
            values.append(answer[0])
            shares.append(answer[1])
        if not values:
            return Score.none(reasons[0])
        return Score(value=sum(values) / len(values), coverage=min(1.0, sum(shares) / len(partners)))

    def _pair(self, source: Item, target: Item, own: Tensor, theirs: Tensor) -> tuple[float, float] | str:
        if own.shape[1] != theirs.shape[1]:
            return f"features of {own.shape[1]} and of {theirs.shape[1]} numbers cannot be compared"
        true = source.truth[TRUTH + target.id]
        queries = drawn(torch.where(true >= 0)[0], self.points)
        if not len(queries):
            return f"no vertex is known on shape {target.id}"
        return self.judge(Matched(source, target, queries, matches(own[queries], theirs), true[queries]))


def features_of(artifact: Artifact, item: Item) -> Float[Tensor, "vertices d"] | str:
    """Features of an item's vertices as float32, or why there are none."""
    found = artifact.extras.get("features")
    if found is None:
        return "the method made no features of vertices"
    count = len(item.truth["vertices"]) if "vertices" in item.truth else -1
    if count < 0:
        return "the item's truth has no vertices"
    if found.ndim != 2 or len(found) != count or not found.is_floating_point():
        return f"features of shape {tuple(found.shape)} are not those of {count:,} vertices"
    if not bool(found.isfinite().all()):
        return "some features are not finite"
    return found.float()


def drawn(vertices: Int[Tensor, " n"], most: int) -> Int[Tensor, " k"]:
    """At most so many of the vertices, drawn at random but always the same, in order."""
    if len(vertices) <= most:
        return vertices
    order = torch.randperm(len(vertices), generator=torch.Generator().manual_seed(SEED))
    return vertices[order[:most].sort().values]


def matches(queries: Float[Tensor, "k d"], features: Float[Tensor, "n d"]) -> Int[Tensor, " k"]:
    """For each query the row of the most similar features, by cosine; the first of equal ones."""
    unit = F.normalize(features, dim=1).T
    return torch.cat([(F.normalize(some, dim=1) @ unit).argmax(1) for some in queries.split(256)])
