"""The laws of `oracle` as tables for a terminal, as CSV files, and as a figure."""

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ...analysis.drawing import png
from ...analysis.frame import Table as Frame
from ...analysis.frame import safe_csv
from ...escaping import visible
from ...files.writing import disk, write_whole
from . import Oracle

NARROWEST = 110
HEAD = ("method", "W2 per px", "variance", "by position", "jump at borders", "inside", "correlation", "law")


def oracle_text(found: Oracle, agreement: Frame = None, *, width: int | None = None, color: bool = False) -> str:
    """The laws, and the rank `agreement` of metrics if given, as tables of `width` characters (default: terminal's)."""
    target = io.StringIO()
    size = max(width or shutil.get_terminal_size((120, 40)).columns, NARROWEST)
    console = Console(file=target, width=size, force_terminal=color, color_system="standard" if color else None)
    rows: Frame = found.rows
    lag = int(rows["lag"].iloc[0])
    table = _table("distance from the exact joint law, nearest first", HEAD)
    for row in rows[rows["w2"].notna()].to_dict("records"):
        low, high = row["w2_ci_low"], row["w2_ci_high"]
        table.add_row(
            escape(visible(row["method"])),
            f"{row['w2']:.4f}" + ("" if pd.isna(low) else f" ±{(high - low) / 2:.4f}"),
            _number(row["variance"], 3),
            f"{_number(row['variance_min'], 3)}–{_number(row['variance_max'], 3)}",
            _number(row["jump_border"], 2),
            _number(row["jump_inside"], 2),
            _number(row["correlation"], 3),
            escape(_how(row)),
        )
    console.print(table)
    for note in (
        "W2 is in standard deviations of the truth. Variance and expected squared jumps between neighbours are "
        f"relative to the truth's; correlation is at {lag} px. {int(rows['steps'].iloc[0])} DDIM steps.",
        "joint: the same sampler with one window that sees everything; what it lacks is discretisation alone.",
        "± is half a 95 % interval over runs, where a law had to be sampled. W2 of a law that is not Gaussian is a "
        "lower bound.",
    ):
        console.print(Text(note, style="dim"))
    for reason, part in rows[rows["w2"].isna()].groupby("reason", sort=True):
        console.print(Text(f"not run: {', '.join(part['method'])}: {reason}", style="dim"))
    if agreement is not None:
        console.print()
        console.print(_agreement(agreement))
        for row in agreement[agreement["reason"].notna()].to_dict("records"):
            console.print(Text(visible(f"{row['metric']}: {row['reason']}"), style="dim"))
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines()) + "\n"


def _agreement(table: Frame) -> Table:
    shown = _table(
        "rank agreement with W2 (Spearman)",
        ("metric", "rho", "95 % interval", "with traps and truth", "methods", "items"),
    )
    for row in table.to_dict("records"):
        known = not pd.isna(row["ci_low"])
        shown.add_row(
            escape(visible(f"{row['metric']} ({row['direction']})")),
            _number(row["spearman"], 2),
            f"{row['ci_low']:.2f} to {row['ci_high']:.2f}" if known else "—",
            _number(row["with_anchors"], 2),
            str(row["methods"]),
            str(row["items"]),
        )
    return shown


def write_oracle(found: Oracle, agreement: Frame, folder: Path) -> list[Path]:
    """Write `oracle.csv`, `curves.csv`, `oracle.png` (and `agreement.csv`) to `folder`, and return their paths.

    Raises SyncbenchError if the folder cannot be written.
    """
    import altair

    lines = curves(found)
    tables = {"oracle": found.rows, "curves": lines} | ({} if agreement is None else {"agreement": agreement})
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.csv" for name in tables]
    for path, table in zip(written, tables.values(), strict=True):
        write_whole(path, safe_csv(table))
    write_whole(folder / "oracle.png", png(_figure(altair, found, lines), scale_factor=2))
    return [*written, folder / "oracle.png"]


def curves(found: Oracle) -> pd.DataFrame:
    """Curves of every law, columns `method`, `curve`, `px`, `value`.

    The curve `variance` is that by position relative to the truth, `correlation` that by distance.
    """
    parts: list[pd.DataFrame] = []
    for name, law in found.laws.items():
        variance = (law.variance / found.truth.variance).tolist()
        correlation = [law.correlation(distance) for distance in range(len(variance) // 2 + 1)]
        for curve, values in (("variance", variance), ("correlation", correlation)):
            parts.append(pd.DataFrame({"method": name, "curve": curve, "px": range(len(values)), "value": values}))
    return pd.concat(parts, ignore_index=True)


def _figure(altair: Any, found: Oracle, lines: Frame) -> Any:
    """A chart of both curves of every law that differs from those before it, with the truth in black."""
    kept = found.rows.loc[found.rows["w2"].notna() & found.rows["same_as"].isna(), "method"].tolist()
    others = [name for name in kept if name != "truth"]
    titles = {"variance": ("position, px", "variance / truth"), "correlation": ("distance, px", "correlation")}
    color = altair.Color("method:N", scale=altair.Scale(domain=others, scheme="tableau20"), sort=others, title=None)
    panels: list[Any] = []
    for curve, (below, beside) in titles.items():
        part = lines[lines["curve"] == curve]
        base = altair.Chart().encode(
            x=altair.X("px:Q", title=below), y=altair.Y("value:Q", title=beside, scale=altair.Scale(zero=True))
        )
        data = {
            who: altair.Data(values=part[part["method"].isin(names)].to_dict("records"))
            for who, names in (("others", others), ("truth", ["truth"]))
        }
        drawn = base.mark_line(strokeWidth=1.5).encode(color=color).properties(data=data["others"])
        true = base.mark_line(strokeWidth=2.5, color="black").properties(data=data["truth"])
        panels.append((drawn + true).properties(width=460, height=340))
    title = "Output law of methods on a Gaussian circle; truth in black"
    chart = altair.hconcat(*panels, title=title)
    return chart.configure_legend(labelLimit=320, symbolStrokeWidth=3).configure(background="white")


def _table(title: str, names: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", show_edge=False)
    for i, name in enumerate(names):
        table.add_column(name, justify="left" if i == 0 or name == "law" else "right", no_wrap=i == 0, overflow="fold")
    return table


def _how(row: dict[str, Any]) -> str:
    if isinstance(row["same_as"], str):
        return f"as {row['same_as']}"
    return {"law": "given", "exact": "exact"}.get(row["kind"], f"{row['samples']} rows")


def _number(value: float | None, decimals: int) -> str:
    return "—" if value is None or pd.isna(value) else f"{value:.{decimals}f}"
