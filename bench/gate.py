"""The gate: is a candidate's run no worse than a baseline's, metric by metric, by more than a declared margin?

Both runs are paired on data set, item, seed and method. A metric `holds` when a one-sided 95 % t bound of the mean
loss of quality stays within its margin (non-inferiority; all must hold, so nothing is corrected there). One that does
not hold is `regressed` when it is worse than the baseline at Holm-corrected p < 0.05, else `undecided`: too few items
for so small a margin. The t-test, not the bootstrap, because a gate must work with three items.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (SciPy has no type stubs.)

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from . import stats
from .errors import SyncbenchError
from .pages import pipes, quote
from .report import BOARD, MODEL, Table, base, load, tidy

Verdict = Literal["holds", "regressed", "undecided"]
LEVEL = 0.05
FRACTION = 0.25
"""Default margin as a fraction of the spread (standard deviation) of the baseline's items."""
MACHINE = frozenset({"seconds", "peak_memory"})
"""Metrics of the machine as much as of the method: compared only with a margin of their own."""
COLUMNS = ("family", "dataset", "model", "method", "metric", "worse_by", "bound", "margin", "p_holm", "n_items")
PAIR = ["item", "seed"]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The gate's answer. `table` has a row per method and metric: `COLUMNS`, `verdict`, `reason`."""

    code: Literal[0, 1, 2]
    """0 holds, 1 regressed or undecided, 2 not comparable: the exit code."""
    table: pd.DataFrame
    reasons: tuple[str, ...] = ()
    """Why the runs are not comparable, one sentence each."""
    notes: tuple[str, ...] = ()
    """What was left out of the comparison."""

    @property
    def headline(self) -> str:
        """One line."""
        if self.code == 2:
            return f"not comparable: {'; '.join(self.reasons)}"
        counts = Counter(self.table["verdict"])
        said = [f"{counts[name]} {name}" for name in ("regressed", "undecided", "holds") if name in counts]
        return f"{'holds' if self.code == 0 else 'falls'}: {', '.join(said)}"

    def markdown(self) -> str:
        """A summary for a pull request; what does not hold comes first."""
        said = [f"**syncbench gate {quote(self.headline)}**", ""]
        if self.code != 2:
            rows = [[quote(value) for value in row] for row in self._shown()]
            said += [pipes(["verdict", "method", "metric", "worse by", "95 % bound", "margin", "items"], rows), ""]
        return "\n".join([*said, *(f"- {quote(note)}" for note in self.notes)]).rstrip() + "\n"

    def text(self) -> str:
        """The same for a terminal."""
        from tabulate import tabulate

        said = [f"gate {self.headline}"]
        if self.code != 2:
            heads = ["verdict", "method", "metric", "worse by", "95 % bound", "margin", "items"]
            said.append(tabulate(list(self._shown()), heads, disable_numparse=True))
        return "\n".join([*said, *self.notes]) + "\n"

    def _shown(self) -> list[list[str]]:
        order = {"regressed": 0, "undecided": 1, "holds": 2}
        rows: list[dict[str, Any]] = sorted(self.table.to_dict("records"), key=lambda row: order[row["verdict"]])
        return [
            [
                row["verdict"],
                row["method"],
                row["metric"],
                row["reason"] if isinstance(row["reason"], str) else f"{row['worse_by']:+.3g}",
                f"{row['bound']:+.3g}" if isfinite(row["bound"]) else "—",
                f"{row['margin']:.3g}",
                str(row["n_items"]),
            ]
            for row in rows
        ]


def gate(
    candidate: Sequence[str | Path] | str | Path,
    baseline: Sequence[str | Path] | str | Path,
    *,
    margins: Mapping[str, float] | None = None,
    fraction: float = FRACTION,
    allow_undecided: bool = False,
) -> Gate:
    """Compare run folders. `margins` gives metrics (with or without their backbone) the largest loss to accept.

    Other margins are `fraction` of the standard deviation of the baseline's items. For `target:VALUE` metrics the
    loss is the growth of the distance from VALUE. Raises SyncbenchError for folders without results or of another
    schema.
    """
    return compare(load(candidate), load(baseline), margins=margins, fraction=fraction, allow_undecided=allow_undecided)


def compare(
    candidate: pd.DataFrame,
    baseline: pd.DataFrame,
    *,
    margins: Mapping[str, float] | None = None,
    fraction: float = FRACTION,
    allow_undecided: bool = False,
) -> Gate:
    """`gate` of records already loaded."""
    new, old = _scored(candidate), _scored(baseline)
    declared = dict(margins or {})
    known = {str(m) for m in old["metric"]}
    for name, margin in declared.items():
        if name not in known | {base(m) for m in known}:
            raise SyncbenchError(f"no metric '{name}' in the baseline: it holds {', '.join(sorted(known))}")
        if not margin >= 0:
            raise SyncbenchError(f"the margin of {name} is {margin}: it must be 0 or more")
    unlike, notes = _unlike(new, old)
    if unlike:
        return Gate(code=2, table=pd.DataFrame(columns=pd.Index([*COLUMNS, "verdict", "reason"])), reasons=unlike)
    tests: list[dict[str, Any]] = []
    cells = dict(list(new.groupby([*BOARD, *MODEL, "method", "metric"])))
    for key, was in old.groupby([*BOARD, *MODEL, "method", "metric"]):
        metric = str(key[-1])
        margin = declared.get(metric, declared.get(base(metric)))
        if key in cells and (margin is not None or base(metric) not in MACHINE):
            about = dict(zip([*BOARD, *MODEL, "method", "metric"], key, strict=True))
            tests.append({**about, **_test(cells[key], was, margin, fraction)})
    for test, p in zip(tests, stats.holm([test["p"] for test in tests]), strict=True):
        test["p_holm"] = float(p)
        if test["verdict"] == "undecided" and p < LEVEL:
            test["verdict"] = "regressed"
    table = pd.DataFrame(tests, columns=pd.Index([*COLUMNS, "verdict", "reason"]))
    accepted = {"holds", "undecided"} if allow_undecided else {"holds"}
    return Gate(code=0 if set(table["verdict"]) <= accepted else 1, table=table, notes=notes)


