"""Contract test of one component: does a method, metric, dataset or model do what its interface promises?

Authors of components run `syncbench check ID`, `syncbench check package.module:Class` or `syncbench check file.py`.
The test is quick: it uses the closed-form model and one small strip.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..catalogue.listing import KINDS, Kind, list_components
from ..catalogue.registry import MARKS, NOUNS, any_class, component_kind, load, split, suggest
from ..catalogue.roles import primary_of
from ..isolation.guard import Failure, attempt, unchanged
from ..models.interface import Model
from ..models.parts.attention import hook_is_live
from ..run.answers import check_artifact, items_of
from ..surfaces.lazy import Lazy
from ..surfaces.strip import Strip
from ..types import FAMILIES, ROLES, Artifact, Cost, Dataset, Item, Sampling, Score, SyncbenchError

SIZE = 32


@dataclass(frozen=True)
class Verdict:
    """The result of testing one promise of a component's interface."""

    promise: str
    kept: bool
    seen: str = ""
    """What was observed, in words."""


def check(spec: str, overrides: Mapping[str, Any] | None = None) -> list[Verdict]:
    """The results of testing the component `spec` against its contract. Raises SyncbenchError for an unknown spec."""
    kind = kind_named(spec)
    component = load(kind, spec, overrides)
    tests: dict[Kind, Callable[[Any], Iterator[Verdict]]] = {
        "methods": _method,
        "metrics": _metric,
        "datasets": _dataset,
        "models": _model,
    }
    verdicts: list[Verdict] = []
    ended = attempt(lambda: _extend(verdicts, tests[kind](component)), SyncbenchError)
    if isinstance(ended, Failure):
        verdicts.append(Verdict("runs without an exception", False, ended.text))
    return verdicts


def _extend(verdicts: list[Verdict], more: Iterator[Verdict]) -> None:
    with unchanged():
        verdicts.extend(more)


def kind_named(spec: str) -> Kind:
    """Which kind of component a spec names: by its id, or by the attributes of its class. Raises SyncbenchError."""
    base = split(spec)[0]
    for kind in KINDS:
        if base in {component.id for component in list_components(kind)}:
            return kind
    if ":" not in base and not base.endswith(".py"):
        known = [component.id for kind in KINDS for component in list_components(kind)]
        raise SyncbenchError(f"unknown component '{base}'{suggest(base, known, 'known are')}")
    kind = component_kind(any_class("methods", base))
    if kind is None:
        has = ", ".join(f"a {NOUNS[each]} {' and '.join(f'`{name}`' for name in MARKS[each])}" for each in KINDS)
        raise SyncbenchError(f"{base} is no component: of class data, {has}")
    return kind


