"""Checks of what components return, and its conversion to what can be stored: artifacts, notes, costs, scores, items.

NumPy scalars and tensors of one element count as numbers. Anything else that JSON, PNG or safetensors cannot hold, or
that does not fit the item, raises ValueError with a sentence for the record.
"""

# pyright: reportUnnecessaryIsInstance=false
# (Annotations are promises of other people's code, and here it is asked whether they were kept.)

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import SyncbenchError
from ..isolation.guard import blamed, named, storable
from ..store.stored import LARGEST
from ..types import FAMILIES, Artifact, Cost, Item, Json, Score

SLACK = 1e-3
"""Distance by which pixels may lie outside [0, 1], to allow for rounding."""


def check_artifact(artifact: Any, item: Item) -> None:
    """Raise ValueError unless `artifact` is one, fits the item, and can be stored.

    Views and canvas are finite float32 or float64 RGB images in [0, 1] of the surface's size, extras are plain tensors
    by name, notes are JSON, costs are numbers from 0 up.
    """
    if not isinstance(artifact, Artifact):
        raise ValueError(f"the method answered {_a(artifact)}, not an Artifact")
    high, wide = item.surface.window
    count = _count(item)
    _check_image("views", artifact.views, (count, 3, high, wide), f"{count} views of {high} x {wide} px")
    if artifact.canvas is not None:
        size = item.surface.canvas().shape if item.surface.picture else artifact.canvas.shape[-2:]
        _check_image("canvas", artifact.canvas, (3, *size), " x ".join(map(str, size)) + " px")
    extras_of(artifact)
    notes_of(artifact)
    cost_of(artifact.cost)


def settled(artifact: Artifact) -> Artifact:
    """A checked artifact in the form in which it is stored: plain tensors, JSON notes, plain costs."""
    return replace(artifact, extras=extras_of(artifact), notes=notes_of(artifact), cost=cost_of(artifact.cost))


def extras_of(artifact: Artifact) -> dict[str, Tensor]:
    """The extras as copied tensors on the CPU. Raises ValueError for anything but plain tensors by name."""
    if not isinstance(artifact.extras, Mapping):
        raise ValueError(f"the extras are {_a(artifact.extras)}, not tensors by name")
    made: dict[str, Tensor] = {}
    for name, value in artifact.extras.items():
        if not isinstance(name, str) or storable(name) != name:
            raise ValueError(f"the extras have a key that is no text: {_shown(name)}")
        if not isinstance(value, Tensor):
            raise ValueError(f"extras['{name}'] is {_a(value)}, not a tensor")
        _check_plain(f"extras['{name}']", value)
        made[name] = value.detach().as_subclass(Tensor).cpu().contiguous().clone()
    return made


def notes_of(artifact: Artifact) -> Json:
    """The notes as JSON. Raises ValueError naming what JSON cannot hold."""
    found = as_notes(artifact.notes, "notes")
    if not isinstance(found, dict):
        raise ValueError(f"the notes are {_a(artifact.notes)}, not facts by name")
    borders: Any = found.get("borders", [])
    if not isinstance(borders, list) or any(type(border) not in (int, float) for border in borders):
        raise ValueError(f"notes['borders'] is {_shown(borders)}, not a list of pixel columns")
    return found


def as_notes(value: Any, where: str) -> Any:
    """`value` as JSON holds it, tuples as lists, NumPy scalars as numbers. Raises ValueError naming the place."""
    if value is None or isinstance(value, bool | str):
        if isinstance(value, str) and storable(value) != value:
            raise ValueError(f"{where} is text that UTF-8 cannot hold: {_shown(value)}")
        return value if value is None or isinstance(value, bool) else str(value)
    if isinstance(value, Mapping):
        made: Json = {}
        for key, one in value.items():
            if not isinstance(key, str) or storable(key) != key:
                raise ValueError(f"{where} has a key that is no text: {_shown(key)}")
            made[str(key)] = as_notes(one, f"{where}['{key}']")
        return made
    if isinstance(value, list | tuple):
        return [as_notes(one, f"{where}[{number}]") for number, one in enumerate(value)]
    return as_number(value, where)


