"""Scores from Python of pictures in memory or in files, equal to those that the command line stores."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..catalogue.registry import label
from ..errors import SyncbenchError, quoted
from ..files.reading import is_folder
from ..isolation.guard import Failure, attempt, settings
from ..run.answers import items_of, score_of, scores_of
from ..run.loaded import Loaded
from ..run.score import Answer, Ruler, error_answer, ruler
from ..store.png import as_stored
from ..suites.narrow import narrowed
from ..suites.suite import Entry, Part, Suite
from ..surfaces.shared import Apart, Shared
from ..surfaces.strip import Strip
from ..types import FAMILIES, Artifact, Family, Item, Metric, Score
from ..world.truth import CHANNELS
from .leaves import find_leaves
from .match import Output, item_names, ordered_files
from .metrics import family_metrics
from .read import Reading, fit_images, read_output

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("item", "metric", "value", "coverage", "reason", "status", "role", "direction", "unit", "fingerprint")
"""Columns of what `score` returns, as in `Record`."""


def score(
    images: Any,
    *,
    family: str | None = None,
    item: Item | str | None = None,
    dataset: Any = None,
    metrics: Sequence[str | Metric] | None = None,
    prompt: str = "",
    overrides: Sequence[str] = (),
    **reading: Any,
) -> "pd.DataFrame":
    """Values, and reasons where there are none, of outputs: one row for each item and metric, with COLUMNS.

    `images` are the views of one item: tensors (n, 3, h, w) in [0, 1], arrays (n, h, w, 3) of bytes, Pillow pictures, a
    list of them, one picture of all views, or the path of a file or folder; or a mapping from item ids to such images.
    What they are of is an `item`, the items of a `dataset` (an id, with `overrides`, or an instance), or any pictures
    of a `family` with a `prompt`, of which no truth is known. Nothing is written. Raises SyncbenchError for images that
    do not fit, and for items and metrics that do not exist.
    """
    several: Mapping[str, Any] = cast(Any, images) if isinstance(images, Mapping) else {"": images}
    how, items = Reading(**reading), items_for(family, item, dataset, overrides)
    artifacts: dict[str, Artifact] = {}
    chosen: dict[str, Item] = {}
    for name, one in several.items():
        own = _item(name, item, items) if items is not None else plain_item(_images(one), family or "", prompt)
        artifacts[own.id], chosen[own.id] = stored_artifact(one, own, how), own
    rulers = rulers_for(metrics, next(iter(chosen.values())).family if chosen else "overlap")
    return answers(artifacts, chosen, rulers)


def answers(
    artifacts: Mapping[str, Artifact], items: Mapping[str, Item], rulers: Sequence[tuple[Ruler, Any]]
) -> "pd.DataFrame":
    """The rows of some artifacts by item id, in the order of the items; a failing metric has a row with its error."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    with settings():
        found = {r.label: ask_all(metric, r, artifacts, items) for r, metric in rulers}
    for id in artifacts:
        for r, _ in rulers:
            one, status = found[r.label][id]
            rows.append({"item": id, **r.columns, **asdict(one), "status": status})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": "float64", "coverage": "float64"})


def ask_all(metric: Any, r: Ruler, artifacts: Mapping[str, Artifact], items: Mapping[str, Item]) -> dict[str, Answer]:
    """A metric's answer for each artifact, by item id."""
    if r.grouped and r.across == "seeds":
        alone = Score.none("outputs of one run have one seed, and this metric compares seeds")
        return dict.fromkeys(artifacts, (alone, "ok"))
    if r.grouped:
        made = attempt(lambda: scores_of(metric.group(dict(artifacts), dict(items)), list(artifacts)))
        if isinstance(made, Failure):
            return dict.fromkeys(artifacts, error_answer(made.text))
        gone = Score.none("the metric left this item out")
        scores: dict[str, Any] = made
        return {id: _answer(lambda id=id: scores.get(id, gone)) for id in artifacts}
    families: Any = metric.families
    return {
        id: _answer(lambda id=id: metric(artifacts[id], items[id]))
        if items[id].family in families
        else (Score.none(f"not defined for the family {items[id].family}"), "ok")
        for id in artifacts
    }


def rulers_for(metrics: Sequence[str | Metric] | None, family: Family) -> list[tuple[Ruler, Any]]:
    """Metrics by spec or instance (None: the family's, by `family_metrics`), with the columns of their rows."""
    loaded, made = Loaded(), list[tuple[Ruler, Any]]()
    for one in family_metrics(family) if metrics is None else metrics:
        entry = one if isinstance(one, Entry) else Entry("metrics", one if isinstance(one, str) else type(one).__name__)
        if not isinstance(one, str | Entry):
            loaded.remember_instance(entry, one)
        made.append((ruler(entry, loaded), loaded.instance(entry)))
    return made


