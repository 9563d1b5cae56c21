"""Whether two runs may be compared at all: the differences between them, in sentences."""

from collections.abc import Collection
from typing import Any, NamedTuple

from ..analysis.frame import Table, machine_fingerprints


class Comparison(NamedTuple):
    """Whether two runs may be compared, in sentences."""

    refusals: tuple[str, ...]
    """Why the runs cannot be compared; empty where they can."""
    omissions: tuple[str, ...] = ()
    """What a comparison leaves out."""


def comparison(new: Table, old: Table, pair: list[str], left: Collection[str] = ()) -> Comparison:
    """Whether the runs may be compared, and what is left out.

    `pair` are the columns that name a sample: item and seed, or the item only. Metrics in `left` are not compared, so
    that their fingerprints may differ.
    """
    refusals: list[str] = []
    notes: list[str] = []
    shared = ["family", "dataset", "model"]
    if not set(new.set_index(shared).index) & set(old.set_index(shared).index):
        return Comparison(("the runs share no data set and model",))
    names = {"dataset_version": "data set version", "revision": "model weights", "protocol": "protocol"}
    for column, name in names.items():
        refusals += _changed(new, old, shared, column, name)
    for column, name in (("metric_version", "metric version"), ("fingerprint", "fingerprint")):
        # A failed job has no fingerprint of a metric; its lost values are judged later.
        now, was = (r[(r["status"] == "ok") & ~r["metric"].isin(left)] for r in (new, old))
        refusals += _changed(now, was, ["metric"], column, name)
    for r, run in ((new, "candidate"), (old, "baseline")):
        several = r[~r["metric"].isin(left) & r["fingerprint"].isin(machine_fingerprints(r))].groupby("metric")[
            "machine"
        ]
        for metric, count in several.nunique().items():
            if count > 1:
                refusals.append(
                    f"{metric} of the {run} is of {count} machines: compare it without a margin for {metric}"
                )
    if refusals:
        return Comparison(tuple(refusals))
    methods = set(new["method"]) & set(old["method"])
    if not methods:
        return Comparison(("the runs share no method",))
    for name in sorted(set(old["method"]) - methods):
        notes.append(f"{name} is in the baseline only: not compared")
    for name in sorted(set(new["method"]) - methods):
        notes.append(f"{name} is in the candidate only: not compared")
    for name in sorted(set(new["metric"]) - set(old["metric"])):
        notes.append(f"{name} is new: not compared")
    gone = sorted(set(old["metric"]) - set(new["metric"]))
    refusals += [f"the candidate lacks the metric {name}" for name in gone]
    cells = [*shared, "method", *pair]
    present = set(new.set_index(cells).index)
    datasets = set(new.set_index(shared).index)
    missing = [
        key
        for key in sorted(set(old[old["method"].isin(methods)].set_index(cells).index))
        if key not in present and key[:3] in datasets
    ]
    if missing:
        one = dict(zip(cells, missing[0], strict=True))
        seed = f" with seed {one['seed']}" if "seed" in one else ""
        refusals.append(
            f"the candidate lacks {len(missing)} {'samples' if seed else 'items'} of the baseline, first "
            f"{one['method']} on {one['dataset']}/{one['item']}{seed}"
        )
    for key in sorted(set(old.set_index(shared).index) - datasets):
        notes.append(f"{' / '.join(map(str, key))} is in the baseline only: not compared")
    return Comparison(tuple(refusals), tuple(notes))


def other_items(new: Table, old: Table) -> tuple[str, ...]:
    """One sentence for each data set in which both runs have an item of one id but of unlike content."""
    keys = ["family", "dataset", "item"]
    was, now = (r.groupby(keys)["content"].agg(_values) for r in (old, new))
    changed: dict[tuple[str, str], list[str]] = {}
    for key in was.index.intersection(now.index):
        if was[key] != now[key]:
            family, dataset, item = map(str, key)
            contents = f"content {', '.join(was[key])} | {', '.join(now[key])}"
            changed.setdefault((family, dataset), []).append(f"'{item}' ({contents})")
    return tuple(
        f"{len(items)} item{'s' if len(items) > 1 else ''} of {' / '.join(name)} changed under the same id, first "
        f"{items[0]}: compare runs of the same prompts, meshes and pictures"
        for name, items in changed.items()
    )


def _values(column: Table) -> tuple[Any, ...]:
    return tuple(sorted(set(column)))


def _changed(new: Table, old: Table, keys: list[str], column: str, name: str) -> list[str]:
    """One sentence for each of the `keys` that both runs have and whose values of `column` differ."""
    was, now = (r.groupby(keys)[column].agg(_values) for r in (old, new))
    sentences: list[str] = []
    for key in was.index.intersection(now.index):
        if was[key] != now[key]:
            what = key if isinstance(key, str) else " / ".join(map(str, key))
            sentences.append(
                f"{name} of {what} differs ({', '.join(map(str, was[key]))} | {', '.join(map(str, now[key]))})"
            )
    return sentences
