"""The board: what its file holds, and, in a real Chromium, what a person sees of it."""

import csv
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
import torch
from playwright.sync_api import Browser, expect
from syncbench.bench.analysis.summary import COLUMNS, report_rows
from syncbench.bench.cli.main import app
from syncbench.bench.report.board import board
from syncbench.bench.report.board.gallery import webm_clip
from syncbench.bench.report.board.page import embedded
from syncbench.bench.run.sweep import run
from syncbench.bench.store import parquet as baseline
from syncbench.bench.store.folder import Store
from typer.testing import CliRunner

from ..chromium import CHROMIUM, browser, opened
from ..report_records import frame, record, records

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028{{7*7}}${8*8}"


def made(folder: Path, found: list[dict[str, Any]], **options: Any) -> Path:
    """The board of records alone."""
    file = folder / "records.parquet"
    baseline.write_parquet(frame(found), file)
    return board(file, folder / "board.html", **options)


class Reader(HTMLParser):
    """Elements of a page, and the text of its scripts by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = str(dict(attrs).get("id")) if tag == "script" else ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[self._inside] = self.scripts.get(self._inside, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def content(file: Path) -> dict[str, Any]:
    return json.loads(Reader(file.read_text(encoding="utf-8")).scripts["content"])


# --- the file -----------------------------------------------------------------------------------------------------


def test_rows_in_the_file_are_the_reports_to_the_last_bit(tmp_path: Path) -> None:
    found = records()
    held = content(made(tmp_path, found))
    expected = report_rows(frame(found))
    table = pd.DataFrame(held["rows"], columns=held["columns"])
    assert list(table.columns) == COLUMNS
    key = ["method", "metric"]
    pd.testing.assert_frame_equal(
        table.sort_values(key)[[*key, "value", "ci_low", "ci_high", "n_items"]].reset_index(drop=True),
        expected.sort_values(key)[[*key, "value", "ci_low", "ci_high", "n_items"]].reset_index(drop=True),
        check_exact=True,
        check_dtype=False,
    )
    [one] = held["boards"]
    by_item = frame(found).groupby(["method", "metric", "item"])["value"].mean()
    for row, values in zip(held["rows"], held["values"], strict=True):
        method, metric = row[COLUMNS.index("method")], row[COLUMNS.index("metric")]
        assert dict(zip(one["items"], values, strict=True)) == pytest.approx(dict(by_item[method, metric]), rel=1e-12)


def test_cells_point_at_their_rows_and_missing_ones_at_none(tmp_path: Path) -> None:
    found = [r for r in records() if (r["method"], r["metric"]) != ("trap", "clip_text[reference]")]
    [one] = content(made(tmp_path, found))["boards"]
    held = content(tmp_path / "board.html")
    for line in one["lines"]:
        for column, (text, _, note, row) in zip(one["columns"], line["cells"], strict=True):
            if row is None:
                assert (line["name"], column["metric"], text) == ("trap", "clip_text[reference]", "—")
                assert one["notes"][note - 1] == "not computed"
                continue
            values = dict(zip(held["columns"], held["rows"][row], strict=True))
            assert (values["method"], values["metric"]) == (line["name"], column["metric"])


def test_no_text_of_the_records_is_markup(tmp_path: Path) -> None:
    """Every name a record can carry, hostile at once: the page has the elements of an honest page and no more."""
    bad = [
        {**r, "method": f"{r['method']}{HOSTILE}", "dataset": HOSTILE, "item": f"{r['item']}{HOSTILE}", "unit": HOSTILE}
        for r in records(metrics={f"m{HOSTILE}": ("lower", "")})
    ]
    honest, hostile = made(tmp_path, records()).read_text(), made(tmp_path, bad).read_text()
    assert Reader(hostile).tags == Reader(honest).tags
    assert HOSTILE in {row[COLUMNS.index("dataset")] for row in content(tmp_path / "board.html")["rows"]}


def test_embedded_json_is_the_same_json() -> None:
    value = {"a": HOSTILE, "b": [1.5, None, "é→<!--"]}
    text = embedded(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028") & set(text)


def test_a_clip_shows_its_frames() -> None:
    time = torch.arange(8).view(-1, 1, 1, 1) / 8
    frames = torch.cat([time.expand(8, 1, 32, 48), torch.full((8, 2, 32, 48), 0.25)], 1)
    with av.open(io.BytesIO(webm_clip(frames))) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) == 8
    assert shown[0].shape == (192, 288, 3), "magnified six times, so that the codec has something to work with"
    for one, true in zip(shown, frames, strict=True):
        assert np.abs(one.mean((0, 1)) / 255 - true.mean((1, 2)).numpy()).max() < 0.03


def test_pages_of_the_same_records_are_the_same_bytes(tmp_path: Path) -> None:
    assert made(tmp_path, records()).read_bytes() == made(tmp_path, records()).read_bytes()


def test_boards_of_samples_are_the_same_bytes_too(tmp_path: Path) -> None:
    frames = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert webm_clip(frames) == webm_clip(frames)


def test_pictures_stand_on_the_board_of_their_protocol(tmp_path: Path) -> None:
    suite = {
        "model": "gauss",
        "datasets": [{"id": "panoramas", "width": 64, "height": 16, "window": 16}],
        "methods": ["independent"],
        "metrics": ["network_evaluations"],
        "limit": 1,
    }
    for steps in (2, 3):
        run({**suite, "protocol": {"steps": steps, "guidance": 1.0}}, tmp_path / str(steps))
    both = content(board([tmp_path / "2", tmp_path / "3"]))["boards"]
    shown = {}
    for one in both:
        [item] = one["gallery"]["items"]
        shown[one["protocol"]["steps"]] = one["gallery"]["pictures"][item]["independent"]["src"]
    assert shown.keys() == {2, 3}
    assert shown[2] != shown[3]


def test_versions_of_a_metric_keep_their_own_grades(tmp_path: Path) -> None:
    found = records(metrics={"seam_ratio": ("target:1", "")})
    found += [{**r, "metric_version": 2, "key": f"{r['key']}-2"} for r in found]
    [one] = content(made(tmp_path, found))["boards"]
    held = content(tmp_path / "board.html")
    for i, _ in enumerate(one["columns"]):
        versions = {held["rows"][line["cells"][i][3]][COLUMNS.index("metric_version")] for line in one["lines"]}
        assert len(versions) == 1


def test_shares_need_a_floor_and_a_ceiling_that_differ(tmp_path: Path) -> None:
    sign = {"independent": 1, "truth": -1}
    same = [
        {**r, "value": 1 + 0.1 * sign[str(r["method"])] * (-1) ** int(str(r["item"])[-1])}
        if r["anchor"] in ("floor", "ceiling")
        else r
        for r in records()
    ]
    for found, known in ((records(), True), (same, False)):
        span = report_rows(frame(found)).query("metric == 'clip_text[reference]'")["span"]
        assert span.notna().all() == known
        assert span.isna().all() != known


def test_mistakes_are_told_in_a_line(tmp_path: Path) -> None:
    baseline.write_parquet(frame(records()), tmp_path / "r.parquet")
    (tmp_path / "file").write_text("")
    for out in (tmp_path, tmp_path / "file" / "x.html", tmp_path / ("x" * 300), Path("/proc/x.html")):
        for command in ("board", "report"):
            done = CliRunner().invoke(app, [command, str(tmp_path / "r.parquet"), "--out", str(out)])
            assert done.exit_code == 2, (command, out, done.output)
            assert "error: " in done.output
    Store.create(tmp_path / "empty", {"suite": {"name": "none", "parts": []}})
    done = CliRunner().invoke(app, ["board", str(tmp_path / "empty"), "--families", "overlop"])
    assert (done.exit_code, "did you mean 'overlap'" in done.output) == (2, True)
    for arguments, said in (
        (["board", tmp_path / "nowhere"], "no results folder"),
        (["board", tmp_path, "--items", "2"], "is not a results folder"),
    ):
        done = CliRunner().invoke(app, [str(a) for a in arguments])
        assert done.exit_code == 2
        assert said in done.output
    done = CliRunner().invoke(app, ["board", str(tmp_path / "r.parquet"), "--items", "-1"])
    assert (done.exit_code, "--items -1" in done.output) == (2, True)
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "clip_text.json").write_text("{}")
    done = CliRunner().invoke(app, ["board", str(tmp_path / "r.parquet"), "--cards", str(tmp_path)])
    assert (done.exit_code, "holds no report cards" in done.output) == (2, True)


# --- a person's view ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board of a real run whose prompt is an attack."""
    folder = tmp_path_factory.mktemp("board")
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"id": f"p{n}", "prompt": f"{n} {HOSTILE}"}) + "\n" for n in range(3)))
    suite = {
        "model": "gauss",
        "datasets": [{"id": "prompts", "path": str(prompts), "width": 64, "height": 16, "window": 16}],
        "methods": ["independent", {"id": "multidiffusion", "stride": 0.5}, "trap@constant"],
        "metrics": ["network_evaluations", "seam_ratio", "seconds"],
        "protocol": {"steps": 2, "guidance": 1.0},
    }
    run(suite, folder / "run")
    return board(folder / "run")