def items_for(
    family: str | None, item: Item | str | None, dataset: Any, overrides: Sequence[str] = ()
) -> dict[str, Item] | None:
    """The items that outputs may be of, by id; None where only a family is told. Raises SyncbenchError for none."""
    if isinstance(item, Item):
        return {item.id: item}
    if dataset is not None:
        if isinstance(dataset, str):
            part = Part(models=(), datasets=(Entry("datasets", dataset),), methods=())
            [one] = narrowed(Suite(name="score", parts=(part,)), overrides=tuple(overrides)).parts
            dataset, name = one.datasets[0].load(), one.datasets[0].label
        else:
            name = label(type(dataset).__name__)
        return {found.id: found for found in items_of(name, dataset)}
    if family is None:
        raise SyncbenchError("score needs to know what the images are of: give item=, dataset= or family=")
    if family not in FAMILIES:
        raise SyncbenchError(f"family '{quoted(family)}': there are {', '.join(FAMILIES)}")
    return None


def plain_item(images: list[Tensor], family: str, prompt: str = "") -> Item:
    """An item of which nothing is known but the size of its pictures (3, h, w) and a prompt."""
    high, wide = images[0].shape[1:]
    surface: Any = Apart(len(images), high, wide)
    if family == "overlap":
        surface = Strip(high, wide, min(high, wide))
    if family == "channels":
        if len(images) != len(CHANNELS):
            raise SyncbenchError(f"{len(images)} pictures are not {', '.join(CHANNELS)}: give item= or dataset=")
        surface = Shared(CHANNELS, high, wide)
    known: Any = family
    return Item(id="images", family=known, prompts=(prompt,), surface=surface)


def stored_artifact(images: Any, item: Item, how: Reading) -> Artifact:
    """The artifact of images (see `score`), with its pictures as they would be stored, in 8 bits."""
    if isinstance(images, str | Path):
        artifact = read_output(_output(Path(images), item), item, how)
    else:
        artifact = fit_images(_images(images), item, how, f"the images of item '{item.id}'")
    artifact.views = as_stored(artifact.views)
    if artifact.canvas is not None:
        artifact.canvas = as_stored(artifact.canvas)
    artifact.notes["imported"] = {"from": "memory"}
    return artifact


def _output(path: Path, item: Item) -> Output:
    """The output that a file or folder is."""
    leaves = find_leaves(path.parent if is_folder(path) else path).leaves
    for leaf in leaves:
        if leaf.whole == is_folder(path) and leaf.parts == ((path.name,) if leaf.whole else (path.stem,)):
            files, _ = ordered_files(leaf, tuple(getattr(item.surface, "names", ())))
            return Output(leaf.name, leaf.kind, files)
    raise SyncbenchError(f"'{quoted(path)}' is no picture, clip, mesh or folder of pictures")


def _images(images: Any) -> list[Tensor]:
    """Pictures (3, h, w) in [0, 1] of tensors, arrays, Pillow pictures, or lists of them. Raises SyncbenchError."""
    if isinstance(images, str | Path):
        raise SyncbenchError("a path needs item= or dataset=, which say how many views it has")
    if isinstance(images, Image.Image):
        return _images(np.asarray(images.convert("RGB")))
    if isinstance(images, list | tuple):
        return [picture for one in cast(Sequence[Any], images) for picture in _images(one)]
    if isinstance(images, np.ndarray):
        array: Any = images
        images = torch.from_numpy(np.array(array))
        images = images.movedim(-1, -3) if images.ndim >= 3 and images.shape[-1] == 3 else images
    if not isinstance(images, Tensor):
        raise SyncbenchError(f"images are tensors, arrays, Pillow pictures or paths, not {type(images).__name__}")
    levels = images.detach().cpu()
    levels = levels.float() if levels.is_floating_point() else levels.float() / 255
    if levels.ndim not in (3, 4) or levels.shape[-3] != 3 or not levels.numel():
        raise SyncbenchError(f"images must be (3, h, w) or (n, 3, h, w), not {tuple(levels.shape)}")
    if not bool(torch.isfinite(levels).all()) or float(levels.min()) < 0 or float(levels.max()) > 1:
        raise SyncbenchError("images must be numbers in [0, 1], or bytes")
    return [*levels] if levels.ndim == 4 else [levels]


def _item(name: str, item: Item | str | None, items: Mapping[str, Item]) -> Item:
    """The item that a key of `images`, or `item`, names. Raises SyncbenchError for none."""
    wanted = name or (item.id if isinstance(item, Item) else item or "")
    known = item_names(items.values())
    if not wanted and len(items) == 1:
        return next(iter(items.values()))
    if wanted not in known:
        there = ", ".join(f"'{id}'" for id in list(items)[:3])
        raise SyncbenchError(f"no item '{quoted(wanted, 60)}': give item=, one of {there}, ...")
    return items[known[wanted]]


def _answer(ask: Any) -> Answer:
    made = attempt(lambda: score_of(ask()))
    return error_answer(made.text) if isinstance(made, Failure) else (made, "ok")
