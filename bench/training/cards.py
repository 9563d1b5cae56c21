"""Loss curves, sample sheets and model cards of the shipped weights."""

# (diffusers and transformers are partly untyped and export lazily.)

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..analysis.drawing import png
from ..files.writing import whole, write_whole
from ..models.parts.denoiser import device_of
from ..run.measure import machine_name


def logs(runs: list[Path]) -> list[Path]:
    """Log files of the runs that have one."""
    return [run / "log.csv" for run in runs if (run / "log.csv").exists()]


def spent(runs: list[Path]) -> tuple[int, float]:
    """Steps and minutes of consecutive runs, from the last row of each log."""
    steps, minutes = 0, 0.0
    for log in logs(runs):
        with log.open() as file:
            rows = list(csv.DictReader(file))
        if rows:
            steps, minutes = steps + int(rows[-1]["step"]), minutes + float(rows[-1]["seconds"]) / 60
    return steps, minutes


def megabytes(folder: Path) -> str:
    """Size of a folder's weights."""
    return f"{sum(path.stat().st_size for path in folder.rglob('*.safetensors')) / 1e6:.2f} MB"


def machine() -> str:
    """What this machine computes with: its GPU, or its processor."""
    return machine_name(device_of("auto"))


def curve(runs: list[Path], column: str, title: str, out: Path) -> None:
    """Draw one column of consecutive runs' ``log.csv`` against their steps as a small PNG; nothing without logs."""
    import altair

    rows: list[dict[str, float]] = []
    for log in logs(runs):
        before = rows[-1]["step"] if rows else 0
        with log.open() as file:
            rows += [{"step": before + int(row["step"]), column: float(row[column])} for row in csv.DictReader(file)]
    if not rows:
        return
    chart = (
        altair.Chart(altair.Data(values=rows), title=title)
        .mark_line(color="#2a6f97")
        .encode(
            x=altair.X("step:Q", title="step"),
            y=altair.Y(f"{column}:Q", title=column, scale=altair.Scale(zero=False)),
        )
        .properties(width=420, height=220)
    )
    write_whole(out, png(chart, scale_factor=1.5))


def sheet(images: torch.Tensor, columns: int, out: Path, colours: int = 256) -> None:
    """Tile pictures (n, 3, h, w) in [0, 1] row by row into a PNG of few colours, to keep it small."""
    n, _, h, w = images.shape
    rows = (n + columns - 1) // columns
    tiled = np.full((rows * h, columns * w, 3), 255, np.uint8)
    tiles = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    for i, tile in enumerate(tiles):
        r, c = divmod(i, columns)
        tiled[r * h : (r + 1) * h, c * w : (c + 1) * w] = tile
    with whole(out) as draft:
        Image.fromarray(tiled).quantize(colours, method=Image.Quantize.MEDIANCUT).save(draft, "PNG", optimize=True)


def card(out: Path, title: str, facts: dict[str, str], figures: list[tuple[str, str, str]], notes: str) -> None:
    """Write a folder's README: facts, then (figure, target, reached) rows, targets missed included."""
    lines = [f"# {title}", "", notes.strip(), "", "| fact | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    lines += ["", "Measured on held-out seeds:", "", "| figure | target | reached |", "|---|---|---|"]
    lines += [f"| {name} | {target} | {value} |" for name, target, value in figures]
    pictures = sorted(path.name for path in out.glob("*.png"))
    lines += [""] + [f"![{name.removesuffix('.png').replace('-', ' ')}]({name})" for name in pictures]
    write_whole(out / "README.md", "\n".join(lines) + "\n")
