"""Contact sheets: one PNG per dataset with a row per method and a column per item; clips also as a film."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from ..analysis.frame import JOINT
from ..catalogue.content import distinct_names
from ..errors import SyncbenchError
from ..escaping import visible
from ..files.writing import whole
from ..run.events import Tally
from ..store.folder import Store
from ..store.png import TOGETHER
from ..store.stored import Spec, StoredJob
from . import films
from .cells import GAP, INPUT, PAPER, SheetCell, cell_picture, item_of, sheet_cells, stored_cell

if TYPE_CHECKING:
    pass

WIDE = 1600
"""Width in pixels of all pictures of a row, unless items are named; the number of columns follows from it."""
NARROW = 192
"""Width in pixels below which pictures are magnified by a whole factor."""
LONGEST = 200
"""Largest number of characters of a name or prompt that are drawn."""
INK, FAINT, TICK = (20, 20, 20), (120, 120, 120), (220, 40, 40)


def show(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    items: Sequence[str] | None = None,
    seed: int | None = None,
    borders: bool = False,
    format: str | None = None,
    turntable: bool = False,
    progress: Tally = lambda done, total, text: None,
) -> list[Path]:
    """Write the contact sheets of a results folder and return their paths.

    One sheet is written to `out` (default: sheet.png in the folder); of several, each has the dataset's name appended.
    A dataset of clips gets a film of that name, too, the source at the left of the methods: `format` is `mp4` (H.264)
    or `webp` (animated), by default MP4 where it can be written. With `turntable` so does one of given meshes, whose
    samples are baked and turn, and whose textures then stand beside the views. `items` chooses columns, `seed` the
    sample (default: the lowest), and `borders` marks where the methods' windows end. Damaged samples are named in a
    `DamagedWarning`. Raises SyncbenchError for unknown items, for a folder without samples and for a format that cannot
    be written.
    """
    root, kind = Path(folder), films.chosen(format)
    store = Store(root)
    sheets: dict[str, list[StoredJob]] = {}
    for key in store.finished():
        job = store.job(key)
        if job is not None and (seed is None or job.header.seed == seed):
            sheets.setdefault(job.header.dataset, []).append(job)
    if not sheets:
        store.warn()
        raise SyncbenchError(f"nothing to show in '{root}'" + ("" if seed is None else f" for seed {seed}"))
    known = {job.header.item for jobs in sheets.values() for job in jobs}
    for item in items or ():
        if item not in known:
            raise SyncbenchError(f"no item '{item}' in '{root}': it has {', '.join(sorted(known))}")
    target = Path(out) if out is not None else root / "sheet.png"
    if target.suffix.lower() != ".png":
        raise SyncbenchError(f"a sheet is a PNG, and a film stands beside it: end '{target.name}' in .png")
    paths: list[Path] = []
    order = [_label(spec) for spec in store.used("methods")]
    for dataset, jobs in sorted(sheets.items()):
        if items and not any(job.header.item in items for job in jobs):
            continue
        name = target if len(sheets) == 1 else target.with_stem(f"{target.stem}-{_slug(dataset)}")
        jobs = [job for job in jobs if not items or job.header.item in items]
        columns, names = _columns(store, jobs, bool(items)), distinct_names(item_of(job) for job in jobs)
        cells = sheet_cells(store, [job for job in jobs if item_of(job) in columns], names)
        models = sorted({job.header.model for job in jobs})
        title = f"{dataset}, model {', '.join(models)}"
        unseen = [at for at, cell in cells.items() if at[0] == INPUT and cell.views is None]
        if len(unseen) == sum(name == INPUT for name, _ in cells):  # a line says as much as a row
            title += "".join(f"; {why}" for why in sorted({cells.pop(at).why for at in unseen}))
        turned: dict[tuple[str, str], SheetCell] = {}
        if turntable and jobs[0].header.family == "geometry":
            from .turning import turning

            shown = {at: c.job for at, c in cells.items() if c.views is not None and at[0] != INPUT}
            for at, made in turning(store, shown, progress).items():
                cells[at] = replace(cells[at], texture=made.texture)
                turned[at] = SheetCell(cells[at].job, made.frames)
        sheet = draw_sheet(cells, order, title, borders)
        # the default place is in a folder that may be untrusted: a link there is not followed
        with whole(name, follow=out is not None) as draft:
            sheet.save(draft, "PNG", optimize=True)
        paths.append(name)
        clips = turned or (cells if jobs[0].header.family == "frames" else {})
        if _length(clips) > 1:
            path, scenes = name.with_suffix(f".{kind}"), _scenes(clips, order)
            wide = max(clip.frames[0].width for scene in scenes for clip in scene.every() if clip.frames)
            with whole(path, follow=out is not None) as draft:
                films.write(draft, films.film(scenes, title, _scale(wide)), kind, films.SECOND)
            paths.append(path)
    store.warn()
    return paths


def draw_sheet(
    cells: dict[tuple[str, str], SheetCell],
    order: Sequence[str],
    title: str,
    borders: bool = False,
) -> Image.Image:
    """One sheet of the cells, by row label and item, of one dataset. Raises SyncbenchError for one without pictures.

    `order` is that of the method labels.
    """
    methods = _rows(cells, order)
    columns = sorted({item for _, item in cells})
    pictures = {at: cell_picture(cell) for at, cell in cells.items()}
    sizes = [picture.size for picture in pictures.values() if picture]
    if not sizes:
        raise SyncbenchError(f"every job of {title} failed or is damaged: see `syncbench report`")
    wide, high = max(w for w, _ in sizes), max(h for _, h in sizes)
    scale = _scale(wide)
    wide, high = max(round(wide * scale), 96), max(round(high * scale), 40)
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    gutter = max(150, 16 + max(round(font.getlength(line)) for m in methods for line in _lines(m)))
    prompts = {i: next(c.job.prompts[0] for (_, n), c in cells.items() if n == i) for i in columns}
    letters = max(12, round(wide / 6.2))
    heads = {item: wrap(visible(prompts[item][:LONGEST]), letters)[:3] for item in columns}
    head = 34 + 20 + 15 * max(len(lines) for lines in heads.values())
    size = (gutter + len(columns) * (wide + GAP), head + len(methods) * (high + GAP))
    if size[0] * size[1] > TOGETHER:
        raise SyncbenchError(f"the sheet of {title} would have {size[0]} x {size[1]} px: name fewer items")
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((8, 8), visible(title), INK, font)
    for c, item in enumerate(columns):
        x = gutter + c * (wide + GAP)
        pen.text((x, 34), visible(item), INK, small)
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
                cell = cells.get((method, item))
                why = wrap(visible("not run" if cell is None else cell.why), max(12, letters - 2))
                pen.text((x + 8, y + high // 2 - 8 * len(why)), "\n".join(why), FAINT, small)
                continue
            kind = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
            size = (round(picture.width * scale), round(picture.height * scale))
            shown = picture.resize(size, kind)
            sheet.paste(shown, (x, y))
            pen.rectangle((x - 1, y - 1, x + shown.width, y + shown.height), outline=(200, 200, 200))
            if borders and method != INPUT:
                for column in cells[method, item].job.borders:
                    at = x + round(column * scale)
                    pen.line((at, y - GAP + 1, at, y - 2), TICK)
    return sheet


def _rows(cells: Mapping[tuple[str, str], SheetCell], order: Sequence[str]) -> list[str]:
    """Labels of the rows: what methods were given, then methods in their order."""
    return sorted({m for m, _ in cells}, key=lambda m: (m != INPUT, _place(m, order), m))


def _scenes(cells: Mapping[tuple[str, str], SheetCell], order: Sequence[str]) -> list[films.Scene]:
    """The clips of the cells, item by item."""

    def clip(method: str, item: str) -> films.Clip:
        cell = cells.get((method, item))
        if cell is None:
            return films.Clip(method, (), "not run")
        count = 0 if cell.views is None else 1 if cell.canvas else len(cell.views)
        pictures = [picture for t in range(count) if (picture := cell_picture(cell, t))]
        return films.Clip(method, pictures, cell.why)

    methods, scenes = [name for name in _rows(cells, order) if name != INPUT], []
    for item in sorted({item for _, item in cells}):
        prompt = next(cell.job.prompts[0] for (_, name), cell in cells.items() if name == item)
        source = clip(INPUT, item) if (INPUT, item) in cells else None
        scenes.append(films.Scene(f"{item}: {prompt}"[:LONGEST], source, [clip(m[:LONGEST], item) for m in methods]))
    return scenes


def _columns(store: Store, jobs: Sequence[StoredJob], every_one: bool) -> list[tuple[str, str]]:
    """Id and content of the items that are columns: all of them (`every_one`), or as many as fit a sheet.

    The pictures of a dataset have one size, so the first that can be read gives their number.
    """
    every = sorted({item_of(job) for job in jobs})
    if every_one:
        return every
    for job in jobs:
        picture = cell_picture(stored_cell(store, job))
        if picture is not None:
            wide = max(round(picture.width * _scale(picture.width)), 96)
            return every[: max(1, WIDE // (wide + GAP))]
    return every


def _scale(wide: int) -> float:
    return min(1.0, WIDE / wide) if wide >= NARROW else float(-(-NARROW // wide))


def _length(cells: dict[tuple[str, str], SheetCell]) -> int:
    return max((len(c.views) for c in cells.values() if c.views is not None), default=0)


def _place(name: str, order: Sequence[str]) -> int:
    method = name.partition(JOINT)[0]
    return order.index(method) if method in order else len(order)


def _lines(method: str) -> list[str]:
    """The lines of a label, broken before its preset, its overrides and its model."""
    return [part for part in re.split(rf"(?=@|\[)|(?<=,)|{JOINT}", visible(method[:LONGEST])) if part]


def _label(one: Spec) -> str:
    from ..catalogue.registry import label

    return label(one.spec, one.overrides)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")[:80]
