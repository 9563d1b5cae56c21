"""Badly behaved and tiny components, named as `tiny_components.py:Class` by the tests of the runner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from syncbench import Artifact, Canvas, Item, Method, Score
from syncbench.bench.models.interface import Model
from syncbench.bench.surfaces.strip import Strip
from syncbench.methods.independent import Independent

LEAKED: list[Any] = []
"""Contexts entered for good: one that is forgotten leaves by itself."""


@dataclass(frozen=True, kw_only=True)
class Failing(Independent):
    """Fails on the item called `on`, unless a file named by `cure` exists."""

    version: ClassVar[int] = 1
    on: str = "01-blue-sea"
    cure: str = ""

    def finish(self, state: Any, item: Item, canvas: Canvas, model: Any) -> Artifact:
        """Raise, or not."""
        from pathlib import Path

        if item.id == self.on and not (self.cure and Path(self.cure).exists()):
            raise RuntimeError("a bolt broke")
        return super().finish(state, item, canvas, model)


@dataclass(frozen=True, kw_only=True)
class Needy(Independent):
    """Needs what no model here has."""

    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("camera",)


@dataclass(frozen=True, kw_only=True)
class Wrong(Method):
    """Returns views that are no images."""

    version: ClassVar[int] = 1
    door: ClassVar[Any] = "as_published"
    kind: str = "nan"

    def __call__(self, item: Item, model: Any, seed: int) -> Artifact:
        """Not what a method promises."""
        views = torch.full((2, 3, 8, 8), float("nan")) if self.kind == "nan" else torch.full((2, 3, 8, 8), 7.0)
        return Artifact(views=views)


@dataclass(frozen=True, kw_only=True)
class Restless(Independent):
    """Same seed, other bytes."""

    version: ClassVar[int] = 1

    def finish(self, state: Any, item: Item, canvas: Canvas, model: Any) -> Artifact:
        """Add noise from nowhere."""
        return super().finish(state + 0.1 * torch.randn(state.shape), item, canvas, model)


@dataclass(frozen=True, kw_only=True)
class Leaking(Independent):
    """Puts attention processors in and forgets them."""

    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("attention",)

    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        LEAKED.append(model.attach(lambda name, layer: type(layer.processor)()))
        LEAKED[-1].__enter__()
        return super().__call__(item, model, seed)


@dataclass(frozen=True, kw_only=True)
class Mean:
    """Mean brightness, or NaN, or an exception."""

    version: ClassVar[int] = 1
    role: ClassVar[str] = "consistency"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[str, ...]] = ("overlap",)
    mood: str = "good"

    def fingerprint(self) -> str:
        """What is averaged."""
        return f"mean {self.mood}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean."""
        if self.mood == "bad":
            raise ZeroDivisionError("no light")
        return Score(value=float("nan") if self.mood == "nan" else float(artifact.views.mean()))


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """A group metric: how many there are, and how this one differs from the mean."""

    version: ClassVar[int] = 1
    role: ClassVar[str] = "consistency"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[str, ...]] = ("overlap",)

    def fingerprint(self) -> str:
        """What is compared."""
        return "distance to the mean"

    def group(self, artifacts: Mapping[str, Artifact], items: Mapping[str, Item]) -> dict[str, Score]:
        """Size of the group plus the distance."""
        means = {name: float(artifact.views.mean()) for name, artifact in artifacts.items()}
        middle = sum(means.values()) / len(means)
        return {name: Score(value=len(means) + abs(value - middle)) for name, value in means.items()}


@dataclass(frozen=True, kw_only=True)
class Aimless(Mean):
    """A metric that does not say what it is for."""

    role: ClassVar[Any] = None


@dataclass(frozen=True, kw_only=True)
class Misplaced(Mean):
    """A metric whose places are no places."""

    primary: ClassVar[Any] = {"overlap": 0}


@dataclass(frozen=True, kw_only=True)
class Clock(Mean):
    """A number of the machine."""

    role: ClassVar[str] = "cost"
    primary: ClassVar[dict[str, int]] = {"overlap": 3, "overlap@bad": 1}
    presets: ClassVar[dict[str, dict[str, Any]]] = {"bad": {"mood": "bad"}, "nan": {"mood": "nan"}}
    machine: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Greys:
    """One item whose picture is of the level that a file holds."""

    version: ClassVar[int] = 1
    family: ClassVar[str] = "overlap"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""

    def items(self) -> list[Item]:
        """The picture."""
        from pathlib import Path

        image = torch.full((1, 3, 16, 16), float(Path(self.path).read_text()))
        return [
            Item(id="grey", family="overlap", prompts=("",), surface=Strip(16, 64, 16), conditions={"image": image})
        ]
