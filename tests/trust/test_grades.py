"""Report cards where they are read: shipped ones are current, failing ones are marked on every board."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from syncbench.bench.catalogue.listing import list_components
from syncbench.bench.catalogue.registry import load
from syncbench.bench.report.report import render, report
from syncbench.bench.store import parquet as baseline
from syncbench.bench.trust.grades import SHIPPED, Grades, grades
from syncbench.bench.trust.verdicts import Card, Check, Ladder, Rung
from syncbench.bench.types import SyncbenchError

from ..report_records import frame, records

RUNG = Rung(strength=1, change=1.0, low=0.5, high=1.5, items=6)
LADDER = Ladder(
    corruption="shift", breaks="consistency", unit="px", rungs=(RUNG,), rho=1.0, told="notices", smallest=1.0
)
CARD = Card(
    metric="seam_ratio",
    family="overlap",
    role="consistency",
    version=1,
    fingerprint="seam_ratio/v1",
    checks=(Check(name="notices", passed=False, seen="nothing it should"),),
    ladders=(LADDER,),
)
SCORES = [(c.id, f) for c in list_components("metrics") if c.role != "cost" for f in load("metrics", c.id).families]


SILENT = {"revisit_error", "picture_error", "seed_spread", "correspondence", "geodesic_error", "side_flips"}
"""Metrics without a value on the scenes: these lack words for sources, pictures to be made, and a second seed."""
SPARSE = ("self_reconstruction", "prior")
"""A metric and a family whose scenes have too few views for it."""


@pytest.mark.parametrize(("name", "family"), SCORES)
def test_every_metric_has_a_card_of_its_present_version(name: str, family: str) -> None:
    metric = load("metrics", name)
    if "[vgg]" in metric.fingerprint() or "ViT" in metric.fingerprint():
        pytest.skip("published weights are here; shipped cards are of the bundled backbones")
    if hasattr(metric, "lacks") and metric.lacks():
        pytest.skip(metric.lacks())
    grade = grades().of(family, name, metric.version, metric.fingerprint())
    wanted = ("silent",) if name in SILENT or (name, family) == SPARSE else ("passed", "failed")
    assert grade.state in wanted, (
        f"{grade.text}: run `syncbench validate --items 12 --out DIR` and copy DIR/cards to {SHIPPED}"
    )


def test_the_readme_counts_the_cards_and_names_those_that_fail() -> None:
    cards = grades().cards
    said = " ".join((Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split())
    agree = sum(any(check.name == "agrees" and check.passed for check in card.checks) for card in cards)
    assert f"The {len(cards)} cards of this tree" in said
    assert f"{agree} of {len(cards)} cards" in said
    failing = [card.metric for card in cards if not card.passed]
    assert f"{len(failing)} fail, and every board marks them ⚠" in said
    for metric in set(failing):
        assert f"`{metric}`" in said.partition("and every board marks them ⚠")[2][:1_200]


@pytest.mark.parametrize("format", ["text", "md", "html", "tex"])
def test_a_failing_metric_is_marked_with_the_reason(format: str) -> None:
    shown = render(frame(records()), format, grades=Grades((CARD,)), width=200)
    mark = r"\textsuperscript{!}" if format == "tex" else "⚠"
    assert mark in shown
    assert "nothing it should" in shown.replace("\\_", "_")
    assert mark not in render(frame(records()), format, grades=Grades((replace(CARD, checks=()),)), width=200)


@pytest.mark.parametrize(
    ("other", "state"),
    [
        ({}, "failed"),
        ({"checks": ()}, "passed"),
        ({"checks": (), "ladders": ()}, "silent"),
        ({"version": 2}, "unknown"),
        ({"fingerprint": "seam_ratio/v2"}, "unknown"),
        ({"family": "frames"}, "unknown"),
    ],
)
def test_a_card_speaks_for_its_metric_version_fingerprint_and_family(other: dict[str, Any], state: str) -> None:
    assert Grades((replace(CARD, **other),)).of("overlap", "seam_ratio", 1, "seam_ratio/v1").state == state


def test_ones_own_cards_count_and_later_ones_win(tmp_path: Path) -> None:
    fine = replace(CARD, checks=())
    for name, card in (("bad", CARD), ("good", fine)):
        (tmp_path / name / "cards").mkdir(parents=True)
        (tmp_path / name / "cards" / "seam_ratio.json").write_text(json.dumps([card.as_json()]))
    both = grades([tmp_path / "bad", tmp_path / "good" / "cards" / "seam_ratio.json"])
    assert both.of("overlap", "seam_ratio", 1, "seam_ratio/v1").state == "passed"
    file = tmp_path / "r.parquet"
    baseline.write_parquet(frame(records()), file)
    assert "⚠" in report(file, cards=[tmp_path / "bad"])
    assert "Without a report card" in report(file)
    infinite = tmp_path / "infinite.json"
    infinite.write_text(json.dumps([replace(CARD, ladders=(replace(LADDER, rho=float("inf")),)).as_json()]))
    with pytest.raises(SyncbenchError, match="holds no report cards"):
        grades([infinite])
    for path, said in (
        (tmp_path / "nowhere", "cannot read report cards"),
        (file, "holds no report cards"),
        (tmp_path, "no report cards in"),
    ):
        with pytest.raises(SyncbenchError, match=said):
            grades([path])
