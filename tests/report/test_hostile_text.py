"""Text of strangers in every format that repeats it: nothing acts, nothing is hidden, numbers stay as they are."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from syncbench.bench.analysis import power
from syncbench.bench.escaping import INVISIBLE, csv_cell, json_text, markdown, visible
from syncbench.bench.gate.gate import compare
from syncbench.bench.gate.junit import junit
from syncbench.bench.report import cite
from syncbench.bench.report.cite import bibtex
from syncbench.bench.report.report import render
from syncbench.bench.report.sheets import draw_sheet
from syncbench.bench.run import progress
from syncbench.bench.run.events import Event
from syncbench.bench.store import parquet as baseline
from syncbench.bench.store.folder import Store
from syncbench.bench.trust import cards
from syncbench.bench.trust.verdicts import Card, Check

from ..hostile import PAYLOADS, call
from ..report_records import frame, record

ELEMENTS = (
    *("html", "head", "meta", "title", "style", "body", "section", "h1", "h2", "h3", "p", "div", "span"),
    *("table", "thead", "tbody", "tr", "th", "td", "small", "sup"),
)
TEXTS = ("dataset", "model", "revision", "metric", "fingerprint", "unit")
"""Columns beside item and method."""


def hostile(payloads: Sequence[str] = PAYLOADS) -> pd.DataFrame:
    """Records of a method for every payload, with all of them in every other text, some without value for a reason."""
    every = " ".join(payloads)
    said = {name: f"{every} {name}" for name in TEXTS}
    said |= {"protocol": {every: every}, "params": {every: every}, "direction": "lower"}
    made: list[dict[str, object]] = []
    for n, payload in enumerate(payloads):
        for i in range(3):
            one = record(payload, "m", i, 0, i + 0.1 * n) | {"key": f"k{n}-{i}", "item": f"{every}{i}"} | said
            made.append(one | ({"value": None, "reason": payload} if i == 0 else {}))
    return frame(made)


def seen(text: str) -> str:
    """What is on a terminal besides lines."""
    return text.replace("\n", "")


def test_reports_show_it_and_do_nothing_else() -> None:
    records = hostile()
    text = render(records, "text", width=200)
    assert not INVISIBLE.search(seen(text))
    inert(render(records, "md"))
    for row in csv.reader(io.StringIO(render(records, "csv"))):
        for cell in row:
            assert not INVISIBLE.search(cell)
            assert not re.match(r"[=+@]|-(?![\d.])", cell), cell
    listed = render(records, "json")
    assert {row["method"] for row in json.loads(listed)} == set(PAYLOADS), "JSON holds the text itself"
    assert not INVISIBLE.search(seen(listed))
    page = Tags()
    page.feed(render(records, "html"))
    assert page.names <= set(ELEMENTS)
    tex = render(records, "tex")
    assert not re.search(r"\\(write18|input\b|def)", tex.replace(r"\input.", ""))


class Tags(HTMLParser):
    """Names of the elements of a page, none of which may have a handler."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        assert not any(name.startswith("on") or name in ("href", "src") for name, _ in attrs), (tag, attrs)


def inert(said: str) -> None:
    """Markdown without HTML but ours, links, pictures, code, mentions or issue numbers."""
    assert not INVISIBLE.search(seen(said))
    parser = MarkdownIt("gfm-like", {"linkify": False})
    tokens = [one for token in parser.parse(said) for one in (token, *(token.children or ()))]
    kinds = {token.type for token in tokens}
    assert not kinds & {"link_open", "image", "html_block", "code_inline", "fence", "code_block"}, kinds
    assert {token.content for token in tokens if token.type == "html_inline"} <= {"<u>", "</u>"}
    texts = [token.content for token in tokens if token.type == "text"]
    for text in texts:
        assert not re.search(r"(?<![\w/])@\w|\w@[\w-]+\.\w", text), text
        assert not re.search(r"#\d|\w://|\bwww\.", text), text


def test_the_gate_shows_it_and_does_nothing_else() -> None:
    records = hostile()
    worse = records.assign(value=records["value"] + 5)
    unlike = records.assign(fingerprint="".join(PAYLOADS))
    for new, code in ((worse, 1), (unlike, 2), (records[records["method"] != PAYLOADS[0]], 0)):
        answer = compare(new, records, fraction=1.0)
        assert answer.code == code
        inert(answer.markdown())
        assert not INVISIBLE.search(seen(answer.text()))
        ET.fromstring(junit(answer))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_bibtex_holds_entries_and_comments_only(payload: str) -> None:
    entry = cite._entry(payload, payload, f"T: x\n\n{payload}, {payload} 2024", payload)
    head, _, rest = entry.partition("{")
    assert head in ("@article", "@misc")
    assert re.match(r"[A-Za-z0-9./:;()_-]*,\n", rest)
    depth, deepest = 0, []
    for letter in entry:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        deepest.append(depth)
    assert depth == 0
    assert deepest.index(0, deepest.index(1)) == len(entry) - 1, "the entry ends where it ends"
    assert "\\write" not in entry
    assert "\\input" not in entry


