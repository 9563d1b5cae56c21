"""One offline HTML file of a run: leaderboards, scatter plots, galleries, report cards, provenance.

`content` gathers what the page shows as plain JSON values, `gallery` turns samples into pictures and clips, `page` puts
them into the template. What happens in a browser is in `templates/board.js`; its table is DataTables (from the package
`itables`) and its plots are Vega-Lite (from `vl-convert-python`), both inside the file.
"""

from collections.abc import Sequence
from pathlib import Path

from ...errors import SyncbenchError
from ...run.events import Tally

NAME = "board.html"
ITEMS = 6
"""Items of each dataset whose pictures go into the gallery, unless another number is asked for."""


def board(
    folders: Sequence[str | Path] | str | Path,
    out: str | Path | None = None,
    *,
    families: Sequence[str] | None = None,
    cards: Sequence[str | Path] = (),
    items: int = ITEMS,
    progress: Tally = lambda done, total, text: None,
) -> Path:
    """Write the board of results folders (or `.parquet` files, which have no pictures) and return its path.

    Default place: board.html in the first folder. `families` leaves the others out; `cards` are files of report cards
    besides the shipped ones; `items` bounds the items of each dataset that the gallery shows (0: no pictures). A folder
    without results makes a board that says so. Raises SyncbenchError for what is not a results folder, and for a
    negative number of items.
    """
    from ...files import write_whole
    from ...store.records import is_records_file, result_paths
    from ...trust.grades import grades
    from .content import content
    from .page import html

    names = result_paths(folders)
    if items < 0:
        raise SyncbenchError(f"--items {items}: use 0 (no pictures) or more")
    given = out is not None
    if out is None:
        out = names[0].with_suffix(".html") if is_records_file(names[0]) else names[0] / NAME
    made = content(names, families, grades(cards), items, progress)
    # the default place is in a folder that may be a stranger's: a link there is not followed
    write_whole(Path(out), html(made), follow=given)
    return Path(out)
