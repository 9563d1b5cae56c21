"""The gate: is a candidate's run no worse than a baseline's, metric by metric, by more than a declared margin?

Both runs are paired on data set, item, seed and method (re-seeded runs not on the seed). A metric `holds` when a
one-sided 98.75 % bound of the mean loss of quality stays within its margin (non-inferiority; the gate passes only if
all metrics hold, so these bounds need no correction). A metric that does not hold is `regressed` when it is worse than
the baseline at Holm-corrected p < 0.05, else `undecided`: there are too few items for so small a margin. A metric
without a value to compare is `null`; it neither holds nor makes the gate fall. Bound and p are those of `stats`, which
allow for skewness: losses are skewed when a few items lose much, and then a nominal 95 % bound by Student's t passes up
to 24 % of true losses as large as the margin. The bound used here passes at most 7 % of them, lognormal losses of 6
items included, and 1 % where they are normal (tests/analysis/test_coverage.py).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, sqrt
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from ..analysis import stats
from ..analysis.frame import BOARD, MODEL, Table, machine_fingerprints, metric_id, tidy
from ..errors import SyncbenchError
from ..escaping import markdown, visible
from ..report.pages import pipes
from ..store.records import read_records
from .comparable import Comparison, comparison, other_items

Verdict = Literal["holds", "regressed", "undecided", "null"]
ORDER: tuple[Verdict, ...] = ("regressed", "undecided", "null", "holds")
LEVEL = 0.05
"""Level of the test for a regression, after correction."""
TAIL = 0.0125
"""Tail probability of the bound that must stay within the margin: 1 - 98.75 %."""
ALARM = 0.01
"""Probability with which an unchanged method may make the gate fall when runs are re-seeded."""
FRACTION = 0.25
"""Default margin as a fraction of the spread (standard deviation) of the baseline's items."""
COLUMNS = ("family", "dataset", "model", "method", "metric", "worse_by", "bound", "margin", "p_holm", "n_items")
CELL = [*BOARD, *MODEL, "method", "metric"]
"""Columns that name one comparison."""
HEADS = ["verdict", "method", "metric", "worse by", "bound", "margin", "items"]
"""Heads of the printed table."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The gate's answer. `table` has one row per method and metric: `COLUMNS`, `verdict`, `reason`."""

    code: Literal[0, 1, 2]
    """The exit code: 0 holds, 1 regressed or undecided, 2 not comparable."""
    table: pd.DataFrame
    reasons: tuple[str, ...] = ()
    """Why the runs are not comparable, one sentence each; empty where they are."""
    notes: tuple[str, ...] = ()
    """Sentences on what was left out of the comparison."""
    allow_undecided: bool = False
    """Whether undecided comparisons count as holding."""

    def falls(self, verdict: str) -> bool:
        """Whether a verdict makes the gate fall."""
        return verdict == "regressed" or (verdict == "undecided" and not self.allow_undecided)

    @property
    def headline(self) -> str:
        """The answer in one line: whether the gate holds, and the number of each verdict; or why nothing compares."""
        if self.code == 2:
            return f"not comparable: {'; '.join(self.reasons)}"
        counts = Counter(self.table["verdict"])
        verdicts = [f"{counts[name]} {name}" for name in ORDER if name in counts]
        return f"{'holds' if self.code == 0 else 'falls'}: {', '.join(verdicts)}"

    def markdown(self) -> str:
        """The answer as Markdown for a pull request: headline, table (what does not hold comes first), notes."""
        lines = [f"**syncbench gate {markdown(self.headline)}**", ""]
        if self.code != 2:
            rows = [[markdown(value) for value in row] for row in self._rows()]
            lines += [pipes(HEADS, rows), ""]
        return "\n".join([*lines, *(f"- {markdown(note)}" for note in self.notes)]).rstrip() + "\n"

    def text(self) -> str:
        """The answer as text for a terminal: headline, table (what does not hold comes first), notes."""
        from tabulate import tabulate

        lines = [visible(f"gate {self.headline}")]
        if self.code != 2:
            rows = [[visible(value) for value in row] for row in self._rows()]
            lines.append(tabulate(rows, HEADS, disable_numparse=True))
        return "\n".join([*lines, *map(visible, self.notes)]) + "\n"

    def _rows(self) -> list[list[str]]:
        """The rows of the printed table (HEADS), as texts, in the order of their verdicts."""
        rows: list[dict[str, Any]] = sorted(self.table.to_dict("records"), key=lambda row: ORDER.index(row["verdict"]))
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
    reseeded: bool = False,
) -> Gate:
    """The answer of comparing a candidate's results with a baseline's (folders, or `.parquet` files).

    `margins` gives the largest accepted loss by metric, named with or without its backbone. The margin of other metrics
    is `fraction` of the standard deviation of the baseline's items. `reseeded` compares runs of unlike seeds: items are
    paired, seeds are not, and margins that were not given grow to what re-seeding alone changes, estimated from the
    baseline's seeds (`_noise`), so that an unchanged method passes. For `target:VALUE` metrics the loss is the growth
    of the distance from VALUE. Runs that cannot be compared (unlike protocols, missing items, re-seeded with neither a
    margin nor a second seed) have code 2. Raises SyncbenchError for folders without results or of another schema.
    """
    new, old = read_records(candidate), read_records(baseline)
    return compare(new, old, margins=margins, fraction=fraction, allow_undecided=allow_undecided, reseeded=reseeded)