def example_item() -> Item:
    """An item whose surface is a strip three windows wide, with a known truth."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(3, SIZE, 3 * SIZE, generator=generator)
    return Item(
        id="example",
        family="overlap",
        prompts=("a landscape",),
        surface=Strip(SIZE, 3 * SIZE, SIZE),
        protocol=Sampling(steps=3, guidance=1.5),
        truth={"canvas": truth},
    )


def with_clip(item: Item) -> Item:
    """The item with a source clip of as many frames as its surface has views, and a mask of their upper half."""
    generator = torch.Generator().manual_seed(1)
    frames, (high, wide) = item.surface.canvas().views, item.surface.window
    clip, mask = torch.rand(frames, 3, high, wide, generator=generator), torch.zeros(frames, 1, high, wide)
    mask[:, :, : high // 2] = 1
    return replace(item, source="a field", conditions={**item.conditions, "video": clip, "mask": mask})


def _version(component: Any) -> Verdict:
    version = getattr(component, "version", None)
    return Verdict("`version` is a whole number from 1", isinstance(version, int) and version >= 1, repr(version))


def _frozen(component: Any) -> Verdict:
    frozen = bool(getattr(getattr(component, "__dataclass_params__", None), "frozen", False))
    return Verdict("a frozen dataclass, so that its fields are its identity", frozen)


def _method(method: Any) -> Iterator[Verdict]:
    yield _version(method)
    yield _frozen(method)
    yield Verdict("`door` is controlled or as_published", method.door in ("controlled", "as_published"), method.door)
    model: Any = load("models", "tiny" if {"attention", "text"} & {*method.requires} else "gauss", {"device": "cpu"})
    lacking = set(method.requires) - model.capabilities
    if lacking:
        yield Verdict(f"sampling was not tried: no small model has {', '.join(sorted(lacking))}", True)
        return
    item = example_item()
    lacks: Callable[[Item], str | None] = getattr(method, "lacks", lambda item: None)
    given = lacks(item) is not None  # what starts from a given clip need not draw anything
    item = with_clip(item) if given else item
    missing = lacks(item)
    if missing is not None:
        yield Verdict(f"sampling was not tried: {missing}", True)
        return
    before = _processors(model)
    model.cost = Cost()
    first: Artifact = method(item, model, 7)
    second: Artifact = method(item, model, 7)
    try:
        check_artifact(first, item)
        yield Verdict("views and canvas are finite RGB in [0, 1]", True, f"views {tuple(first.views.shape)}")
    except ValueError as error:
        yield Verdict("views and canvas are finite RGB in [0, 1]", False, str(error))
    if first.canvas is not None:
        surface = tuple(item.surface.canvas(1).shape)
        fits = tuple(first.canvas.shape[1:]) == surface
        yield Verdict("the canvas has the surface's size", fits, f"{tuple(first.canvas.shape)} for {surface}")
    same = torch.equal(first.views, second.views)
    yield Verdict("same seed, same bytes", same)
    yield Verdict("attention processors are as before", _processors(model) == before)
    if getattr(method, "runs_model", True):
        if not given:
            yield Verdict("another seed, another sample", not torch.equal(first.views, method(item, model, 8).views))
        yield Verdict("the model counted its evaluations", model.cost.evaluations > 0, str(model.cost.evaluations))


def _processors(model: Model) -> list[str]:
    """Names and identities of a model's attention processors; empty for models without attention."""
    processors: list[str] = []

    def note(name: str, layer: Any) -> Any:
        processors.append(f"{name}:{id(layer.processor)}")
        return layer.processor

    if "attention" in model.capabilities:
        with model.attach(note, lambda name, layer: True):
            pass
    return processors


def _metric(metric: Any) -> Iterator[Verdict]:
    yield _version(metric)
    yield _frozen(metric)
    role: Any = getattr(metric, "role", None)
    yield Verdict(f"`role` is one of {', '.join(ROLES)}", role in ROLES, repr(role))
    yield Verdict("`primary` names families with places from 1", _placed(metric), repr(getattr(metric, "primary", {})))
    direction = str(metric.direction)
    fine = direction in ("lower", "higher") or direction.startswith("target:")
    yield Verdict("`direction` is lower, higher or target:VALUE", fine, direction)
    known = set(metric.families) <= set(FAMILIES)
    yield Verdict("`families` are of the five", known and bool(metric.families), ", ".join(metric.families))
    print_ = metric.fingerprint()
    yield Verdict("the fingerprint is one short line", 0 < len(print_) < 400 and "\n" not in print_, print_)
    if getattr(metric, "estimates", None):
        exact = load("metrics", str(metric.estimates))
        shared = set(exact.families) & set(metric.families)
        fine = bool(shared) and not getattr(exact, "estimates", None)
        yield Verdict("`estimates` names an exact metric of one of its families", fine, str(metric.estimates))
    item = example_item()
    artifact = Artifact(views=item.surface.canvas(1).look(item.truth["canvas"]), canvas=item.truth["canvas"])
    for name, made in (("a picture", artifact), ("a bare artifact", Artifact(views=torch.zeros(1, 3, SIZE, SIZE)))):
        first, second = _ask(metric, made, item), _ask(metric, made, item)
        yield Verdict(f"{name}: a value, or null with a reason", _sound(first), f"{first.value} {first.reason or ''}")
        yield Verdict(f"{name}: the same answer twice", first == second)


