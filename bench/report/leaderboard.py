"""Leaderboards: one row per method, one column per metric, anchors apart, best and second best marked."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..analysis.ranking import Mark
from ..trust.grades import Grade
from ..types import Role

PANELS: dict[str, tuple[Role, ...]] = {
    "consistency": ("consistency",),
    "quality, variety, text": ("quality", "variety", "text"),
    "cost": ("cost",),
}
"""Names of the tables of one leaderboard, and the roles of the metrics in each."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a leaderboard: one metric of one fingerprint."""

    metric: str
    header: str
    """Name and arrow, e.g. `seam_ratio →1`."""
    unit: str
    panel: str
    """Name of the table (PANELS) that has the column."""
    fingerprint: str
    decimals: int
    """Number of decimals of its values."""
    brief: bool
    """Whether a brief report has the column."""
    grade: Grade | None = None
    """Result of the metric's report card; None for costs, which have none, and where no grades were given."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One value of a leaderboard, as text."""

    text: str
    detail: str = ""
    """Exact interval and number of items, shown when a pointer is over the cell."""
    mark: Mark = ""
    """`best` or `second`, also for ties, or empty; see `ranking.with_ranks`."""
    row: int | None = None
    """Index of the row of the table that the cell shows."""
    note: int | None = None
    """Number of the footnote that says why a value is missing or incomplete."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a leaderboard: one method."""

    name: str
    """Name of the line in the records' column `name`."""
    method: str
    """Name that is shown."""
    mark: str
    """`floor`, `trap`, `ceiling`, or empty."""
    cells: tuple[Cell, ...]
    rank: str = ""
    """Bounds of the rank in the column that orders the board, e.g. `1-3`."""


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """All methods and metrics of one family, dataset and protocol, which may be compared."""

    title: str
    subtitle: str
    columns: tuple[Column, ...]
    methods: tuple[Line, ...]
    anchors: tuple[Line, ...]
    notes: tuple[str, ...]
    """Texts of the footnotes, numbered from 1."""
    remarks: tuple[str, ...] = ()
    differences: tuple[tuple[str, ...], ...] = ()
    """Rows of the table of paired differences, with the heads `DIFFERENCES`."""
    brief: bool = False
    """Whether there is one table instead of one for each panel."""
    order: str = ""
    """Header of the column by which methods are ordered and ranked."""

    def through(self, make: Callable[[str], str]) -> "Leaderboard":
        """This leaderboard with `make` applied to every text that is shown; names that refer to records stay."""

        def column(one: Column) -> Column:
            return replace(one, header=make(one.header), unit=make(one.unit), fingerprint=make(one.fingerprint))

        def line(one: Line) -> Line:
            cells = tuple(replace(cell, text=make(cell.text), detail=make(cell.detail)) for cell in one.cells)
            return replace(one, method=make(one.method), mark=make(one.mark), cells=cells, rank=make(one.rank))

        return replace(
            self,
            title=make(self.title),
            subtitle=make(self.subtitle),
            columns=tuple(map(column, self.columns)),
            methods=tuple(map(line, self.methods)),
            anchors=tuple(map(line, self.anchors)),
            notes=tuple(map(make, self.notes)),
            remarks=tuple(map(make, self.remarks)),
            differences=tuple(tuple(map(make, row)) for row in self.differences),
            order=make(self.order),
        )

    @property
    def ranked(self) -> bool:
        """Whether tables have a column of ranks."""
        return not self.brief and any(line.rank for line in self.methods)

    def panels(self) -> list[tuple[str, list[int]]]:
        """Panel names with the positions of their columns; a brief board has one panel without a name."""
        if self.brief:
            return [("", list(range(len(self.columns))))]
        places = {name: [i for i, c in enumerate(self.columns) if c.panel == name] for name in PANELS}
        return [(name, where) for name, where in places.items() if where]


FAILED = "⚠"
"""Sign beside a metric whose report card fails."""
ESTIMATE = "≈"
"""Sign beside a metric that estimates another one and whose report card says how well."""
DIFFERENCES = ("metric", "method", "against", "difference", "95 % interval", "p (corrected)", "items", "verdict")
