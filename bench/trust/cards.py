"""Report cards of metrics as text and as figures."""

import io
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..analysis.drawing import png
from ..escaping import visible
from ..files.writing import disk, write_whole
from .verdicts import Card, Ladder

MARKS = {True: "kept", False: "BROKEN", None: "not asked"}


def cards_text(cards: Sequence[Card], *, width: int | None = None, color: bool = False) -> str:
    """Report cards as text for a terminal: one row per metric and family, then a sentence for every broken check."""
    target = io.StringIO()
    console = Console(
        file=target, width=max(width or 140, 80), force_terminal=color, color_system="standard" if color else None
    )
    table = Table(show_edge=False, header_style="bold")
    for name in ("family", "metric", "card", "notices, from", "blind to", "rewards: guard"):
        table.add_column(name, overflow="fold")
    for card in cards:
        seen = {check.name: check for check in card.checks}
        rewards = seen["guarded"].seen if "guarded" in seen else ""
        table.add_row(
            Text(visible(card.family)),
            Text(visible(card.metric)),
            Text(_verdict(card), style="" if card.passed else "bold red"),
            Text(visible(seen["notices"].seen if "notices" in seen else f"no answer: {seen['answers'].seen}")),
            Text(visible(", ".join(x.corruption for x in card.ladders if x.told == "blind" and not x.harmless))),
            Text(visible("" if rewards == "rewards nothing" else rewards)),
        )
    console.print(table)
    for card in cards:
        for check in card.checks:
            if check.passed is False:
                broken = f"{card.family} {card.metric}: {check.name} {MARKS[False]}: {check.seen}"
                console.print(Text(visible(broken)), soft_wrap=True)
        for one in card.calibrations:
            console.print(Text(visible(f"{card.family} {card.metric} {one.text()}")), soft_wrap=True)
    failed = sum(not card.passed for card in cards)
    console.print(
        f"{len(cards)} cards, {failed} with a broken promise" if failed else f"{len(cards)} cards, all passed"
    )
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines()) + "\n"


def _verdict(card: Card) -> str:
    if not card.passed:
        return "FAIL"
    return "pass" if card.ladders else "none"


def ladder_figures(cards: Sequence[Card], folder: Path) -> list[Path]:
    """Write one PNG per family with the loss of every metric along every ladder, and return their paths.

    Losses are shares of the metric's largest change. Raises SyncbenchError where `folder` cannot be written.
    """
    import altair

    chart: Any = altair
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for family, some in groupby(sorted(cards, key=lambda card: card.family), key=lambda card: card.family):
        rows = [row for card in some for x in card.ladders for row in _points(card, x)]
        if not rows:
            continue
        axis = chart.Axis(labelFontSize=8, tickCount=3)
        drawn = (
            chart.Chart(chart.Data(values=rows), width=90, height=60)
            .mark_line(point={"size": 14})
            .encode(
                x=chart.X("rung:Q", title=None, axis=axis),
                y=chart.Y("share:Q", title=None, axis=axis, scale=chart.Scale(domain=[-1, 1], clamp=True)),
                color=chart.Color(
                    "told:N",
                    scale=chart.Scale(
                        domain=["notices", "uneven", "blind", "rewards"], range=["#2b7", "#7ac", "#aaa", "#d33"]
                    ),
                ),
                row=chart.Row("metric:N", title=None, header=chart.Header(labelAngle=0, labelAlign="left")),
                column=chart.Column("corruption:N", title=f"{family}: loss along ladders of damage"),
            )
        )
        paths.append(folder / f"ladders-{family}.png")
        write_whole(paths[-1], png(drawn, ppi=110))
    return paths


def _points(card: Card, x: Ladder) -> list[dict[str, Any]]:
    largest = max((abs(r.change) for y in card.ladders for r in y.rungs), default=0.0) or 1.0
    shared = {"metric": card.metric, "corruption": x.corruption, "told": x.told}
    changes = [0.0, *(r.change / largest for r in x.rungs)]
    return [{**shared, "rung": rung, "share": share} for rung, share in enumerate(changes)]