def as_number(value: Any, where: str) -> bool | int | float:
    """A Python, NumPy or one-element tensor's number as Python's. Raises ValueError for others, NaN and infinity."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        size = value.numel() if isinstance(value, Tensor) else value.size
        if size != 1:
            raise ValueError(f"{where} is {_a(value)} of {size} values: `.tolist()` makes it storable")
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        found = int(value)
        if abs(found) >= 2**63:
            raise ValueError(f"{where} is a number beyond 64 bits")
        return found
    if not isinstance(value, Real):
        raise ValueError(f"{where} is {_a(value)}, which JSON cannot hold")
    found = float(value)
    if not isfinite(found):
        raise ValueError(f"{where} is {found}")
    return found


def cost_of(cost: Any) -> Cost:
    """A cost in plain numbers. Raises ValueError for anything but a Cost, NaN, and numbers below 0."""
    if not isinstance(cost, Cost):
        raise ValueError(f"the cost is {_a(cost)}, not a Cost")
    made: Json = {}
    for one in fields(Cost):
        found = as_number(getattr(cost, one.name), f"cost.{one.name}")
        if found < 0:
            raise ValueError(f"cost.{one.name} is {found}: below 0")
        made[one.name] = float(found) if isinstance(one.default, float) else int(found)
    return Cost(**made)


def score_of(answer: Any) -> Score:
    """A metric's Score in plain numbers: no NaN, no number too large for a table to sum, no null without a reason.

    Raises ValueError for anything but a Score, a value that is no number, coverage outside [0, 1], a reason that is not
    text.
    """
    if not isinstance(answer, Score):
        raise ValueError(f"the metric answered {_a(answer)}, not a Score")
    if answer.reason is not None and not isinstance(answer.reason, str):
        raise ValueError(f"the reason is {_a(answer.reason)}, not text")
    reason = None if answer.reason is None else storable(str(answer.reason))
    coverage = float(as_number(answer.coverage, "the coverage"))
    if not -1e-6 <= coverage <= 1 + 1e-6:
        raise ValueError(f"the coverage is {coverage:g}, not in [0, 1]")
    coverage = min(max(coverage, 0.0), 1.0)
    if answer.value is None:
        return Score(value=None, coverage=coverage, reason=reason or "the metric gave no reason")
    value: Any = answer.value
    bare = value.item() if _single(value) else value
    if isinstance(bare, float) and not abs(bare) <= LARGEST:
        return Score.none(f"the metric returned {bare}")
    return Score(value=float(as_number(bare, "the value")), coverage=coverage, reason=reason)


def scores_of(answer: Any, names: Iterable[str]) -> dict[str, Any]:
    """A group metric's answers by item, unchecked. Raises ValueError unless they are a mapping of some of `names`."""
    if not isinstance(answer, Mapping):
        raise ValueError(f"the metric answered {_a(answer)}, not scores by item")
    strange = [key for key in answer if key not in set(names)]
    if strange:
        raise ValueError(f"the metric answered for an item that it was not asked about: {_shown(strange[0])}")
    return dict(answer)


def items_of(name: str, dataset: Any) -> list[Item]:
    """The items of a data set. Raises SyncbenchError with `name` if it does not return a list of proper items."""
    with blamed(f"data set {name}: its items()"):
        items: Any = dataset.items()
        if items is not None and not isinstance(items, str | bytes | Mapping) and isinstance(items, Iterable):
            items = list(items)
    if not isinstance(items, list):
        raise SyncbenchError(f"data set {name}: its items() answered {_a(items)}, not a list of items")
    for number, item in enumerate(items):
        with named(f"data set {name}: its item {number}"):
            wrong = _wrong(item)
        if wrong:
            raise SyncbenchError(f"data set {name}: its item {number} {wrong}")
    return items


def _wrong(item: Any) -> str:
    """What is wrong with an item that a data set lists; empty if nothing."""
    if not isinstance(item, Item):
        return f"is {_a(item)}, not an Item"
    if not isinstance(item.id, str) or not item.id:
        return f"has {_shown(item.id)} as its id: it must be text"
    if item.family not in FAMILIES:
        return f"is of the family {_shown(item.family)}: there are {', '.join(FAMILIES)}"
    if not isinstance(item.prompts, Sequence) or isinstance(item.prompts, str):
        return f"has {_a(item.prompts)} for prompts: it must be a tuple of text"
    if not item.prompts or not all(isinstance(prompt, str) for prompt in item.prompts):
        return "has prompts that are no text, or none"
    return ""


def _count(item: Item) -> int:
    """Number of views that the item's surface lays out by itself."""
    count: int | None = getattr(item.surface, "views", None)
    return item.surface.canvas().views if count is None else count


def _check_image(name: str, image: Any, shape: tuple[int, ...], size: str) -> None:
    if not isinstance(image, Tensor):
        raise ValueError(f"the {name}: {_a(image)}, not a tensor")
    _check_plain(f"the {name}", image)
    if image.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"the {name} are {str(image.dtype).removeprefix('torch.')}: answer float32")
    if image.ndim != len(shape) or image.shape[-3] != 3 or not len(image):
        wanted = "(n, 3, h, w)" if len(shape) == 4 else "(3, H, W)"
        raise ValueError(f"the {name} must be {wanted}, not {tuple(image.shape)}")
    image = image.detach()
    if not bool(torch.isfinite(image).all()):
        raise ValueError(f"the {name} hold NaN or infinite values")
    low, high = float(image.min()), float(image.max())
    if low < -SLACK or high > 1 + SLACK:
        raise ValueError(f"the {name} range over [{low:.3g}, {high:.3g}], not [0, 1]")
    if tuple(image.shape) != shape:
        raise ValueError(f"the {name} are {tuple(image.shape)}, and the item's surface has {size}")


def _check_plain(name: str, tensor: Tensor) -> None:
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_complex():
        kind = "complex" if tensor.is_complex() else "meta" if tensor.is_meta else str(tensor.layout)
        raise ValueError(f"{name}: a {kind.removeprefix('torch.')} tensor, not a dense one of real numbers")


def _single(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.size == 1)


def _a(value: Any) -> str:
    """The type of a value with its article, for errors."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _shown(value: Any) -> str:
    """A value, shortened for errors."""
    try:
        return storable(repr(value))[:60]
    except Exception:
        return _a(value)
