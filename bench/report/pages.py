"""Leaderboards as terminal text, Markdown and one self-contained HTML file. Text from records is escaped."""

import base64
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from tabulate import tabulate

from ..escaping import markdown as markdown_text
from ..escaping import visible
from ..files.reading import read_bytes
from .leaderboard import DIFFERENCES, Cell, Leaderboard, Line

NARROWEST = 60
PNG = b"\x89PNG"
"""The first bytes of a PNG file."""
MARKS = {"best": "*", "second": "°", "": ""}
STYLES = {"best": "bold", "second": "underline", "": ""}
TIES = (
    "what is not separable from it (paired by item, corrected for all pairs) is marked alike. Anchors do not compete."
)


def text_page(boards: Sequence[Leaderboard], *, width: int | None = None, color: bool = False) -> str:
    """Leaderboards as text for a terminal, one panel under another.

    Tables are at most `width` characters wide (default: 120, whatever the terminal).
    """
    size = max(width or 120, NARROWEST)
    target = io.StringIO()
    console = Console(file=target, width=size, force_terminal=color, color_system="standard" if color else None)
    for board in boards:
        board = board.through(visible)
        console.print(Text(board.title, style="bold"), soft_wrap=True)
        console.print(Text(board.subtitle, style="dim"))
        for name, where in board.panels():
            for part in _parts(board, where, size):
                console.print()
                console.print(_panel(board, name, part))
        console.print(Text(f"{MARKS['best']} best, {MARKS['second']} second best; {TIES}", style="dim"))
        if board.ranked:
            console.print(Text(_rank_note(board), style="dim"))
        for number, note in enumerate(board.notes, 1):
            console.print(Text(f"[{number}] {note}", style="dim"))
        for remark in board.remarks:
            console.print(Text(remark, style="dim"))
        if board.differences:
            console.print()
            console.print(_differences(board))
        console.print()
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines()) + "\n"


def _cell_text(cell: Cell) -> str:
    return cell.text + MARKS[cell.mark] + (f" [{cell.note}]" if cell.note else "")


def _named(line: Line) -> str:
    return f"{line.method} ({line.mark})" if line.mark else line.method


def _parts(board: Leaderboard, where: list[int], width: int) -> list[list[int]]:
    """The columns of a panel in groups, each as wide as fits into `width` characters."""
    lines = [*board.methods, *board.anchors]
    room = width - max((cell_len(_named(line)) for line in lines), default=6) - 4
    room -= 3 + max((len(line.rank) for line in lines), default=0) if board.ranked else 0
    parts: list[list[int]] = [[]]
    used = 0
    for i in where:
        cells = max((cell_len(_cell_text(line.cells[i])) for line in lines), default=1)
        wide = 3 + max(cells, cell_len(board.columns[i].header), cell_len(board.columns[i].unit))
        if parts[-1] and used + wide > room:
            parts.append([])
            used = 0
        parts[-1].append(i)
        used += wide
    return parts


def _panel(board: Leaderboard, name: str, where: list[int]) -> Table:
    table = Table(title=name, title_justify="left", title_style="italic", header_style="bold", show_edge=False)
    table.add_column("method", no_wrap=True)
    if board.ranked:
        table.add_column("rank", no_wrap=True)
    for i in where:
        column = board.columns[i]
        table.add_column(escape("\n".join(filter(None, (column.header, column.unit)))), justify="right", no_wrap=True)
    for line in board.methods:
        cells = [Text(_cell_text(line.cells[i]), style=STYLES[line.cells[i].mark]) for i in where]
        table.add_row(Text(_named(line)), *_ranked(board, line), *cells)
    if board.methods and board.anchors:
        table.add_section()
    for line in board.anchors:
        cells = [Text(_cell_text(line.cells[i])) for i in where]
        table.add_row(Text(_named(line)), *_ranked(board, line), *cells, style="dim")
    return table


def _ranked(board: Leaderboard, line: Line) -> list[str]:
    return [line.rank] if board.ranked else []


def _rank_note(board: Leaderboard) -> str:
    return f"rank: by {board.order}, between those shown to be better and those shown to be worse."


def _differences(board: Leaderboard) -> Table:
    table = Table(title="paired differences", title_justify="left", title_style="italic", show_edge=False)
    for name in DIFFERENCES:
        number = name in ("difference", "p (corrected)", "items")
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in board.differences:
        table.add_row(*(Text(value) for value in row))
    return table


def markdown_page(boards: Sequence[Leaderboard]) -> str:
    """Leaderboards as Markdown with one pipe table per panel, for a README or a pull request."""
    said: list[str] = []
    for board in boards:
        said += [f"## {markdown_text(board.title)}", "", markdown_text(board.subtitle), ""]
        for name, where in board.panels():
            ranks = ["rank"] if board.ranked else []
            headers = ["method", *ranks, *(_head(board.columns[i].header, board.columns[i].unit) for i in where)]
            lines = [*board.methods, *board.anchors]
            body = [
                [f"*{markdown_text(_named(line))}*" if line.mark else markdown_text(line.method)]
                + _ranked(board, line)
                + [_marked(line.cells[i]) for i in where]
                for line in lines
            ]
            said += [f"**{name}**", ""] if name else []
            said += [pipes(headers, body, ("left", *("right" for _ in headers[1:]))), ""]
        said += [f"**Bold**: best; <u>underlined</u>: second best; {TIES}  "]
        said += [f"{markdown_text(_rank_note(board))}  "] if board.ranked else []
        said += [f"[{number}] {markdown_text(note)}  " for number, note in enumerate(board.notes, 1)]
        said += [f"{markdown_text(remark)}  " for remark in board.remarks]
        if board.differences:
            rows = [[markdown_text(value) for value in row] for row in board.differences]
            said += ["", "**paired differences**", "", pipes(list(DIFFERENCES), rows)]
        said.append("")
    return "\n".join(said)


def pipes(headers: list[str], rows: list[list[str]], align: Sequence[str] | None = None) -> str:
    """A Markdown table of cells that are escaped already; `align` is `left` or `right` for each column."""
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=align if rows else None)


def _head(header: str, unit: str) -> str:
    return markdown_text(f"{header} ({unit})" if unit else header)


def _marked(cell: Cell) -> str:
    shown = {"best": f"**{cell.text}**", "second": f"<u>{cell.text}</u>", "": cell.text}[cell.mark]
    return shown + (f" \\[{cell.note}\\]" if cell.note else "")


def html_page(boards: Sequence[Leaderboard], sheets: Sequence[Path] = ()) -> str:
    """Leaderboards as one HTML file that loads nothing: style inside, contact sheets (PNG) as data URIs.

    Sheets that are no PNG are left out. Raises SyncbenchError for a sheet that cannot be read.
    """
    source = files("syncbench.bench.report").joinpath("templates", "leaderboard.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
    pictures = [
        (visible(sheet.parent.name), Markup("data:image/png;base64,") + base64.b64encode(data).decode())
        for sheet in sheets
        if (data := read_bytes(sheet)).startswith(PNG)
    ]
    boards = [board.through(visible) for board in boards]
    return page.render(
        boards=boards, heads=DIFFERENCES, pictures=pictures, name=_named, ties=TIES, rank_note=_rank_note
    )
