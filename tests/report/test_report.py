"""The report read back: numbers equal the records, nothing unlike is pooled, nothing is lost or injected."""

import io
import json
import re
import time
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from syncbench.bench.analysis import power, stats
from syncbench.bench.analysis.differences import differences
from syncbench.bench.analysis.summary import COLUMNS, report_rows
from syncbench.bench.report import report as reporting
from syncbench.bench.report.report import render
from syncbench.bench.types import SyncbenchError

from ..report_records import METHODS, METRICS, frame, record, records


def cell(table: pd.DataFrame, method: str, metric: str) -> pd.Series:
    found = table[(table["method"] == method) & (table["metric"] == metric)]
    assert len(found) == 1
    return found.iloc[0]


def test_value_is_the_mean_over_items_of_the_mean_over_seeds():
    made = [record("multidiffusion", "seam_ratio", 0, s, v) for s, v in enumerate([1.0, 2.0, 6.0])]
    made += [record("multidiffusion", "seam_ratio", i, 0, v) for i, v in ((1, 5.0), (2, 7.0), (3, 6.5))]
    one = cell(report_rows(frame(made)), "multidiffusion", "seam_ratio")
    assert one["value"] == pytest.approx((3.0 + 5.0 + 7.0 + 6.5) / 4)
    assert (one["n_items"], one["n_seeds"]) == (4, 3)
    exact = stats.interval([3.0, 5.0, 7.0, 6.5])
    assert (one["ci_low"], one["ci_high"]) == pytest.approx((exact.low, exact.high))


def test_rows_carry_the_agreed_columns_first():
    table = report_rows(frame(records()))
    assert list(table.columns) == COLUMNS
    assert COLUMNS[:14] == [
        *("family", "dataset", "model", "method", "metric", "fingerprint", "direction", "value", "ci_low", "ci_high"),
        *("n_items", "n_seeds", "coverage", "reason"),
    ]
    assert len(table) == len(METHODS) * len(METRICS)


def test_nothing_scored_stays_a_row_with_its_reason():
    made = [record("multidiffusion", "seam_ratio", i, 0, None) for i in range(4)]
    one = cell(report_rows(frame(made)), "multidiffusion", "seam_ratio")
    assert np.isnan(one["value"])
    assert (one["n_items"], one["coverage"], one["reason"]) == (0, 0.0, "nothing overlaps")
    assert "[1] nothing overlaps" in render(frame(made), "text")
    parsed = json.loads(render(frame(made), "json"))
    assert parsed[0]["value"] is None


def test_items_without_a_value_are_counted_and_cannot_be_best():
    made = [record("multidiffusion", "seam_ratio", i, 0, 1.3 + 0.01 * i) for i in range(8)]
    made += [record("syncdiffusion", "seam_ratio", i, 0, 1.0 + 0.01 * i if i else None) for i in range(8)]
    table = report_rows(frame(made))
    assert cell(table, "syncdiffusion", "seam_ratio")["reason"] == "1 of 8 items without a value: nothing overlaps"
    made += [record("third", "seam_ratio", i, 0, 1.4 + 0.01 * i) for i in range(8)]
    shown = render(frame(made), "md")
    assert re.findall(r"\*\*([\d.]+) ±", shown) == ["1.335"]


def test_failed_jobs_are_counted_and_shown():
    made = records()
    for one in made:
        if one["method"] == "syncdiffusion" and one["item"] == "item000":
            one.update(value=None, status="error", reason="out of memory", coverage=0.0)
    assert set(report_rows(frame(made)).set_index("method").loc["syncdiffusion", "failed"]) == {2}
    shown = render(frame(made), "text", width=200)
    assert "syncdiffusion: 2 jobs failed." in shown
    assert "out of memory" in shown


