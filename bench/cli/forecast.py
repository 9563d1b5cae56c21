"""The text that `run --plan` prints."""

from typing import TYPE_CHECKING

from ..escaping import visible

if TYPE_CHECKING:
    from ..run.forecast import Forecast

NAMES = ("model", "jobs", "done", "evaluations", "TFLOP", "hours", "from", "samples", "parameters")


def forecast_text(found: "Forecast") -> str:
    """A forecast as a table with one row per model, then sentences about notes and missing weights."""
    rows: list[tuple[str, ...]] = [NAMES]
    for line in found.lines:
        rows.append(
            (
                visible(line.model),
                str(line.jobs),
                str(line.done),
                "?" if line.evaluations is None else f"{line.evaluations:,}",
                _number(line.tflop),
                _number(line.hours),
                line.hours_from or "-",
                f"{_number(line.disk)} GB",
                "?" if line.parameters is None else f"{_number(line.parameters)} GB",
            )
        )
    wide = [max(len(row[i]) for row in rows) for i in range(len(NAMES))]
    lines = [
        "  ".join(
            f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, wide, strict=True))
        )
        for row in rows
    ]
    for line in found.lines:
        lines += [visible(f"{line.model}: {note}") for note in line.notes]
    if found.fetch:
        known = [one.gigabytes for one in found.fetch if one.gigabytes is not None]
        names = ", ".join(one.repository for one in found.fetch)
        lines.append(f"weights to fetch: {names}, about {sum(known):.1f} GB: {found.fetch_line}")
    if found.judges:
        names = " ".join(one.name for one in found.judges)
        lines.append(f"published weights of metrics, not on this machine: syncbench fetch {names}")
    lines.append("nothing was started; scoring comes on top")
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