@needs_chromium
def test_numbers_shown_are_the_records(chromium: Browser, tmp_path: Path) -> None:
    found = records(items=9, seeds=3)
    expected = report_rows(frame(found)).set_index(["method", "metric"])
    with opened(chromium, made(tmp_path, found), tab="overlap") as page:
        page.get_by_role("combobox", name="Columns").select_option("all")
        table = page.locator("#panel-overlap table").first
        heads = [text.split()[0] for text in table.locator("thead th").all_inner_texts()]
        seen = 0
        for line in table.locator("tbody tr").all():
            cells = line.locator("td").all_inner_texts()
            method = cells[0].split()[0]
            for metric, text in list(zip(heads, cells, strict=True))[2:]:
                match = re.fullmatch(r"(-?[\d,]+\.?(\d*)) ±([\d,.]+)", text)
                assert match, text
                one, step = expected.loc[(method, metric)], 0.5 * 10 ** -len(match[2])
                assert float(match[1].replace(",", "")) == pytest.approx(one["value"], abs=1.001 * step)
                assert float(match[3].replace(",", "")) == pytest.approx(
                    (one["ci_high"] - one["ci_low"]) / 2, abs=1.001 * step
                )
                seen += 1
        assert seen == len(expected)


@needs_chromium
def test_the_download_is_the_rows(chromium: Browser, tmp_path: Path) -> None:
    found = records()
    expected = report_rows(frame(found))
    with opened(chromium, made(tmp_path, found)) as page:
        with page.expect_download() as download:
            page.get_by_role("button", name="Rows as CSV").click()
        text = Path(download.value.path()).read_text(encoding="utf-8")
        with page.expect_download() as download:
            page.get_by_role("button", name="Rows as JSON").click()
        listed = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    held = list(csv.DictReader(io.StringIO(text)))
    assert list(held[0]) == COLUMNS
    assert [float(row["value"]) for row in held] == list(expected["value"])
    assert [row["value"] for row in listed] == list(expected["value"])
    assert [row["protocol"] for row in held] == list(expected["protocol"])


