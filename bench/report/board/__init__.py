"""One offline HTML file of a run: leaderboards, scatter plots, galleries, report cards, provenance.

`content` gathers what the page shows as JSON values, `gallery` encodes samples as pictures and clips, and `page` puts
both into the template. The script of the page is `templates/board.js`; its table is DataTables (from the package
`itables`), its plots are Vega-Lite (from `vl-convert-python`), and where samples are of given meshes its viewer is
three.js (from `trimesh`), all inside the file.
"""

from collections.abc import Sequence
from pathlib import Path

from ...errors import SyncbenchError
from ...run.events import Tally

NAME = "board.html"
ITEMS = 6
"""Default number of items of each dataset whose pictures are in the gallery."""
MESHES = 1
"""Default number of those items, of given meshes, whose samples can be turned in the gallery."""


def board(
    folders: Sequence[str | Path] | str | Path,
    out: str | Path | None = None,
    *,
    families: Sequence[str] | None = None,
    cards: Sequence[str | Path] = (),
    items: int = ITEMS,
    meshes: int = MESHES,
    progress: Tally = lambda done, total, text: None,
) -> Path:
    """Write the board of results folders (or `.parquet` files, which have no pictures) and return its path.

    `out` is the file to write (default: board.html in the first folder). `families` are those that are shown (default:
    all); `cards` are files of report cards besides the shipped ones; `items` is the largest number of items of each
    dataset that the gallery shows (0: no pictures); of the first `meshes` of them that are given meshes the samples can
    be turned, too, which takes seconds a sample to bake. A folder without results gives a board that says so. Raises
    SyncbenchError for what is not a results folder, and for a negative number of items or meshes.
    """
    from ...files.writing import write_whole
    from ...store.records import is_records_file, result_paths
    from ...trust.grades import grades
    from .content import board_content
    from .page import board_html

    names = result_paths(folders)
    if items < 0:
        raise SyncbenchError(f"--items {items}: use 0 (no pictures) or more")
    if meshes < 0:
        raise SyncbenchError(f"--meshes {meshes}: use 0 (none that turn) or more")
    given = out is not None
    if out is None:
        out = names[0].with_suffix(".html") if is_records_file(names[0]) else names[0] / NAME
    page = board_html(board_content(names, families, grades(cards), items, meshes, progress))
    # the default place is in a folder that may be untrusted: a link there is not followed
    write_whole(Path(out), page, follow=given)
    return Path(out)
