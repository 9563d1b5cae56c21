"""Calibrations over the methods of stored results: the estimate and the exact metric score the same samples.

Any sweep of world items will do. Nothing is sampled: what the folder lacks of the two metrics is scored and kept there,
as `syncbench score` does.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..analysis.frame import JOINT, Table, by_item, split_boards, tidy
from ..catalogue.registry import label, load
from ..errors import SyncbenchError
from ..run.events import Listener
from ..run.execute import Executor
from ..run.rescore import rescore
from ..store.folder import load_records
from .calibration import Calibration, calibrate


def estimated(metric: Any) -> str | None:
    """The spec of the exact metric that a metric estimates (`estimates`); None where it estimates none."""
    spec: Any = getattr(metric, "estimates", None)
    return str(spec) if spec else None


def alike(metric: Any, exact: Any) -> bool:
    """Whether values of the two may be subtracted: one unit, and lower is better for both."""
    return metric.direction == exact.direction == "lower" and metric.unit == exact.unit


def calibrations(
    folders: Sequence[Path], metrics: Sequence[str], execute: Executor, progress: Listener | None = None
) -> dict[tuple[str, str], tuple[Calibration, ...]]:
    """Calibrations by label of the metric and family, one for each data set, of those `metrics` that estimate.

    Scores what the `folders` lack. Raises SyncbenchError where none of the metrics is an estimate, where the folders
    hold no results of its families, and where a folder cannot be scored.
    """
    pairs = {spec: exact for spec in metrics if (exact := estimated(load("metrics", spec))) is not None}
    if not pairs:
        raise SyncbenchError(
            f"nothing to calibrate: none of {', '.join(metrics)} says which exact metric it estimates (`estimates`)"
        )
    wanted = list(dict.fromkeys([*pairs, *pairs.values()]))
    for folder in folders:
        rescore(folder, execute, metrics=wanted, progress=progress)
    records: Table = tidy(load_records(folders))
    found: dict[tuple[str, str], tuple[Calibration, ...]] = {}
    for spec, exact in pairs.items():
        for about, part in split_boards(records[records["metric"].isin([label(spec), label(exact)])]):
            one = _calibration(part, about, spec, exact)
            if one is not None:
                key = label(spec), str(about["family"])
                found[key] = (*found.get(key, ()), one)
    if not found:
        raise SyncbenchError(f"no results in {', '.join(map(str, folders))} are of a family of {', '.join(pairs)}")
    return found


def _calibration(part: Table, about: Mapping[str, Any], spec: str, exact: str) -> Calibration | None:
    """The calibration over the methods of one data set; None where the metric is not of its family."""
    metric, other = load("metrics", spec), load("metrics", exact)
    if about["family"] not in metric.families or about["family"] not in other.families:
        return None
    losses = {
        name: _table(part, name, judge.fingerprint()) for name, judge in ((label(spec), metric), (label(exact), other))
    }
    guess, truth = losses[label(spec)], losses[label(exact)]
    lines, items = guess.index.union(truth.index), guess.columns.union(truth.columns)
    guess, truth = (table.reindex(index=lines, columns=items) for table in (guess, truth))
    return calibrate(
        guess.to_numpy(dtype=float),
        truth.to_numpy(dtype=float),
        name=label(exact),
        over=f"{len(lines)} methods of {about['dataset']}",
        unit=other.unit,
        alike=alike(metric, other),
    )


def _table(part: Table, name: str, fingerprint: str) -> Table:
    """Losses of one metric, a row per method (with its model), a column per item, seeds averaged."""
    own = by_item(part[(part["metric"] == name) & (part["fingerprint"] == fingerprint)])
    own = own.assign(line=own["name"].where(own["name"].str.contains(JOINT), own["name"] + JOINT + own["model"]))
    return own.pivot_table(index="line", columns="item", values="loss", aggfunc="mean", dropna=False)