@needs_chromium
def test_columns_sort_with_anchors_apart_and_names_filter(chromium: Browser, tmp_path: Path) -> None:
    found = records()
    found += [record("slow", metric, 0, 0, 9.0) for metric in ("seam_ratio", "seconds")]  # lacks intra_lpips
    with opened(chromium, made(tmp_path, found), tab="overlap") as page:
        table = page.locator("#panel-overlap table").first
        names = table.locator("tbody tr td:first-child")
        for column, ascending, descending in (
            ("seam_ratio", ["syncdiffusion", "multidiffusion", "slow"], ["slow", "multidiffusion", "syncdiffusion"]),
            # no value stays last either way
            ("intra_lpips", ["syncdiffusion", "multidiffusion", "slow"], ["multidiffusion", "syncdiffusion", "slow"]),
        ):
            apart = ["truth", "trap", "independent"] if column == "seam_ratio" else ["trap", "truth", "independent"]
            head = table.locator("thead th", has_text=column)
            head.click()
            expect(names).to_contain_text([*ascending, *apart])
            head.click()
            expect(names).to_contain_text([*descending, *reversed(apart)])
        head = table.locator("thead th", has_text="clip_text")
        head.click()  # best first, which here is the largest
        expect(names).to_contain_text(["multidiffusion", "syncdiffusion", "slow"])
        expect(head).to_have_attribute("aria-sort", "descending")
        page.get_by_placeholder("Filter methods").fill("ceiling")
        expect(names).to_contain_text(["truth"])
        page.get_by_placeholder("Filter methods").fill("sync")
        expect(names).to_have_text(["syncdiffusion "])