@pytest.mark.parametrize(
    "change",
    [{"fingerprint": "other"}, {"metric_version": 2}, {"protocol": {"steps": 50}}, {"revision": "x"}, {"model": "m"}],
)
def test_unlike_rows_are_never_pooled(change: dict[str, object]):
    made = [record("multidiffusion", "seam_ratio", i, 0, 1.0 + i) for i in range(4)]
    made += [record("multidiffusion", "seam_ratio", i, 0, 11.0 + i, key=f"other{i}", **change) for i in range(4)]
    table = report_rows(frame(made))
    assert sorted(table["value"]) == pytest.approx([2.5, 12.5])
    shown = render(frame(made), "text")
    assert not re.search(r"7\.0", shown)
    assert "2.5" in shown
    assert "12.5" in shown


def test_same_job_in_two_folders_counts_once():
    made = records()
    pd.testing.assert_frame_equal(report_rows(frame(made + made)), report_rows(frame(made)))


@pytest.mark.parametrize("format", ["text", "md", "html"])
def test_brief_is_one_small_table_a_board(format: str) -> None:
    made = records(metrics=METRICS | {"overlap_sharpness": ("lower", ""), "peak_memory": ("lower", "MiB")})
    failed = record("multidiffusion", "", 99, 0, None, status="error", key="lost")
    full, brief = (render(frame([*made, failed]), format, brief=b) for b in (False, True))
    for text in ("overlap_sharpness", "peak_memory", "paired differences", "quality, variety, text"):
        assert text in full
        assert text not in brief
    for text in ("seam_ratio", "intra_lpips", "clip_text", "seconds", "1 job failed"):
        assert text in brief
    header = "<table>" if format == "html" else "| method" if format == "md" else "\n method "
    assert brief.count(header) == 1
    assert full.count(header) > 2


def test_span_is_zero_at_the_floor_and_one_at_the_ceiling():
    table = report_rows(frame(records()))
    assert cell(table, "independent", "intra_lpips[reference]")["span"] == pytest.approx(0)
    assert cell(table, "truth", "intra_lpips[reference]")["span"] == pytest.approx(1)
    assert cell(table, "multidiffusion", "intra_lpips[reference]")["span"] == pytest.approx(0.8, abs=0.02)
    assert "(80%)" in render(frame(records()), "text", span=True)
    assert "(80%)" not in render(frame(records()), "text")


def test_best_is_marked_by_direction_and_never_on_an_anchor():
    shown = render(frame(records(items=12)), "text", width=160)
    marked = [line.split()[0] for line in shown.splitlines() for _ in range(line.count("*")) if "±" in line]
    # "seconds" and the two consistency columns are best low, the text score high; distances from 1 tie.
    assert sorted(marked) == [*["multidiffusion"] * 2, *["syncdiffusion"] * 3]
    quality = shown[shown.index("quality") :]
    assert re.search(r"multidiffusion\s.*\*", quality.split("cost")[0])
    assert "clip_text[reference] ↑" in shown
    assert "seam_ratio →1" in shown


def test_anchors_stand_apart():
    shown = render(frame(records()), "text")
    first = shown.index("independent (floor)")
    assert shown.index("syncdiffusion ") < first
    assert "trap (trap)" in shown
    assert "truth (ceiling)" in shown


@pytest.mark.parametrize("width", [60, 100, 160])
def test_text_with_many_metrics_fits_and_loses_nothing(width: int):
    metrics = {f"metric_{i:02d}": ("lower", "px") for i in range(13)}
    made = records(metrics={**METRICS, **metrics})
    shown = render(frame(made), "text", width=width)
    tables = shown[: shown.index("* best, ° second best")]
    assert max(len(line) for line in tables.splitlines() if "│" in line or "┃" in line) <= width
    for name in metrics:
        assert name in tables
    assert "…" not in tables


def test_anchors_and_unranked_methods_have_no_rank():
    made = [r for r in records() if (r["method"], r["metric"]) != ("multidiffusion", "seam_ratio")]
    for format in ("text", "md", "html"):
        assert "None" not in render(frame(made), format, width=200)