def _placed(metric: Any) -> bool:
    """Whether `primary`, where there is one, is a table of the metric's own families."""
    try:
        primary_of(metric, "")
    except SyncbenchError:
        return False
    return {str(key).partition("@")[0] for key in getattr(metric, "primary", {})} <= set(metric.families)


def _ask(metric: Any, artifact: Artifact, item: Item) -> Score:
    if hasattr(metric, "group"):
        other = Artifact(views=1 - artifact.views, canvas=None if artifact.canvas is None else 1 - artifact.canvas)
        return metric.group({"example": artifact, "other": other}, {"example": item, "other": item})["example"]
    return metric(artifact, item)


def _sound(score: Score) -> bool:
    if score.value is None:
        return bool(score.reason) and score.coverage == 0
    return score.value == score.value and 0 <= score.coverage <= 1 and score.reason is None


def _dataset(dataset: Dataset) -> Iterator[Verdict]:
    yield _version(dataset)
    yield _frozen(dataset)
    first, second = items_of(type(dataset).__name__, dataset), items_of(type(dataset).__name__, dataset)
    yield Verdict("it has items", bool(first), str(len(first)))
    yield Verdict("item ids are unique", len({item.id for item in first}) == len(first))
    facts = [[(item.id, item.prompts, item.protocol, item.surface) for item in items] for items in (first, second)]
    yield Verdict("the same items in the same order every time", facts[0] == facts[1])
    yield Verdict("items are of the dataset's family", all(item.family == dataset.family for item in first))
    later = [item for item in first if isinstance(item.conditions, Lazy) or isinstance(item.truth, Lazy)]
    told = all(item.content for item in later)
    yield Verdict("`content` says what tensors made on first access are made from", told)
    canvas = first[0].surface.canvas(1)
    count = len(first[0].prompts)
    yield Verdict("one prompt, or one per view", count in (1, canvas.views), f"{count} for {canvas.views} views")
    for name, value in first[0].truth.items():
        fine = bool(torch.isfinite(value).all()) and torch.equal(value, second[0].truth[name])
        yield Verdict(f"truth `{name}` is finite and the same every time", fine, str(tuple(value.shape)))


def _model(model: Any) -> Iterator[Verdict]:
    revision = model.revision
    yield Verdict(
        "`revision` is 12 hex digits", len(revision) == 12 and set(revision) <= set("0123456789abcdef"), revision
    )
    schedule = model.schedule(3)
    yield Verdict("a schedule of as many steps as asked", len(schedule) == 3)
    side = model.window // model.factor
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, model.channels, side, side, generator=generator).to(model.device, model.dtype)
    condition = model.condition(["a landscape"] * 2, 2.0)
    level = next(iter(schedule))
    model.cost = Cost()
    with torch.no_grad():
        x0, eps = model.predict(x, level, condition)
        counted = model.cost.evaluations
        again = model.predict(x, level, condition)[0]
        image = model.decode(x0)
    yield Verdict("x = a x0 + b eps", torch.allclose(level.a * x0 + level.b * eps, x, atol=1e-3, rtol=1e-3))
    yield Verdict("prediction is deterministic", torch.equal(x0, again))
    yield Verdict("both halves of guidance are counted", counted == 4, f"{counted} for 2 guided views")
    shape = (2, 3, model.window, model.window)
    yield Verdict("decodes to images of its window", tuple(image.shape) == shape, str(tuple(image.shape)))
    yield Verdict("images are in [0, 1]", float(image.min()) >= 0 and float(image.max()) <= 1)
    if "attention" in model.capabilities:
        yield Verdict("attention asks the processors that are put into it", hook_is_live(model))
