"""Contact sheets: one PNG per dataset and model, methods down, items across, everything labelled."""

import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from .errors import SyncbenchError
from .files import disk
from .store import Store
from .types import Json

WIDE = 1600
"""Pixels of pictures across, unless items are named; the number of columns follows."""
NARROW = 192
"""Pictures narrower than this are magnified by a whole factor."""
GAP = 6
INK, FAINT, PAPER, TICK = (20, 20, 20), (120, 120, 120), (255, 255, 255), (220, 40, 40)


def show(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    items: Sequence[str] | None = None,
    seed: int | None = None,
    borders: bool = False,
) -> list[Path]:
    """Draw the contact sheets of a results folder and return their paths.

    One sheet goes to `out` (default DIR/sheet.png); several get the dataset's and model's names appended. `items`
    chooses columns, `seed` the sample (default: the lowest), `borders` marks where the methods' windows end.
    Raises SyncbenchError for unknown items and for a folder without samples.
    """
    root = Path(folder)
    store = Store(root)
    sheets: dict[tuple[str, str], list[tuple[str, Json]]] = {}
    for key in store.finished():
        job = store.job(key)
        if job is not None and (seed is None or job["header"]["seed"] == seed):
            sheets.setdefault((job["header"]["dataset"], job["header"]["model"]), []).append((key, job))
    if not sheets:
        raise SyncbenchError(f"nothing to show in '{root}'" + ("" if seed is None else f" for seed {seed}"))
    known = {job["header"]["item"] for jobs in sheets.values() for _, job in jobs}
    for item in items or ():
        if item not in known:
            raise SyncbenchError(f"no item '{item}' in '{root}': it has {', '.join(sorted(known))}")
    target = Path(out) if out is not None else root / "sheet.png"
    paths: list[Path] = []
    order = [_label(entry) for entry in store.used("methods")]
    for (dataset, model), jobs in sorted(sheets.items()):
        name = target if len(sheets) == 1 else target.with_stem(f"{target.stem}-{_slug(dataset)}-{_slug(model)}")
        sheet = draw(store, jobs, items, order, f"{dataset}, model {model}", borders)
        with disk(name.parent):
            name.parent.mkdir(parents=True, exist_ok=True)
            sheet.save(name, "PNG", optimize=True)
        paths.append(name)
    return paths


def draw(
    store: Store,
    jobs: Sequence[tuple[str, Json]],
    items: Sequence[str] | None,
    order: Sequence[str],
    title: str,
    borders: bool = False,
) -> Image.Image:
    """One sheet from the jobs of one dataset and model."""
    cells: dict[tuple[str, str], tuple[str, Json]] = {}
    for key, job in sorted(jobs, key=lambda one: one[1]["header"]["seed"]):
        cells.setdefault((job["header"]["method"], job["header"]["item"]), (key, job))
    methods = sorted({m for m, _ in cells}, key=lambda m: (order.index(m) if m in order else len(order), m))
    columns = sorted({i for _, i in cells if not items or i in items})
    pictures = {at: _picture(store, *cell) for at, cell in cells.items() if at[1] in columns}
    sizes = [picture.size for picture in pictures.values() if picture]
    if not sizes:
        raise SyncbenchError(f"every job of {title} failed: see `syncbench report {store.root}`")
    wide, high = max(w for w, _ in sizes), max(h for _, h in sizes)
    scale = min(1.0, WIDE / wide) if wide >= NARROW else float(-(-NARROW // wide))
    wide, high = max(round(wide * scale), 96), max(round(high * scale), 40)
    if not items:
        columns = columns[: max(1, WIDE // (wide + GAP))]
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    gutter = max(150, 16 + max(round(font.getlength(line)) for m in methods for line in _lines(m)))
    prompts = {
        i: next(job["identity"]["item"]["prompts"][0] for (_, n), (_, job) in cells.items() if n == i) for i in columns
    }
    letters = max(12, round(wide / 6.2))
    heads = {item: wrap(prompts[item], letters)[:3] for item in columns}
    head = 34 + 20 + 15 * max(len(lines) for lines in heads.values())
    sheet = Image.new("RGB", (gutter + len(columns) * (wide + GAP), head + len(methods) * (high + GAP)), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((8, 8), title, INK, font)
    for c, item in enumerate(columns):
        x = gutter + c * (wide + GAP)
        pen.text((x, 34), item, INK, small)
        for n, line in enumerate(heads[item]):
            pen.text((x, 50 + 15 * n), line, FAINT, small)
    for r, method in enumerate(methods):
        y = head + r * (high + GAP)
        lines = _lines(method)
        for n, line in enumerate(lines):
            pen.text((8, y + high // 2 - 9 * len(lines) + 18 * n), line, INK, font)
        for c, item in enumerate(columns):
            x = gutter + c * (wide + GAP)
            picture = pictures.get((method, item))
            if picture is None:
                pen.rectangle((x, y, x + wide - 1, y + high - 1), (238, 238, 238))
                pen.text((x + 8, y + high // 2 - 8), _absence(cells.get((method, item))), FAINT, small)
                continue
            kind = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
            size = (round(picture.width * scale), round(picture.height * scale))
            shown = picture.resize(size, kind)
            sheet.paste(shown, (x, y))
            pen.rectangle((x - 1, y - 1, x + shown.width, y + shown.height), outline=(200, 200, 200))
            if borders:
                for column in cells[method, item][1]["notes"].get("borders", []):
                    at = x + round(column * scale)
                    pen.line((at, y - GAP + 1, at, y - 2), TICK)
    return sheet


def _picture(store: Store, key: str, job: Json) -> Image.Image | None:
    """The canvas, or the views side by side."""
    if job["status"] != "ok":
        return None
    artifact = store.artifact(key)
    image = (
        artifact.canvas if artifact.canvas is not None else artifact.views.transpose(0, 1).transpose(1, 2).flatten(2)
    )
    return Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy())


def _absence(cell: tuple[str, Json] | None) -> str:
    return "not run" if cell is None else {"error": "failed", "unsupported": "not possible"}[cell[1]["status"]]


def _lines(method: str) -> list[str]:
    """A label broken where it has joints: id, @preset, [overrides]."""
    return [part for part in re.split(r"(?=@|\[)|(?<=,)", method) if part]


def _label(entry: Json) -> str:
    from .registry import label

    return label(entry["spec"], entry["overrides"])


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")