def test_the_first_primary_metric_of_the_family_orders_the_board():
    shown = render(frame(records()), "md").splitlines()
    head = next(line for line in shown if line.startswith("| method"))
    assert [cell.split()[0] for cell in head.split("|")[3:-1]] == ["seam_ratio", "intra_lpips\\[reference\\]"]


def test_differences_are_paired_by_item_and_seed():
    made = records()
    found = differences(frame(made))
    one = found[
        (found["a"] == "syncdiffusion") & (found["b"] == "independent") & (found["metric"].str.startswith("intra"))
    ].iloc[0]
    values = (
        frame(made)
        .query("metric == 'intra_lpips[reference]'")
        .pivot_table(index="item", columns="method", values="value")
    )
    exact = stats.interval(values["syncdiffusion"] - values["independent"], tests=2)
    assert (one["difference"], one["ci_low"], one["p"]) == pytest.approx((exact.mean, exact.low, exact.p))
    assert one["tests"] == 2  # two methods are asked whether they are better than the floor
    assert one["better"] == "syncdiffusion"
    assert one["excludes_zero"]
    assert set(found["metric"]) == {"seam_ratio", "intra_lpips[reference]"}


def test_difference_of_a_target_is_that_of_the_distances():
    made = [record("multidiffusion", "seam_ratio", i, 0, 1 + (-1) ** i * (0.4 + i / 100)) for i in range(6)]
    made += [record("independent", "seam_ratio", i, 0, 1.1 + i / 1000) for i in range(6)]
    one = differences(frame(made)).iloc[0]
    assert one["difference"] == pytest.approx(0.425 - 0.1025)
    assert one["better"] == "independent"


def test_a_seed_of_one_method_only_does_not_count():
    made = [
        record(m, "seam_ratio", i, 0, v + i)
        for m, v in (("multidiffusion", 5.0), ("independent", 6.0))
        for i in range(4)
    ]
    made += [record("independent", "seam_ratio", i, 1, 900.0) for i in range(4)]
    assert differences(frame(made)).iloc[0]["difference"] == pytest.approx(-1.0)


def test_no_difference_prints_what_would_be_seen():
    rng = np.random.default_rng(1)
    made = [
        record(m, "seam_ratio", i, 0, 2 + rng.normal()) for m in ("multidiffusion", "independent") for i in range(8)
    ]
    assert "not separable (would show" in render(frame(made), "text", width=200)


def test_unknown_primary_and_format_and_direction_are_one_sentence():
    with pytest.raises(SyncbenchError, match="no metric 'nope' in these results: they hold"):
        differences(frame(records()), ["nope"])
    with pytest.raises(SyncbenchError, match="unknown direction 'up'"):
        report_rows(frame([record("multidiffusion", "seam_ratio", 0, 0, 1.0, direction="up")]))
    with pytest.raises(SyncbenchError, match="unknown format 'docx'"):
        reporting.report([], "docx")


def test_csv_and_json_hold_the_rows():
    table = report_rows(frame(records()))
    read = pd.read_csv(io.StringIO(render(frame(records()), "csv")))
    assert read["value"].to_numpy() == pytest.approx(table["value"].to_numpy(), abs=1e-12)
    parsed = json.loads(render(frame(records()), "json"))
    assert list(parsed[0]) == COLUMNS
    assert [one["value"] for one in parsed] == pytest.approx(list(table["value"]))