@needs_chromium
def test_the_keyboard_reaches_everything(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, made(tmp_path, records())) as page:
        tab = page.get_by_role("tab", selected=True)
        tab.focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", selected=True)).to_have_text("All rows")
        expect(page.locator("#panel-rows table")).to_be_visible()
        expect(page.locator("#panel-overlap")).to_be_hidden()
        page.keyboard.press("End")
        expect(page.get_by_role("tab", selected=True)).to_have_text("How to read")
        page.keyboard.press("Home")
        cell = page.locator("#panel-overlap button.cell").first
        cell.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        for words in ("fingerprint", "over items, skewness allowed for", "item000", "guidance 3, steps 10"):
            expect(dialog).to_contain_text(words)
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(cell).to_be_focused()
        head = page.locator("#panel-overlap thead th").nth(2)
        head.locator("[tabindex]").first.focus()
        page.keyboard.press("Enter")
        expect(head).to_have_attribute("aria-sort", "ascending")


@needs_chromium
def test_provenance_tells_the_exact_value_and_the_share_of_the_span(chromium: Browser, tmp_path: Path) -> None:
    found = records()
    expected = report_rows(frame(found)).set_index(["method", "metric"]).loc[("syncdiffusion", "seam_ratio")]
    with opened(chromium, made(tmp_path, found), tab="overlap") as page:
        page.get_by_role("button", name=re.compile("seam_ratio →1 of syncdiffusion")).click()
        assert str(float(expected["value"])) in page.get_by_role("dialog").inner_text()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Share of the way").click()
        shown = page.get_by_role("button", name=re.compile("seam_ratio →1 of syncdiffusion")).inner_text()
        assert shown == f"{round(100 * expected['span'])} %"


@needs_chromium
@pytest.mark.parametrize("tab", ["overlap", "rows", "metrics", "methods", "reading"])
def test_hostile_names_and_prompts_are_text(chromium: Browser, sampled: Path, tmp_path: Path, tab: str) -> None:
    bad = [
        {**r, "method": f"{r['method']}{HOSTILE}", "dataset": HOSTILE, "item": f"{r['item']}{HOSTILE}", "unit": HOSTILE}
        for r in records(metrics={f"seam_ratio{HOSTILE}": ("lower", ""), "seconds": ("lower", "")})
    ]
    for file in (sampled, made(tmp_path, bad)):
        with opened(chromium, file, tab=tab) as page:  # an alert would be an error there
            page.wait_for_timeout(300)
            assert page.locator("img[src=x]").count() == 0
            if tab == "overlap" and file == sampled:
                expect(page.locator(".gallery p.soft")).to_contain_text("0 </script><script>alert(1)")
            if tab == "overlap" and file != sampled:
                page.locator("#panel-overlap button.cell").first.click()
                expect(page.get_by_role("dialog")).to_contain_text("<img src=x onerror=alert(2)>")
                page.keyboard.press("Escape")
                page.get_by_role("heading", name="Quality against cost").scroll_into_view_if_needed()
                page.locator(".plot svg path[aria-roledescription='point']").first.hover(force=True)
                page.wait_for_timeout(200)
                assert page.locator("#vg-tooltip-element img").count() == 0