def _scored(records: Table) -> Table:
    r = tidy(records)
    return r[r["metric"] != ""]


def _test(new: Table, old: Table, margin: float | None, fraction: float) -> dict[str, Any]:
    """One metric of one method: loss of the candidate minus that of the baseline, by item."""
    now = new.set_index(PAIR)[["loss", "reason"]].rename(columns={"loss": "loss_new"})
    pairs = old.set_index(PAIR)[["loss"]].join(now, how="inner")
    pairs = pairs[pairs["loss"].notna()]
    if margin is None:
        spread = pairs["loss"].groupby("item").mean().std(ddof=1)
        margin = fraction * float(spread) if isfinite(spread) else 0.0
    lost = pairs[pairs["loss_new"].isna()]
    d = (pairs["loss_new"] - pairs["loss"]).dropna().groupby("item").mean().to_numpy()
    n = len(d)
    answer: dict[str, Any] = {"margin": margin, "n_items": n, "reason": None, "p": float("nan"), "p_holm": float("nan")}
    mean = float(d.mean()) if n else float("nan")
    answer |= {"worse_by": mean, "bound": mean}
    if len(lost):
        why = lost["reason"].iloc[0]
        return {**answer, "verdict": "regressed", "reason": f"{len(lost)} values lost: {why}"}
    if n == 0:
        return {**answer, "verdict": "holds", "reason": "no value in either run"}
    error = float(d.std(ddof=1)) / np.sqrt(n) if n > 1 else 0.0
    if error <= 1e-12 * (abs(mean) + 1e-300):
        # The same change on every item (or one item only): nothing to estimate, the change itself decides.
        verdict: Verdict = "holds" if mean <= margin * (1 + 1e-9) else "regressed"
        return {**answer, "verdict": verdict}
    t = mean / error
    answer |= {"bound": mean + float(scipy_stats.t.ppf(1 - LEVEL, n - 1)) * error}
    answer |= {"p": float(scipy_stats.t.sf(t, n - 1))}
    return {**answer, "verdict": "holds" if answer["bound"] <= margin else "undecided"}


def _unlike(new: Table, old: Table) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(why the runs cannot be compared, what is left out if they can)."""
    found: list[str] = []
    notes: list[str] = []
    shared = ["family", "dataset", "model"]
    if not set(new.set_index(shared).index) & set(old.set_index(shared).index):
        return ("the runs share no data set and model",), ()
    names = {"dataset_version": "data set version", "revision": "model weights", "protocol": "protocol"}
    for column, name in names.items():
        found += _changed(new, old, shared, column, name)
    for column, name in (("metric_version", "metric version"), ("fingerprint", "fingerprint")):
        # An errored job cannot know a metric's fingerprint; its lost values are judged later.
        found += _changed(new[new["status"] == "ok"], old[old["status"] == "ok"], ["metric"], column, name)
    if found:
        return tuple(found), ()
    methods = set(new["method"]) & set(old["method"])
    if not methods:
        return ("the runs share no method",), ()
    for name in sorted(set(old["method"]) - methods):
        notes.append(f"{name} is in the baseline only: not compared")
    for name in sorted(set(new["method"]) - methods):
        notes.append(f"{name} is in the candidate only: not compared")
    for name in sorted(set(new["metric"]) - set(old["metric"])):
        notes.append(f"{name} is new: not compared")
    gone = sorted(set(old["metric"]) - set(new["metric"]))
    found += [f"the candidate lacks the metric {name}" for name in gone]
    cells = [*shared, "method", *PAIR]
    present = set(new.set_index(cells).index)
    datasets = set(new.set_index(shared).index)
    missing = [
        key
        for key in sorted(set(old[old["method"].isin(methods)].set_index(cells).index))
        if key not in present and key[:3] in datasets
    ]
    if missing:
        one = dict(zip(cells, missing[0], strict=True))
        found.append(
            f"the candidate lacks {len(missing)} samples of the baseline, first "
            f"{one['method']} on {one['dataset']}/{one['item']} with seed {one['seed']}"
        )
    for key in sorted(set(old.set_index(shared).index) - datasets):
        notes.append(f"{' / '.join(map(str, key))} is in the baseline only: not compared")
    return tuple(found), tuple(notes)


def _values(column: Table) -> tuple[Any, ...]:
    return tuple(sorted(set(column)))


def _changed(new: Table, old: Table, keys: list[str], column: str, name: str) -> list[str]:
    """Sentences about keys both runs have whose `column` differs."""
    was, now = (r.groupby(keys)[column].agg(_values) for r in (old, new))
    found: list[str] = []
    for key in was.index.intersection(now.index):
        if was[key] != now[key]:
            what = key if isinstance(key, str) else " / ".join(map(str, key))
            found.append(
                f"{name} of {what} differs ({', '.join(map(str, was[key]))} | {', '.join(map(str, now[key]))})"
            )
    return found