class Reader(HTMLParser):
    """Collects tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_html_is_self_contained_and_shows_the_numbers(tmp_path):
    sheet = tmp_path / "sheet.png"
    sheet.write_bytes(b"\x89PNG fake")
    page = render(frame(records()), "html", sheets=[sheet])
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "prefers-color-scheme: dark" in page
    assert "data:image/png;base64,iVBORyBmYWtl" in page
    reader = Reader()
    reader.feed(page)
    value = cell(report_rows(frame(records())), "multidiffusion", "seconds")["value"]
    assert any(text.startswith(f"{value:.2f}") for text in reader.text)


HOSTILE = "<script>alert(1)</script>|[red]*x*"


def test_hostile_names_stay_text():
    made = records()
    for one in made:
        if one["method"] == "syncdiffusion":
            one["method"] = HOSTILE
        one["dataset"] = '"><img src=x onerror=alert(1)>'
    page = Reader()
    page.feed(render(frame(made), "html"))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert HOSTILE in page.text
    assert HOSTILE in render(frame(made), "text", width=220)
    shown = render(frame(made), "md")
    assert "<script>" not in shown.replace("\\<", "")
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in shown.split("**consistency**")[1].splitlines()[2:8]}
    assert len(widths) == 1


def many(methods: int) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    names = ["independent", *(f"m{i}" for i in range(methods))]
    return frame(
        [
            record(m, metric, i, 0, float(k + rng.normal()))
            for k, m in enumerate(names)
            for metric in ("seam_ratio", "overlap_sharpness", "variety")
            for i in range(8)
        ]
    )


def test_with_many_methods_differences_are_from_the_best_and_the_floor_unless_all_are_asked_for():
    made = many(5)
    few, every = differences(made), differences(made, pairs="all")
    means = report_rows(made).query("metric == 'seam_ratio' and anchor.isna()")
    assert len(few) == 5 + 4
    assert len(every) == 5 + 10
    best = few[few["b"] != "independent"]["a"].unique()
    assert len(best) == 1
    assert best[0] in set(means["method"])
    assert "from the best and the floor only" in render(made, "text", width=200)
    assert "from the best and the floor only" not in render(made, "text", width=200, pairs="all")
    assert len(differences(many(3), pairs="all")) == len(differences(many(3))) == 3 + 3


def test_comparisons_are_corrected_for_all_that_answer_the_same_question():
    found = differences(many(5))
    floor = found["b"] == "independent"
    assert set(found[floor]["tests"]) == {5}
    assert set(found[~floor]["tests"]) == {10}  # every two of five, listed or not: the best is picked by the data
    values = many(5).query("metric == 'seam_ratio'").pivot_table(index="item", columns="method", values="value")
    for row in found.to_dict("records"):
        losses = (values[row["a"]] - 1).abs() - (values[row["b"]] - 1).abs()
        exact = stats.interval(losses, tests=row["tests"])
        assert (row["ci_low"], row["ci_high"], row["p"]) == pytest.approx((exact.low, exact.high, exact.p))
        assert isinstance(row["better"], str) == (row["p"] < 0.05)
        assert row["detectable"] == pytest.approx(stats.detectable_effect(8, row["tests"]) * losses.std(ddof=1))


def test_exploratory_metrics_are_corrected_together_and_by_another_rule():
    found = differences(many(5), exploratory=True)
    other = found[found["correction"] == "BH"]
    assert set(found[found["correction"] == "Bonferroni"]["metric"]) == {"seam_ratio"}
    assert set(other["metric"]) == {"overlap_sharpness", "variety"}
    assert set(other["tests"]) == {len(other)}
    values = many(5).pivot_table(index=["metric", "item"], columns="method", values="value")
    alone = [
        stats.interval(values.loc[row["metric"], row["a"]] - values.loc[row["metric"], row["b"]]).p
        for row in other.to_dict("records")
    ]
    assert other["p"].to_numpy() == pytest.approx(stats.benjamini_hochberg(alone))
    shown = other["p"] < 0.05
    assert 0 < shown.sum() < len(other)
    assert (other["excludes_zero"] == shown).all()  # the intervals say what the p-values say
    assert set(differences(many(5))["correction"]) == {"Bonferroni"}


def test_one_line_can_be_compared_with_all_others_for_fewer_comparisons():
    found = differences(many(5), against="m2")
    assert set(found["b"]) == {"m2"}
    assert set(found["a"]) == {"m0", "m1", "m3", "m4"}
    assert set(found["tests"]) == {4}
    assert set(differences(many(5), against="independent")["tests"]) == {5}
    with pytest.raises(SyncbenchError, match="no line 'm9' in these results: they hold"):
        differences(many(5), against="m9")


def test_a_line_without_values_is_left_out_and_breaks_nothing():
    made = [record(m, "overlap_sharpness", i, 0, 1.0 + i + k) for k, m in enumerate(("a", "b")) for i in range(6)]
    made += [record("independent", "overlap_sharpness", i, 0, None) for i in range(6)]
    found = differences(frame(made), exploratory=True)
    told = {(row["a"], row["b"]): row["reason"] for row in found.to_dict("records")}
    nothing = "no item scored for both"
    assert told == {("a", "independent"): nothing, ("b", "independent"): nothing, ("a", "b"): stats.ALIKE}


def test_versions_of_a_method_are_lines_of_their_own():
    made = [
        record("multidiffusion", "seam_ratio", i, 0, value + 0.1 * i, method_version=version, key=f"{version}{i}")
        for version, value in ((1, 1.5), (2, 1.1))
        for i in range(6)
    ]
    found = differences(frame(made))
    assert [{row["a"], row["b"]} for row in found.to_dict("records")] == [{"multidiffusion v1", "multidiffusion v2"}]
    assert found["difference"].abs().tolist() == pytest.approx([0.4])
    assert "multidiffusion v2" in render(frame(made), "text", width=120)


def test_few_items_are_told_what_they_cannot_show():
    made = [record(m, "seam_ratio", i, 0, 2.0 + i + k) for k, m in enumerate("abc") for i in range(4)]
    assert set(differences(frame(made))["better"]) == {None}
    assert "4 items: judged from 6" in set(
        differences(frame(made[:4] + [record("b", "seam_ratio", i, 0, 3.0 + 1.1 * i) for i in range(4)]))["reason"]
    )
    assert "4 items cannot be judged: take at least 6, and 10 for 3 comparisons." in render(
        frame(made), "text", width=200
    )
    assert "take at least" not in render(frame(records(items=24)), "text", width=200)


@pytest.mark.slow
def test_a_hundred_thousand_records_take_seconds():
    metrics = {f"metric_{i:02d}": ("lower", "") for i in range(13)} | {"seam_ratio": METRICS["seam_ratio"]}
    rng = np.random.default_rng(0)
    made = [
        record(f"method{m}", metric, i, 0, float(0.1 * m + rng.normal()))
        for m in range(20)
        for metric in metrics
        for i in range(360)
    ]
    table = frame(made)
    start = time.process_time()
    render(table, "text")
    took = time.process_time() - start
    print(f"{len(table):,} records: {took:.1f} s of one processor")
    assert took < 5


def test_models_stand_beside_each_other_and_never_mix():
    made = [
        record("multidiffusion", "seam_ratio", i, 0, value, model=model, revision=revision, key=f"{model}{revision}{i}")
        for model, revision, value in (("small", "a", 1.5), ("small", "b", 1.4), ("large", "c", 1.1))
        for i in range(6)
    ]
    found = report_rows(frame(made))
    assert sorted(zip(found["model"], found["revision"], found["value"].round(9), strict=True)) == [
        ("large", "c", 1.1),
        ("small", "a", 1.5),
        ("small", "b", 1.4),
    ]
    text = render(frame(made), "text", width=120)
    assert all(f"multidiffusion · {name}" in text for name in ("large", "small a", "small b"))
    pairs = differences(frame(made))
    assert {frozenset((a, b)) for a, b in zip(pairs["a"], pairs["b"], strict=True)} == {
        frozenset({"multidiffusion · small a", "multidiffusion · small b"}),
        frozenset({"multidiffusion · small a", "multidiffusion · large"}),
        frozenset({"multidiffusion · small b", "multidiffusion · large"}),
    }


@pytest.mark.parametrize("exploratory", [False, True])
def test_a_method_without_any_value_is_compared_and_has_the_reason(exploratory: bool):
    metric = "intra_lpips[reference]" if not exploratory else "disagreement"
    made = [record("multidiffusion", metric, i, 0, 1.0 + i) for i in range(4)]
    made += [record("independent", metric, i, 0, None) for i in range(4)]
    made += [record("syncdiffusion", metric, i, 0, None if i else 2.0) for i in range(4)]
    found = differences(frame(made), exploratory=exploratory).set_index(["a", "b"])
    assert set(found.index) == {
        *(("multidiffusion", "independent"), ("syncdiffusion", "independent"), ("syncdiffusion", "multidiffusion")),
    }
    assert found.loc[("multidiffusion", "independent"), "reason"] == "no item scored for both"
    assert (found["n_items"] == [0, 0, 1]).all()
    assert "no item scored for both" in render(frame(made), "md", exploratory=exploratory)
    assert "—" in power.power_text(power.items_for(frame(made), primary=[metric]))


def test_a_line_is_compared_with_the_floor_of_its_own_model_and_of_the_board():
    def of(method: str, model: str, value: float) -> list[dict[str, object]]:
        about = {"model": model, "revision": model[:3]}
        return [
            record(method, "seam_ratio", i, 0, value + i / 10, key=f"{method}{model}{i}", **about) for i in range(6)
        ]

    made = [
        *(of("independent", "reference", 3.0) + of("independent", "views", 2.0)),
        *(of("syncdiffusion", "views", 1.5) + of("multidiffusion", "reference", 2.5)),
    ]
    found = differences(frame(made))
    pairs = list(zip(found["a"], found["b"], strict=True))
    assert pairs[:3] == [
        ("syncdiffusion · views", "independent · views"),
        ("syncdiffusion · views", "independent · reference"),
        ("multidiffusion · reference", "independent · reference"),
    ]
    assert found["difference"].iloc[:2].tolist() == pytest.approx([-0.5, -1.5])
    made += of("truth", "views", 1.0)
    assert "the way from the floor independent · reference (0 %)" in render(frame(made), "text", span=True, width=200)


def test_methods_of_one_label_and_unlike_fields_are_other_lines():
    made = [record("multidiffusion", "seam_ratio", i, 0, 1.0 + i, params={"stride": 0.25}) for i in range(4)]
    other = {"params": {"stride": 0.5}}
    made += [record("multidiffusion", "seam_ratio", i, 0, 11.0 + i, key=f"other{i}", **other) for i in range(4)]
    assert sorted(report_rows(frame(made))["value"]) == pytest.approx([2.5, 12.5])
    named = reporting.tidy(frame(made))["name"].unique()
    assert len(named) == 2
    assert all(re.fullmatch(r"multidiffusion \([0-9a-f]{6}\)", name) for name in named)


def test_items_of_one_id_and_unlike_content_are_never_seeds_of_one():
    made = [record("multidiffusion", "seam_ratio", i, 0, 1.0 + i) for i in range(3)]
    other = {"content": "0123456789ab", "key": "other"}
    made += [record("multidiffusion", "seam_ratio", 1, 0, 100.0, **other)]
    one = cell(report_rows(frame(made)), "multidiffusion", "seam_ratio")
    assert (one["n_items"], one["n_seeds"]) == (4, 1)
    assert one["value"] == pytest.approx((1 + 2 + 3 + 100) / 4)
    page = reporting.tidy(frame(made))
    assert set(page["item"]) == {"item000", "item001 (000000)", "item001 (012345)", "item002"}
    made += [record("independent", "seam_ratio", 1, 0, 5.0, **{**other, "key": "third"})]
    found = differences(frame(made))
    assert found["n_items"].tolist() == [1], "paired with the item of the same content only"