@needs_chromium
def test_samples_are_shown_alone_in_pairs_and_under_a_swipe(chromium: Browser, sampled: Path) -> None:
    with opened(chromium, sampled, tab="overlap") as page:
        page.locator(".gallery").scroll_into_view_if_needed()
        expect(page.locator(".gallery img")).to_have_count(3)
        assert all(
            image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 64
            for image in page.locator(".gallery img").all()
        )
        page.get_by_role("combobox", name="Show").select_option("side")
        expect(page.locator(".gallery .pair img")).to_have_count(2)
        page.get_by_role("combobox", name="Show").select_option("swipe")
        handle = page.get_by_role("slider")
        handle.focus()
        page.keyboard.press("End")
        expect(page.locator(".swipe")).to_have_attribute("style", re.compile("--cut: ?100%"))
        page.get_by_role("combobox", name="Item").select_option("p2")
        expect(page.locator(".gallery p.soft")).to_contain_text("2 </script>")


@needs_chromium
def test_an_empty_board_says_what_to_do(chromium: Browser, tmp_path: Path) -> None:
    Store.create(tmp_path / "run", {"suite": {"name": "none", "parts": []}})
    done = CliRunner().invoke(app, ["board", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    with opened(chromium, tmp_path / "run" / "board.html") as page:
        expect(page.locator("#wait")).to_contain_text("No results yet")
        expect(page.get_by_role("tab")).to_have_text(["How to read"])


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phones_scroll_down_only_and_both_themes_are_readable(
    chromium: Browser, sampled: Path, tmp_path: Path, scheme: str
) -> None:
    for file in (sampled, made(tmp_path, records())):
        with opened(chromium, file, size=(390, 800), scheme=scheme, tab="overlap") as page:
            for tab in page.get_by_role("tab").all():
                tab.click()
                page.wait_for_timeout(150)
                assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab.inner_text()
            assert contrast(page.evaluate("getComputedStyle(document.body).color"), page.evaluate(BACK)) > 7
            page.get_by_role("button", name="Theme: auto").click()
            assert page.evaluate("document.documentElement.dataset.theme") == "light"


BACK = "getComputedStyle(document.body).backgroundColor"


def contrast(ink: str, paper: str) -> float:
    """WCAG contrast ratio of two css colours."""

    def luminance(text: str) -> float:
        levels = np.array([int(v) for v in re.findall(r"\d+", text)[:3]]) / 255
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted([luminance(ink), luminance(paper)])
    return (high + 0.05) / (low + 0.05)


@needs_chromium
def test_twenty_thousand_rows_open_and_filter(chromium: Browser, tmp_path: Path) -> None:
    found = many(2000)
    with opened(chromium, made(tmp_path, found), tab="overlap") as page:
        assert len(content(tmp_path / "board.html")["rows"]) == 20000
        page.get_by_placeholder("Filter methods").fill("method1234")
        expect(page.locator("#panel-overlap table").first.locator("tbody tr")).to_have_count(1)
        page.get_by_role("tab", name="All rows").click()
        page.get_by_placeholder("Filter rows").fill("method0777")
        expect(page.locator("#panel-rows tbody tr")).to_have_count(10)
        page.get_by_role("combobox", name="metric").select_option("metric3")
        expect(page.locator("#panel-rows tbody tr")).to_have_count(1)


def many(methods: int, metrics: int = 10, items: int = 1) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        record(f"method{m:04d}", f"metric{k}", i, 0, float(rng.normal()), anchor=None)
        for m in range(methods)
        for k in range(metrics)
        for i in range(items)
    ]
