"""Contact sheets: one PNG per dataset, methods down, items across, everything labelled; clips also as animated WebP."""

# pyright: reportMissingTypeStubs=false

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import make_grid

from .content import told_apart
from .errors import SyncbenchError
from .files import disk
from .store import Store
from .types import Json

WIDE = 1600
"""Pixels of pictures across, unless items are named; the number of columns follows."""
NARROW = 192
"""Pictures narrower than this are magnified by a whole factor."""
ROW = 4
"""Views side by side before a second row begins."""
GAP = 6
SECOND = 8
"""Frames of an animation a second."""
INPUT = "input"
"""Label of the row that shows what the methods were given, where it is a picture."""
INK, FAINT, PAPER, TICK = (20, 20, 20), (120, 120, 120), (255, 255, 255), (220, 40, 40)


@dataclass(frozen=True)
class Cell:
    """One sample: its job and, where it succeeded, its pictures (n, 3, h, w)."""

    job: Json
    views: Tensor | None
    canvas: bool = False
    """Whether `views` is one picture of the shared surface."""


def show(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    items: Sequence[str] | None = None,
    seed: int | None = None,
    borders: bool = False,
) -> list[Path]:
    """Draw the contact sheets of a results folder and return their paths.

    One sheet goes to `out` (default DIR/sheet.png); several get the dataset's name appended; a dataset of clips gets
    an animation of the same name (.webp) too. `items` chooses columns, `seed` the sample (default: the lowest),
    `borders` marks where the methods' windows end. Raises SyncbenchError for unknown items and for a folder without
    samples.
    """
    root = Path(folder)
    store = Store(root)
    sheets: dict[str, list[tuple[str, Json]]] = {}
    for key in store.finished():
        job = store.job(key)
        if job is not None and (seed is None or job["header"]["seed"] == seed):
            sheets.setdefault(job["header"]["dataset"], []).append((key, job))
    if not sheets:
        raise SyncbenchError(f"nothing to show in '{root}'" + ("" if seed is None else f" for seed {seed}"))
    known = {job["header"]["item"] for jobs in sheets.values() for _, job in jobs}
    for item in items or ():
        if item not in known:
            raise SyncbenchError(f"no item '{item}' in '{root}': it has {', '.join(sorted(known))}")
    target = Path(out) if out is not None else root / "sheet.png"
    paths: list[Path] = []
    order = [_label(entry) for entry in store.used("methods")]
    for dataset, jobs in sorted(sheets.items()):
        if items and not any(job["header"]["item"] in items for _, job in jobs):
            continue
        name = target if len(sheets) == 1 else target.with_stem(f"{target.stem}-{_slug(dataset)}")
        jobs = _told_apart([(key, job) for key, job in jobs if not items or job["header"]["item"] in items])
        columns = _columns(store, jobs, bool(items))
        cells = samples(store, [one for one in jobs if one[1]["header"]["item"] in columns])
        models = sorted({job["header"]["model"] for _, job in jobs})
        title = f"{dataset}, model {', '.join(models)}"
        with disk(name.parent):
            name.parent.mkdir(parents=True, exist_ok=True)
            draw(cells, order, title, borders).save(name, "PNG", optimize=True)
            paths.append(name)
            frames = _length(cells)
            if jobs[0][1]["header"]["family"] == "frames" and frames > 1:
                moving = [draw(cells, order, title, frame=t) for t in range(frames)]
                path = name.with_suffix(".webp")
                rest = {"append_images": moving[1:], "duration": 1000 // SECOND, "loop": 0, "quality": 80}
                moving[0].save(path, "WEBP", save_all=True, **rest)
                paths.append(path)
    return paths


def draw(
    cells: dict[tuple[str, str], Cell],
    order: Sequence[str],
    title: str,
    borders: bool = False,
    frame: int | None = None,
) -> Image.Image:
    """One sheet from the cells (by row label and item) of one dataset; with `frame` only that view of each."""
    methods = sorted({m for m, _ in cells}, key=lambda m: (m != INPUT, _place(m, order), m))
    columns = sorted({item for _, item in cells})
    pictures = {at: pictured(cell, frame) for at, cell in cells.items()}
    sizes = [picture.size for picture in pictures.values() if picture]
    if not sizes:
        raise SyncbenchError(f"every job of {title} failed: see `syncbench report`")
    wide, high = max(w for w, _ in sizes), max(h for _, h in sizes)
    scale = _scale(wide)
    wide, high = max(round(wide * scale), 96), max(round(high * scale), 40)
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    gutter = max(150, 16 + max(round(font.getlength(line)) for m in methods for line in _lines(m)))
    prompts = {
        i: next(c.job["identity"]["item"]["prompts"][0] for (_, n), c in cells.items() if n == i) for i in columns
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
            if borders and method != INPUT:
                for column in cells[method, item].job["notes"].get("borders", []):
                    at = x + round(column * scale)
                    pen.line((at, y - GAP + 1, at, y - 2), TICK)
    return sheet


def _told_apart(jobs: Sequence[tuple[str, Json]]) -> list[tuple[str, Json]]:
    """Jobs whose header names items of one id and unlike content apart."""
    names = told_apart((job["header"]["item"], job["header"]["content"]) for _, job in jobs)
    shown = [names[job["header"]["item"], job["header"]["content"]] for _, job in jobs]
    return [(k, {**job, "header": {**job["header"], "item": n}}) for (k, job), n in zip(jobs, shown, strict=True)]


def _columns(store: Store, jobs: Sequence[tuple[str, Json]], every_one: bool) -> list[str]:
    """All items, or as many as fit a sheet: only theirs are read. One dataset's pictures are of one size."""
    every = sorted({job["header"]["item"] for _, job in jobs})
    one = next(((key, job) for key, job in jobs if job["status"] == "ok"), None)
    if every_one or one is None:
        return every
    [cell] = samples(store, [one], given=False).values()
    picture = pictured(cell)
    assert picture is not None
    wide = max(round(picture.width * _scale(picture.width)), 96)
    return every[: max(1, WIDE // (wide + GAP))]


def _scale(wide: int) -> float:
    return min(1.0, WIDE / wide) if wide >= NARROW else float(-(-NARROW // wide))


def samples(store: Store, jobs: Sequence[tuple[str, Json]], given: bool = True) -> dict[tuple[str, str], Cell]:
    """Samples by row label and item, of the lowest seed, and what they were given."""
    held = {(job["header"]["model"], job["header"]["revision"]) for _, job in jobs}
    several, alike = len(held) > 1, len(held) > len({name for name, _ in held})
    found: dict[tuple[str, str], Cell] = {}
    for key, job in sorted(jobs, key=lambda one: one[1]["header"]["seed"]):
        header = job["header"]
        model = f"{header['model']} {header['revision']}" if alike else header["model"]
        name = f"{header['method']} · {model}" if several else header["method"]
        if (name, header["item"]) in found:
            continue
        found[name, header["item"]] = stored(store, key, job)
        if given and (INPUT, header["item"]) not in found:
            shown = input_of(job)
            if shown is not None:
                found[INPUT, header["item"]] = shown
    return found


def stored(store: Store, key: str, job: Json) -> Cell:
    """One sample as it is shown: the canvas where there is one, else the views; none of a job that failed."""
    if job["status"] != "ok":
        return Cell(job, None)
    artifact = store.artifact(key)
    return Cell(job, artifact.views) if artifact.canvas is None else Cell(job, artifact.canvas[None], canvas=True)


def input_of(job: Json) -> Cell | None:
    """The pictures a method was given; None where there are none or the dataset can no longer say."""
    from .sample import load_item, same_item
    from .suite import Entry

    try:
        entry = Entry("datasets", job["dataset"]["spec"], job["dataset"]["overrides"])
        item = load_item(entry, job["identity"]["item"]["id"], job["header"]["protocol"])
        if not same_item(job["identity"], entry, item):
            return None  # another mesh, clip or picture bears the name today
        conditions = item.conditions
    except SyncbenchError:
        return None
    name = next((name for name in ("video", "image") if name in conditions), None)
    return None if name is None else Cell(job, conditions[name].float().clamp(0, 1))


def _length(cells: dict[tuple[str, str], Cell]) -> int:
    return max((len(c.views) for c in cells.values() if c.views is not None), default=0)


def pictured(cell: Cell, frame: int | None = None) -> Image.Image | None:
    """The canvas, or the views in rows of four, or one of them."""
    if cell.views is None:
        return None
    views = cell.views if frame is None or cell.canvas else cell.views[min(frame, len(cell.views) - 1)][None]
    wide = ceil(len(views) / ceil(len(views) / ROW))
    grid: Tensor = make_grid(views, nrow=wide, padding=0)
    return Image.fromarray((grid * 255).round().byte().permute(1, 2, 0).numpy())


def _place(name: str, order: Sequence[str]) -> int:
    method = name.partition(" · ")[0]
    return order.index(method) if method in order else len(order)


def _absence(cell: Cell | None) -> str:
    return "not run" if cell is None else {"error": "failed", "unsupported": "not possible"}[cell.job["status"]]


def _lines(method: str) -> list[str]:
    """A label broken where it has joints: id, @preset, [overrides], model."""
    return [part for part in re.split(r"(?=@|\[)|(?<=,)| · ", method) if part]


def _label(entry: Json) -> str:
    from .registry import label

    return label(entry["spec"], entry["overrides"])


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")