def compare(
    candidate: pd.DataFrame,
    baseline: pd.DataFrame,
    *,
    margins: Mapping[str, float] | None = None,
    fraction: float = FRACTION,
    allow_undecided: bool = False,
    reseeded: bool = False,
) -> Gate:
    """`gate` of records that are loaded already. Raises SyncbenchError for margins of unknown metrics or below 0."""
    new, old = _scored(candidate), _scored(baseline)
    declared = _declared(margins or {}, fraction, {str(metric) for metric in old["metric"]})
    left = _of_machines_alone(new, old, declared)
    like = Comparison(other_items(candidate, baseline))
    if not like.refusals:
        like = comparison(new, old, ["item"] if reseeded else ["item", "seed"], left)
    if like.refusals:
        return Gate(code=2, table=_table([]), reasons=like.refusals)
    pairs = _pairs(new, old, left)
    if reseeded and (blind := _without_margin(pairs, declared)):
        return Gate(code=2, table=_table([]), reasons=(blind,))
    tests = [_tested(pair, declared, fraction, len(pairs) if reseeded else None) for pair in pairs]
    table = _table(_corrected(tests))
    if set(table["verdict"]) == {"null"}:
        nothing = f"no metric has a value in both runs ({len(table)} comparisons, each null)"
        return Gate(code=2, table=table, reasons=(nothing,), notes=like.omissions)
    answer = Gate(code=0, table=table, notes=like.omissions, allow_undecided=allow_undecided)
    return replace(answer, code=1) if any(map(answer.falls, table["verdict"])) else answer


class _Pair(NamedTuple):
    """One metric of one method in both runs."""

    about: dict[str, Any]
    """`CELL` by name."""
    now: Table
    was: Table


def _declared(margins: Mapping[str, float], fraction: float, known: set[str]) -> dict[str, float]:
    """The margins that are given. Raises SyncbenchError for metrics not `known` and for numbers that are no margin."""
    for name, margin in margins.items():
        if name not in known | {metric_id(m) for m in known}:
            raise SyncbenchError(f"no metric '{name}' in the baseline: it holds {', '.join(sorted(known))}")
        if not (margin >= 0 and isfinite(margin)):
            raise SyncbenchError(f"the margin of {name} is {margin}: it must be a number from 0 up")
    if not (fraction >= 0 and isfinite(fraction)):
        raise SyncbenchError(f"the fraction is {fraction}: it must be a number from 0 up")
    return dict(margins)


def _of_machines_alone(new: Table, old: Table, declared: Mapping[str, float]) -> set[str]:
    """Metrics that are the machine's as much as the method's: compared only with a margin of their own."""
    named = {str(m) for r in (new, old) for m in r.loc[r["fingerprint"].isin(machine_fingerprints(r)), "metric"]}
    return {metric for metric in named if not {metric, metric_id(metric)} & declared.keys()}


def _pairs(new: Table, old: Table, left: set[str]) -> list[_Pair]:
    """What both runs have, but for the metrics in `left`."""
    cells = dict(list(new.groupby(CELL)))
    found = [(key, dict(zip(CELL, key, strict=True)), was) for key, was in old.groupby(CELL)]
    return [_Pair(about, cells[key], was) for key, about, was in found if key in cells and about["metric"] not in left]


def _margin(pair: _Pair, declared: Mapping[str, float]) -> float | None:
    metric = pair.about["metric"]
    return declared.get(metric, declared.get(metric_id(metric)))


def _without_margin(pairs: Sequence[_Pair], declared: Mapping[str, float]) -> str | None:
    """Why re-seeded runs cannot be compared: a metric with neither a margin nor a second seed to know one from."""
    for pair in pairs:
        if _margin(pair, declared) is None and not _seeds(pair.was)[0]:
            return (
                f"the baseline has one seed an item of {pair.about['method']} ({pair.about['metric']}), which does not "
                "say what re-seeding moves: write it from a run of two seeds or more, or declare a --margin"
            )
    return None


