"""Ties, ranks and fronts against brute force; the same marks in every format; LaTeX that compiles."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pylatexenc.latexwalker import LatexEnvironmentNode, LatexWalker
from syncbench.bench.analysis import stats
from syncbench.bench.analysis.summary import report_rows
from syncbench.bench.report.latex import escape
from syncbench.bench.report.report import render

from ..report_records import METHODS, frame, record, records

RNG = np.random.default_rng(3)
HARD = RNG.normal(0, 10, 12)
NOISE = {name: RNG.normal(0, 0.1, 12) for name in "abcde"}


def table(levels: dict[str, float], metric: str = "seconds", items: int = 12) -> pd.DataFrame:
    """Methods that differ by `levels` on items that differ far more."""
    return frame(
        [
            record(name, metric, i, 0, float(level + HARD[i] + NOISE[name][i]))
            for name, level in levels.items()
            for i in range(items)
        ]
    )


def marks(made: pd.DataFrame) -> dict[str, str]:
    found = report_rows(made)
    return dict(zip(found["method"], found["mark"], strict=True))


def test_marks_use_the_paired_difference_not_the_overlap_of_intervals():
    made = table({"a": 1.0, "b": 1.0, "c": 1.5, "d": 1.5, "e": 3.0})
    found = report_rows(made)
    assert found["ci_high"].min() > found["ci_low"].max()  # all intervals overlap
    values = made.pivot_table(index="item", columns="method", values="value")
    leader = values.mean().idxmin()
    for name in values:
        alike = name == leader or not stats.interval(values[name] - values[leader], tests=10).separable
        assert (marks(made)[name] == "best") == alike
    assert marks(made) == {"a": "best", "b": "best", "c": "second", "d": "second", "e": ""}


@pytest.mark.parametrize(("metric", "first"), [("clip_text[reference]", "c"), ("seconds", "a")])
def test_marks_follow_the_direction(metric: str, first: str):
    found = marks(table({"a": 1.0, "b": 2.0, "c": 3.0}, metric))
    assert found == {first: "best", "b": "second", "ac".replace(first, ""): ""}


def test_a_constant_difference_is_separable_and_equal_methods_are_not():
    made = frame([record(m, "seconds", i, 0, v) for m, v in (("a", 1.0), ("b", 1.0), ("c", 2.0)) for i in range(6)])
    assert marks(made) == {"a": "best", "b": "best", "c": "second"}
    assert set(marks(frame([record(m, "seconds", i, 0, 1.0) for m in "ab" for i in range(6)])).values()) == {""}


def test_fewer_items_than_can_be_judged_mark_nothing_and_leave_every_rank_open():
    found = report_rows(table({"a": 1.0, "b": 9.0}, items=5)).set_index("method")
    assert set(found["mark"]) == {""}
    assert [tuple(found.loc[m, ["rank_low", "rank_high"]]) for m in "ab"] == [(1, 2), (1, 2)]
    assert marks(table({"a": 1.0, "b": 9.0}, items=6)) == {"a": "best", "b": "second"}


def test_anchors_and_methods_that_miss_items_do_not_compete():
    made = records()
    for one in made:
        if one["method"] == "syncdiffusion" and one["item"] == "item001":
            one.update(value=None, coverage=0.0, reason="nothing overlaps")
    more = [record("third", m, i, 0, 5.0 + i) for m in {one["metric"] for one in made} for i in range(8)]
    found = report_rows(frame([*made, *more])).set_index("method")
    competing = {"multidiffusion", "third"}
    for name in ("mark", "rank_low", "pareto"):
        shown = found[name].replace("", pd.NA).notna() if name == "mark" else found[name].notna()
        assert set(found.index[shown]) <= competing
    assert set(found.loc[["third"], "rank_low"]) <= {1, 2}


def test_ranks_leave_open_what_the_comparisons_of_every_two_leave_open():
    made = table({"a": 1.0, "b": 1.02, "c": 1.3, "d": 4.0})
    found = report_rows(made).set_index("method")
    values = made.pivot_table(index="item", columns="method", values="value")
    for name in "abcd":
        apart = {o: stats.interval(values[name] - values[o], tests=6) for o in "abcd" if o != name}
        better = sum(one.separable and one.mean > 0 for one in apart.values())
        worse = sum(one.separable and one.mean < 0 for one in apart.values())
        assert tuple(found.loc[name, ["rank_low", "rank_high"]]) == (1 + better, 4 - worse)
    assert [tuple(found.loc[m, ["rank_low", "rank_high"]]) for m in "ad"] == [(1, 2), (4, 4)]


def test_equal_methods_share_their_ranks():
    made = frame([record(m, "seconds", i, 0, v + i) for m, v in (("a", 1), ("b", 1), ("c", 2)) for i in range(6)])
    found = report_rows(made).set_index("method")
    assert [tuple(found.loc[m, ["rank_low", "rank_high"]]) for m in "abc"] == [(1, 2), (1, 2), (3, 3)]


def test_the_front_is_what_nothing_beats_in_quality_and_cost():
    rng = np.random.default_rng(5)
    points = {f"m{i}": (float(q), float(c)) for i, (q, c) in enumerate(rng.integers(1, 7, (14, 2)))}
    made = [record(m, "intra_lpips[reference]", i, 0, q) for m, (q, _) in points.items() for i in range(3)]
    made += [record(m, "seconds", i, 0, c) for m, (_, c) in points.items() for i in range(3)]
    found = report_rows(frame(made))
    found = found[found["metric"] == "intra_lpips[reference]"].set_index("method")["pareto"]
    for name, (q, c) in points.items():
        beaten = any(a <= q and b <= c and (a, b) != (q, c) for a, b in points.values())
        assert found[name] == (not beaten)
    shown = render(frame(made), "text", width=200)
    line = next(line for line in shown.splitlines() if line.startswith("Pareto front of intra_lpips"))
    assert set(line.partition(": ")[2].rstrip(".").split(", ")) == set(found.index[found.astype(bool)])


PATTERNS = {
    "text": (r"^ (\S+) .*?[\d.]+ ±[\d.]+\*", r"^ (\S+) .*?[\d.]+ ±[\d.]+°"),
    "md": (r"^\| (\S+) .*\*\*[\d.]+ ±", r"^\| (\S+) .*<u>[\d.]+ ±"),
    "html": (
        r"<tr><td>(\S+)</td>\s*<td>[^<]*</td>\s*<td [^>]*class=\"best\"",
        r"<tr><td>(\S+)</td>\s*<td>[^<]*</td>\s*<td [^>]*class=\"second\"",
    ),
    "tex": (r"^(\S+) & \\textbf\{", r"^(\S+) & \\underline\{"),
}


@pytest.mark.parametrize("format", PATTERNS)
def test_every_format_marks_the_same(format: str):
    shown = render(table({"a": 31.0, "b": 31.0, "c": 31.5, "d": 31.5, "e": 33.0}), format)
    found = [sorted(re.findall(pattern, shown, re.MULTILINE)) for pattern in PATTERNS[format]]
    assert found == [["a", "b"], ["c", "d"]]


HOSTILE = [
    "\\end{tabular}",
    "a_b^c~d",
    "100 % {x} #1 $y$ & z",
    "[3pt]",
    "*",
    "--<>|\"'`",
    "猫🎉",
    "\x00\x1b\n\n\\par",
    "}",
]


@pytest.fixture
def hostile() -> str:
    made = records()
    for name in HOSTILE:
        made += [
            {**one, "method": name, "key": name + str(one["key"])}
            for one in records()
            if one["method"] == "multidiffusion"
        ]
    made += [record("syncdiffusion", "seam_ratio", 99, 0, None, reason="\\input{x} 50 % & more")]
    return render(frame([{**one, "dataset": "p_%$"} for one in made]), "tex", span=True)


def test_latex_parses_and_every_line_has_all_cells(hostile: str):
    nodes, _, _ = LatexWalker(hostile, tolerant_parsing=False).get_latex_nodes()
    tables = [node for node in nodes if isinstance(node, LatexEnvironmentNode)]
    assert [node.environmentname for node in tables] == ["table"] * 3
    for body in re.findall(r"\\toprule\n(.*?)\\bottomrule", hostile, re.DOTALL):
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(lines) >= len(METHODS) + len(HOSTILE)
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in lines}) == 1
    assert "\\input" not in hostile
    # At the start of a line [3pt] would be read as the argument of the line's end before, and vanish.
    assert re.search(r"^\{\[\}3pt\{\]\} &", hostile, re.MULTILINE)
    assert re.search(r"^\{\*\} &", hostile, re.MULTILINE)
    assert "-{}-" in hostile
    assert r"seam\_ratio \ensuremath{\rightarrow}1" in hostile
    assert r"\textsuperscript{1}\,1 of 9 items without a value: {\textbackslash}input\{x\} 50 \% \& more." in hostile
    assert r"\textit{independent} (floor)" in hostile


@pytest.mark.parametrize("name", HOSTILE)
def test_escaped_text_stays_one_group(name: str):
    nodes, _, _ = LatexWalker(escape(name), tolerant_parsing=False).get_latex_nodes()
    assert "".join(node.latex_verbatim() for node in nodes) == escape(name)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine: only parsed")
def test_latex_compiles(hostile: str, tmp_path: Path):
    (tmp_path / "tables.tex").write_text(hostile, encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\n\\begin{document}\\input{tables}\\end{document}\n"
    )
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert "Missing character" not in log
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine: only parsed")
def test_a_table_wider_than_the_line_is_shrunk_to_it(tmp_path: Path):
    made = [{**one, "method": f"{one['method']} {'with a long name ' * 4}"} for one in records()]
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
        f"{render(frame(made), 'tex', brief=True)}\\end{{document}}\n"
    )
    call = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    assert subprocess.run(call, cwd=tmp_path, capture_output=True).returncode == 0
    assert "Overfull" not in (tmp_path / "paper.log").read_text(errors="replace")
