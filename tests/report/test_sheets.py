"""Contact sheets: every picture where its row and column say, inputs on top, clips in motion."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from syncbench.bench.report.cells import INPUT, SheetCell, cell_picture
from syncbench.bench.report.sheets import draw_sheet, show
from syncbench.bench.run.sweep import run
from syncbench.bench.store.artifacts import load_artifact
from syncbench.bench.store.folder import Store
from syncbench.bench.store.stored import StoredJob

from ..stored_jobs import job

JOB = StoredJob.model_validate_json(json.dumps({"key": "k", "files": {"views/000.png": "0" * 64}, **job("k")}))


def test_views_stand_in_rows_of_four() -> None:
    levels = torch.linspace(0, 1, 6)
    views = levels[:, None, None, None].expand(6, 3, 5, 7)
    picture = cell_picture(SheetCell(JOB, views))
    assert picture is not None
    assert picture.size == (21, 10), "six views are two rows of three"
    for k, level in enumerate(levels):
        assert picture.getpixel((7 * (k % 3) + 3, 5 * (k // 3) + 2))[0] == round(255 * float(level))  # type: ignore[index]
    one = cell_picture(SheetCell(JOB, views), frame=4)
    assert one is not None
    assert one.size == (7, 5)
    assert one.getpixel((3, 2))[0] == round(255 * float(levels[4]))  # type: ignore[index]


def test_a_sheet_has_the_input_on_top_and_says_what_is_missing() -> None:
    red, blue = (torch.zeros(1, 3, 200, 200) for _ in range(2))
    red[:, 0], blue[:, 2] = 1, 1
    failed = SheetCell(JOB, None, why="failed")
    cells = {("b", "one"): SheetCell(JOB, blue), (INPUT, "one"): SheetCell(JOB, red), ("a", "one"): failed}
    sheet = draw_sheet(cells, ["b", "a"], "title")
    column = [sheet.getpixel((sheet.width - 100, y)) for y in range(sheet.height)]
    rows = [column.index((255, 0, 0)), column.index((0, 0, 255)), column.index((238, 238, 238))]
    assert rows == sorted(rows), "input, then the order of the suite"


def test_sheets_of_a_run(tiny_suite: dict[str, Any], results: Path) -> None:
    longer = {**tiny_suite["datasets"][0], "width": 80}
    run({**tiny_suite, "datasets": [*tiny_suite["datasets"], longer]}, results)
    paths = show(results)
    assert len(paths) == 2, "one sheet a dataset"
    assert all(Image.open(path).format == "PNG" for path in paths)


def test_only_what_fits_is_read(tiny_suite: dict[str, Any], results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = {**tiny_suite["datasets"][0], "width": 800}
    run({**tiny_suite, "datasets": [long], "limit": 4, "seeds": [0]}, results)
    read: list[str] = []

    def artifact(store: Store, key: str) -> Any:
        read.append(store.job(key).header.item)  # type: ignore[union-attr]
        return load_artifact(store.folder(key))

    monkeypatch.setattr(Store, "artifact", artifact)
    show(results)
    assert len(set(read)) <= 2, "the one measured, and the one column that fits"