def test_what_has_no_paper_stays_in_comments(tmp_path: Path) -> None:
    baseline.write_parquet(hostile(), tmp_path / "r.parquet")
    lines = cite.cite(tmp_path / "r.parquet").splitlines()
    assert [line for line in lines if "@" in line] == ["@software{syncbench,"]
    assert not any(INVISIBLE.search(line) for line in lines)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_progress_and_cards_show_it(payload: str, capsys: pytest.CaptureFixture[str]) -> None:
    listener = progress._Lines()
    listener(Event("sample", 0, 2))
    listener(Event("sample", 1, 2, payload, payload))
    assert not INVISIBLE.search(seen(capsys.readouterr().err))
    card = Card(metric=payload, family=payload, role="x", version=1, fingerprint="x", ladders=(), checks=())
    broken = replace(card, checks=(Check(name="answers", passed=False, seen=payload),))
    assert not INVISIBLE.search(seen(cards.cards_text([broken], width=120)))


def test_tables_and_errors_show_it(tmp_path: Path) -> None:
    records = hostile()
    assert not INVISIBLE.search(seen(power.power_text(power.items_for(records))))
    baseline.write_parquet(records, tmp_path / "r.parquet")
    for payload in PAYLOADS:
        done = call("report", tmp_path / "r.parquet", "--families", payload.replace(",", ";"))
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
        assert not INVISIBLE.search(seen(done.stderr))


def test_sheets_draw_any_label(tmp_path: Path) -> None:
    from .test_sheets import JOB, SheetCell, torch

    for payload in (*PAYLOADS, "x" * 100_000):
        header = replace(JOB.header, item=payload, method=payload)
        one = SheetCell(JOB.model_copy(update={"header": header}), torch.zeros(1, 3, 8, 8))
        sheet = draw_sheet({(payload, payload): one}, [payload], payload[:300])
        assert sheet.width < 4000
    assert Store.__doc__


def test_what_each_format_makes_of_it() -> None:
    assert visible("a\x1b[31mb\u202e") == "a\\x1b[31mb\\u202e"
    assert visible("Zoë 多 ±0.5 👩‍🚀") == "Zoë 多 ±0.5 👩‍🚀", "what is text stays text"
    assert [csv_cell(value) for value in ("=1", "-x", "ok", -1.5, 3, None)] == ["'=1", "'-x", "ok", -1.5, 3, None]
    assert markdown("multidiffusion@release[stride=0.5] a_b") == "multidiffusion@release\\[stride=0.5\\] a_b"
    assert json.loads(json_text({"a": "\x9b\u202e"})) == {"a": "\x9b\u202e"}
    assert bibtex("A {B} & C") == "A (B) \\& C"


def test_a_saved_csv_is_the_table(tmp_path: Path) -> None:
    baseline.write_parquet(hostile(["=x"]), tmp_path / "r.parquet")
    call("report", tmp_path / "r.parquet", "--out", tmp_path / "r.csv")
    found = pd.read_csv(tmp_path / "r.csv")
    assert found["value"].tolist() == pytest.approx([1.5])
    assert found["method"].tolist() == ["'=x"]


# --- standard output ------------------------------------------------------------------------------------------------

LIMITED = (
    "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
    "from syncbench.bench.cli.main import app; sys.argv[1:] = ['ls', 'methods']; app()"
)


def test_streams_that_hold_less_are_no_traceback(tmp_path: Path) -> None:
    made = frame([record(m, "seam_ratio", i, 0, float(i)) for m in ("independent", "multidiffusion") for i in range(4)])
    baseline.write_parquet(made, tmp_path / "r.parquet")
    command = [sys.executable, "-m", "syncbench.bench.cli.main", "report", str(tmp_path / "r.parquet")]
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    plain = subprocess.run(command, env={**os.environ, **ascii_only}, capture_output=True, check=False)
    assert plain.returncode == 0, plain.stderr
    shown = plain.stdout.decode("ascii")
    assert "multidiffusion" in shown
    assert "+-" in shown
    listed = [sys.executable, "-m", "syncbench.bench.cli.main", "ls", "methods"]
    closed = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *listed], capture_output=True, check=False)
    assert (closed.returncode, closed.stderr) == (0, b"")
    with (tmp_path / "full").open("wb") as file:
        full = subprocess.run([sys.executable, "-c", LIMITED], stdout=file, stderr=subprocess.PIPE, check=False)
    assert full.returncode == 2
    assert full.stderr == b"error: cannot write the answer: File too large\n"
