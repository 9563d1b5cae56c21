"""Cells of contact sheets and films: what one sample shows, or why it shows nothing, and what methods were given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from ..analysis.frame import JOINT
from ..errors import SyncbenchError
from ..limits import PIXELS
from ..store.folder import Store
from ..store.png import TOGETHER
from ..store.stored import StoredJob
from ..suites.recorded import entry as recorded

if TYPE_CHECKING:
    from ..run.loaded import Loaded

ROW = 4
"""Number of views side by side before a second row begins."""
GAP = 6
"""Space between pictures in pixels."""
INPUT = "input"
"""Label of the row that shows what the methods were given, where it is a picture."""
DAMAGED = "damaged"
"""Text in the place of a sample that cannot be read."""
SHEET = 2 * TOGETHER
"""Number of pixels of samples above which a sheet reads no further ones, because they are in memory together."""
PAPER = (255, 255, 255)


@dataclass(frozen=True)
class SheetCell:
    """One sample of a sheet: its job and its pictures, or the reason why there are none."""

    job: StoredJob
    views: Tensor | None
    """Pictures (n, 3, h, w) in [0, 1]; None where there are none."""
    canvas: bool = False
    """Whether `views` is the one picture of a shared surface."""
    why: str = ""
    """Why there are no pictures."""
    texture: Tensor | None = None
    """The texture (3, H, W) that the views make, drawn beside them."""


def item_of(job: StoredJob) -> tuple[str, str]:
    """Id and content of a job's item, which identify it: items of one id may differ in content."""
    return job.header.item, job.header.content


def sheet_cells(
    store: Store, jobs: Sequence[StoredJob], names: Mapping[tuple[str, str], str]
) -> dict[tuple[str, str], SheetCell]:
    """The cells of a sheet by row label and item: samples of the lowest seed, and what methods were given.

    `names` are the items' names by id and content. Rows of models that share a name have its revision, too.
    """
    from ..run.loaded import Loaded

    loaded = Loaded()
    models = {(job.header.model, job.header.revision) for job in jobs}
    several, alike = len(models) > 1, len(models) > len({name for name, _ in models})
    cells: dict[tuple[str, str], SheetCell] = {}
    pixels = 0
    for job in sorted(jobs, key=lambda one: one.header.seed):
        header, item = job.header, names[item_of(job)]
        model = f"{header.model} {header.revision}" if alike else header.model
        name = f"{header.method}{JOINT}{model}" if several else header.method
        if (name, item) in cells:
            continue
        cell = (
            stored_cell(store, job) if pixels < SHEET else SheetCell(job, None, why="not shown: too much for one sheet")
        )
        cells[name, item] = cell
        pixels += 0 if cell.views is None else cell.views.numel() // 3
        if (INPUT, item) not in cells:
            given = input_cell(job, loaded)
            if given is not None:
                cells[INPUT, item] = given
    return cells


def stored_cell(store: Store, job: StoredJob) -> SheetCell:
    """A job's sample as a cell: its canvas where it has one, else its views; the reason where the job failed."""
    if job.status != "ok":
        return SheetCell(job, None, why={"error": "failed", "unsupported": "not possible"}[job.status])
    try:
        artifact = store.artifact(job.key)
    except SyncbenchError as error:
        store.damage[store.folder(job.key)] = str(error)
        return SheetCell(job, None, why=DAMAGED)
    return (
        SheetCell(job, artifact.views)
        if artifact.canvas is None
        else SheetCell(job, artifact.canvas[None], canvas=True)
    )


def input_cell(job: StoredJob, loaded: "Loaded") -> SheetCell | None:
    """The pictures that a method was given, or why they are not shown; None where the item has none.

    Only data sets of the tree and of installed packages are loaded, whatever the folder names.
    """
    from ..isolation.guard import Failure, attempt

    # an installed data set may raise anything for the folder's field values
    given = attempt(lambda: _given(job, loaded))
    if isinstance(given, Failure):
        return SheetCell(job, None, why=f"input not shown: {given.text}")
    return None if given is None else SheetCell(job, given)


def _given(job: StoredJob, loaded: "Loaded") -> Tensor | None:
    from ..run.score import stored_item

    item = stored_item(job, recorded("datasets", job.dataset), loaded)
    name = next((name for name in ("video", "image") if name in item.conditions), None)
    if name is None:
        return None
    high, wide = item.surface.window
    if high * wide > PIXELS:
        raise SyncbenchError(f"{wide} x {high} px are too many")
    return item.conditions[name].float().clamp(0, 1)


def cell_picture(cell: SheetCell, frame: int | None = None) -> Image.Image | None:
    """The picture of a cell: its canvas, its views in rows of four (and its texture), or the view `frame`; or None."""
    if cell.views is None:
        return None
    views = cell.views if frame is None or cell.canvas else cell.views[min(frame, len(cell.views) - 1)][None]
    wide = ceil(len(views) / ceil(len(views) / ROW))
    grid: Tensor = make_grid(views, nrow=wide, padding=0)
    picture = Image.fromarray((grid * 255).round().byte().permute(1, 2, 0).numpy())
    if cell.texture is None or frame is not None:
        return picture
    flat = Image.fromarray((cell.texture * 255).round().byte().permute(1, 2, 0).numpy())
    flat = flat.resize((max(1, round(flat.width * picture.height / flat.height)), picture.height))
    both = Image.new("RGB", (picture.width + GAP + flat.width, picture.height), PAPER)
    both.paste(picture, (0, 0))
    both.paste(flat, (picture.width + GAP, 0))
    return both
