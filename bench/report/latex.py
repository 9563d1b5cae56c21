"""Leaderboards as LaTeX tables for papers: booktabs, best bold, second best underlined, ties alike, notes below.

Each panel is one `table`, for pdfLaTeX with `booktabs` and `graphicx`; a table wider than the line is scaled down to
it. All text is escaped; characters that pdfLaTeX does not know are shown by their code point.
"""

import re
from collections.abc import Sequence

from pylatexenc.latexencode import RULE_DICT, RULE_REGEX, UnicodeToLatexConversionRule, UnicodeToLatexEncoder

from ..escaping import visible
from .leaderboard import Cell, Leaderboard, Line

HEAD = "% Needs \\usepackage{booktabs,graphicx}. \\texttt{syncbench cite DIR} prints the references.\n"
"""First line of the document."""
TIES = (
    r"\textbf{Bold}: best; \underline{underlined}: second best; what is not separable from it at 95\,\% "
    "(paired by item) is marked alike. Anchors (below the rule) do not compete."
)
"""Note below each table on the meaning of its marks, as LaTeX."""
STYLES = {"best": r"\textbf{%s}", "second": r"\underline{%s}", "": "%s"}
PLAIN = {
    **{ord(mark): rf"\ensuremath{{\{name}arrow}}" for mark, name in (("↓", "down"), ("↑", "up"), ("→", "right"))},
    ord("⚠"): r"\textsuperscript{!}",
    ord("≈"): r"\ensuremath{\approx}",
    **{ord("|"): r"{\textbar}", ord('"'): r"{\ttfamily\char34}"},
}
FRAGILE: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"([\[\]*`'])"), r"{\1}"),  # [ and * after a line's end would be read as its arguments
    (re.compile(r"-(?=-)"), r"-{}"),  # no ligatures
    (re.compile(r"[\x00-\x1f\x7f]+"), " "),
]
ENCODER = UnicodeToLatexEncoder(
    conversion_rules=[
        UnicodeToLatexConversionRule(RULE_REGEX, FRAGILE),
        UnicodeToLatexConversionRule(RULE_DICT, PLAIN),
        "defaults",
    ],
    unknown_char_policy="unihex",
    unknown_char_warning=False,
)


def escape(text: str) -> str:
    """LaTeX that shows `text` literally."""
    return str(ENCODER.unicode_to_latex(text))


def latex(boards: Sequence[Leaderboard]) -> str:
    """All tables of the leaderboards as one LaTeX document for \\input."""
    parts = [HEAD]
    for board in boards:
        board = board.through(visible)
        parts += [_table(board, name, where) for name, where in board.panels()]
    return "\n".join(parts)


def _table(board: Leaderboard, name: str, where: list[int]) -> str:
    columns = [board.columns[i] for i in where]
    heads = " & ".join([" ", *(escape(column.header) for column in columns)])
    units = " & ".join([" ", *(escape(column.unit) for column in columns)])
    numbers = list(dict.fromkeys(line.cells[i].note for line in (*board.methods, *board.anchors) for i in where))
    notes = {number: place for place, number in enumerate([n for n in numbers if n], 1)}
    body = [_line(line, where, notes) for line in board.methods]
    body += [r"\midrule"] if board.methods and board.anchors else []
    body += [_line(line, where, notes) for line in board.anchors]
    below = [TIES, *(rf"\textsuperscript{{{place}}}\,{escape(board.notes[n - 1])}." for n, place in notes.items())]
    below += [escape(remark) for remark in board.remarks]
    caption = escape(f"{board.title}{f', {name}' if name else ''}; {board.subtitle}.")
    label = re.sub(r"[^a-z0-9]+", "-", f"{board.title} {name}".lower()).strip("-")
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{label}}}",
        rf"\sbox0{{\begin{{tabular}}{{@{{}}l{'r' * len(columns)}@{{}}}}",
        r"\toprule",
        rf"{heads} \\",
        *([rf"{units} \\"] if any(column.unit for column in columns) else []),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}%",
        r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
        r"\par\smallskip\raggedright\footnotesize",
        *(f"{text}\\par" for text in below),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(line: Line, where: list[int], notes: dict[int, int]) -> str:
    name = rf"\textit{{{escape(line.method)}}} ({escape(line.mark)})" if line.mark else escape(line.method)
    return " & ".join([name, *(_cell(line.cells[i], notes) for i in where)]) + r" \\"


def _cell(cell: Cell, notes: dict[int, int]) -> str:
    value, _, rest = cell.text.partition(" ")
    shown = STYLES[cell.mark] % (f"${value}$" if value.startswith("-") else escape(value))
    shown += rf" {{\scriptsize {escape(rest)}}}" if rest else ""
    return shown + (rf"\textsuperscript{{{notes[cell.note]}}}" if cell.note else "")