def _tested(pair: _Pair, declared: Mapping[str, float], fraction: float, reseeded: int | None) -> dict[str, Any]:
    """One row of the table, uncorrected. `reseeded` is how many pairs are tested, where seeds are not paired."""
    samples = _by_sample(pair.now, pair.was) if reseeded is None else _by_item(pair.now, pair.was)
    margin = _margin(pair, declared)
    if margin is None:
        spread = float(samples["loss"].groupby("item").mean().std(ddof=1))
        margin = fraction * spread if isfinite(spread) else 0.0
        margin = margin if reseeded is None else max(margin, _noise(pair.now, pair.was, reseeded))
    return {**pair.about, **_test(samples, margin)}


def _corrected(tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with Holm's p; undecided ones that are worse by it have regressed."""
    for test, p in zip(tests, stats.holm([test["p"] for test in tests]), strict=True):
        test["p_holm"] = float(p)
        if test["verdict"] == "undecided" and p < LEVEL:
            test["verdict"] = "regressed"
    return tests


def _table(tests: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(tests, columns=pd.Index([*COLUMNS, "verdict", "reason"]))


def _scored(records: Table) -> Table:
    r = tidy(records)
    return r[r["metric"] != ""]


def _by_sample(new: Table, old: Table) -> Table:
    """The baseline's `loss` beside the candidate's (`loss_new`, with its `reason`), by item and seed."""
    now = new.set_index(["item", "seed"])[["loss", "reason"]].rename(columns={"loss": "loss_new"})
    pairs = old.set_index(["item", "seed"])[["loss"]].join(now, how="inner")
    return pairs[pairs["loss"].notna()]


def _by_item(new: Table, old: Table) -> Table:
    """The baseline's `loss` beside the candidate's (`loss_new`, with its `reason`), by item, seeds averaged.

    An item of which the candidate lost more seeds than the baseline counts as lost.
    """
    now, was = (r.groupby("item").agg(loss=("loss", "mean"), kept=("loss", _kept)) for r in (new, old))
    void = new[new["loss"].isna()].drop_duplicates("item").set_index("item")["reason"]
    now["loss_new"] = now["loss"].where(now["kept"] >= was["kept"].reindex(now.index))
    pairs = was[["loss"]].join(now[["loss_new"]], how="inner").join(void)
    return pairs[pairs["loss"].notna()]


def _kept(values: Table) -> float:
    return float(values.notna().mean())


def _noise(new: Table, old: Table, tests: int) -> float:
    """The margin with which all `tests` comparisons of unchanged methods hold 99 times in 100 after re-seeding.

    It follows from the variance of the baseline's seeds within their items, so it is known before the candidate is run.
    The variance is estimated with few degrees of freedom, so its upper 95 % bound is taken; `stats.unchanged_bound`
    tells how far the bound of a mean loss of zero may lie.
    """
    free, sizes, within = _seeds(old)
    items = len(sizes)
    if items < stats.FEWEST:
        return 0.0
    most = within * free / float(scipy_stats.chi2.ppf(0.05, free))
    seeds = 1 / float(sizes.mean()) + 1 / max(float(new.dropna(subset="loss").groupby("item").size().mean()), 1.0)
    return stats.unchanged_bound(items, TAIL, 1 - ALARM / tests) * sqrt(most * seeds / items)


def _seeds(old: Table) -> tuple[int, Table, float]:
    """Degrees of freedom that the seeds of items leave, seeds by item, and the variance of the loss within items."""
    groups = old.dropna(subset="loss").groupby("item")["loss"]
    sizes = groups.size()
    free = int((sizes - 1).sum())
    return free, sizes, float((groups.var(ddof=1).fillna(0.0) * (sizes - 1)).sum()) / free if free else 0.0


def _test(pairs: Table, margin: float) -> dict[str, Any]:
    """Verdict, bound and p-value of one metric of one method, from the loss of quality by item; no Holm correction."""
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
        return {**answer, "verdict": "null", "reason": "no value to compare with"}
    if np.ptp(d) <= 1e-12 * (abs(mean) + 1e-300):
        # The same change on every item (or one item only): nothing to estimate, the change itself decides.
        verdict: Verdict = "holds" if mean <= margin * (1 + 1e-9) else "regressed"
        return {**answer, "verdict": verdict}
    if n < stats.FEWEST:
        reason = f"{n} items that changed unlike: a bound needs {stats.FEWEST}"
        return {**answer, "verdict": "undecided", "reason": reason}
    error, skew = stats.error_and_skew(d[:, None])
    answer |= {"bound": mean + float((stats.interval_reach(n, -skew, TAIL) * error)[0])}
    answer |= {"p": float(stats.p_one_sided(n, mean / error, skew)[0])}
    return {**answer, "verdict": "holds" if answer["bound"] <= margin else "undecided"}
