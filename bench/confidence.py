"""The model confidence set: the methods that the data cannot tell from the best, tested all at once.

Hansen, Lunde and Nason, Econometrica 2011, by the package `arch` (an extra: `pip install 'syncbench[stats]'`).
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingImports=false
# (arch is optional and has no type stubs.)

from collections.abc import Sequence
from typing import Any

from . import stats
from .errors import SyncbenchError
from .report import METRIC, Table, boards, leads

SIZE = 0.05


def confidence_sets(records: Table, primary: Sequence[str] | None = None) -> list[tuple[dict[str, Any], str]]:
    """For each leaderboard and primary metric, a sentence that names the 95 % set.

    `records` are tidy; items that some method lacks are left out, and so are anchors. Items are resampled one by one
    (blocks of 1). Raises SyncbenchError where `arch` is not installed.
    """
    said: list[tuple[dict[str, Any], str]] = []
    for board, part in boards(records[(records["metric"] != "") & (records["anchor"] == "")]):
        for key, column in part.groupby(METRIC, sort=True):
            metric = str(key[0])
            if leads(column, primary):
                seeds = column.pivot_table(index=["item", "seed"], columns="name", values="loss", aggfunc="last")
                names = confidence_set(seeds.dropna().groupby("item").mean())
                text = ", ".join(names) if names else f"none, it needs {stats.FEWEST} items and 2 methods"
                said.append((board, f"95 % model confidence set of {metric}: {text}."))
    return said


def confidence_set(losses: Table, *, size: float = SIZE) -> list[str]:
    """Columns of `losses` (items down, methods across, lower is better) that hold the best with confidence 1 - size.

    Empty below 3 items or 2 methods. Methods whose losses never differ by item are told apart by their means: the
    test has no spread to work with.
    """
    try:
        from arch.bootstrap import MCS
    except ImportError:
        raise SyncbenchError("the model confidence set needs arch: pip install 'syncbench[stats]'") from None
    if len(losses) < stats.FEWEST or losses.shape[1] < 2:
        return []
    best = losses.mean().idxmin()
    # A constant difference has no variance, and its studentised statistic no value.
    apart = losses.sub(losses[best], axis=0)
    fixed = [name for name in losses if float(apart[name].max() - apart[name].min()) <= 1e-12 * abs(apart[name]).max()]
    equal = [name for name in fixed if name == best or not apart[name].any()]
    rest = losses[[best, *(name for name in losses if name not in fixed)]]
    if rest.shape[1] < 2:
        return sorted(map(str, equal))
    found = MCS(rest, size=size, reps=stats.RESAMPLES, block_size=1, bootstrap="mbb", seed=stats.SEED)
    found.compute()
    inside = set(found.included)
    return sorted(str(name) for name in losses if name in inside or (best in inside and name in equal))
