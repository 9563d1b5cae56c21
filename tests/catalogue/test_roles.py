"""What a metric is for comes from its class, goes into every record, and decides where its column stands."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from syncbench.bench.analysis.differences import differences
from syncbench.bench.analysis.summary import report_rows
from syncbench.bench.catalogue.listing import list_components
from syncbench.bench.catalogue.registry import load
from syncbench.bench.catalogue.roles import primary_of, role_of
from syncbench.bench.gate.gate import compare
from syncbench.bench.report.report import render
from syncbench.bench.run.measure import machine_name
from syncbench.bench.run.sweep import run
from syncbench.bench.trust.check import check
from syncbench.bench.types import FAMILIES, ROLES, SyncbenchError

from .. import gate_records
from ..report_records import MACHINE, frame, record, records
from ..tiny_components import Clock

COMPONENTS = Path(__file__).parents[1] / "tiny_components.py"
IDS = [component.id for component in list_components("metrics")]
OTHER = "64 CPU cores (Other)"


@pytest.mark.parametrize("name", IDS)
def test_every_metric_has_a_role_that_the_listing_sees(name: str):
    metric = load("metrics", name)
    assert role_of(metric, name) in ROLES
    assert next(c.role for c in list_components("metrics") if c.id == name) == metric.role
    assert set(primary_of(metric, name)) <= set(metric.families)
    presets = set(getattr(metric, "presets", {}))
    assert {key.partition("@")[2] for key in getattr(metric, "primary", {})} <= {"", *presets}


def test_places_within_a_family_and_role_are_all_different():
    for family in FAMILIES:
        judges = {spec: load("metrics", spec) for spec in ("texel_variance@surface", *IDS)}
        found = [(judge.role, primary_of(judge, spec).get(family)) for spec, judge in judges.items()]
        places = [(role, place) for role, place in found if place is not None]
        assert len(set(places)) == len(places)
        assert ("consistency", 1) in places


def test_a_preset_is_primary_only_under_a_key_of_its_own():
    clock = Clock()
    assert primary_of(clock, "clock") == {"overlap": 3}
    assert primary_of(clock, "clock@bad") == {"overlap": 1}
    assert primary_of(clock, "clock@nan") == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Aimless", r"metric \S*:Aimless: it does not say what it is for: give its class `role: "),
        ("Misplaced", r"metric \S*:Misplaced: `primary` must be a table of families and places from 1"),
    ],
)
def test_a_metric_without_a_role_stops_a_sweep_before_it_writes(
    tiny_suite: dict[str, Any], results: Any, name: str, words: str
):
    spec = f"{COMPONENTS}:{name}"
    with pytest.raises(SyncbenchError, match=words):
        run({**tiny_suite, "metrics": [spec]}, results)
    assert not results.exists()
    assert [verdict.promise.split()[0] for verdict in check(spec) if not verdict.kept]


def test_records_say_what_was_measured_of_what_and_where(tiny_suite: dict[str, Any], results: Any):
    metrics = ["seam_ratio", "intra_lpips@statistics", f"{COMPONENTS}:Clock"]
    made = run({**tiny_suite, "metrics": metrics}, results)
    here = machine_name(torch.device("cpu"))
    assert re.fullmatch(r"\d+ CPU cores? \(.+\)", here)
    assert set(made["machine"]) == {here}
    assert all(re.fullmatch("[0-9a-f]{12}", content) for content in made["content"])
    assert made.groupby("item")["content"].nunique().max() == 1
    assert made["content"].nunique() == made["item"].nunique()
    said = made.drop_duplicates("metric").set_index("metric")
    assert said.loc["seam_ratio", ["role", "primary"]].tolist() == ["consistency", 1]
    assert said["primary"].isna().tolist() == [False, True, False]
    clock = said.iloc[2]
    assert (clock["role"], clock["primary"], clock["fingerprint"]) == ("cost", 3, f"mean good, {here}")
    before = {path: path.stat().st_mtime_ns for path in results.rglob("scores.json")}
    run({**tiny_suite, "metrics": metrics}, results)
    assert before == {path: path.stat().st_mtime_ns for path in results.rglob("scores.json")}, "rows count as there"


def test_a_metric_of_any_name_stands_where_its_role_says():
    about = {"role": "cost", "primary": None}
    made = records() + [{**one, "metric": "money", **about} for one in records() if one["metric"] == "seam_ratio"]
    shown = render(frame(made), "md")
    assert "money" in shown[shown.index("**cost**") :]
    assert "money" not in shown[: shown.index("**cost**")]
    assert "money" not in render(frame(made), "md", brief=True)
    every = differences(frame(made), exploratory=True)
    assert "money" not in set(every["metric"]), "costs are not compared"
    assert set(differences(frame(made))["metric"]) == {"seam_ratio", "intra_lpips[reference]"}


def test_brief_has_every_primary_consistency_metric_and_the_first_of_other_roles():
    metrics = ("seam_ratio", "intra_lpips[reference]", "sharpness", "overlap_sharpness", "network_evaluations")
    without = frame(records(metrics=dict.fromkeys(metrics, ("lower", ""))))
    shown = render(without, "md", brief=True)
    assert [name for name in metrics if name.split("[")[0] in shown.replace("\\", "")] == [
        *("seam_ratio", "intra_lpips[reference]", "sharpness", "network_evaluations")
    ]
    both = frame(records(metrics=dict.fromkeys(("seam_ratio", "seconds", "network_evaluations"), ("lower", ""))))
    shown = render(both, "md", brief=True).replace("\\", "")
    assert "seconds" in shown
    assert "network_evaluations" not in shown


def elsewhere(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same records from another machine."""
    there: list[dict[str, Any]] = []
    for one in made:
        fingerprint = str(one["fingerprint"]).replace(MACHINE, OTHER)
        there.append({**one, "machine": OTHER, "fingerprint": fingerprint, "key": f"there-{one['key']}"})
    return there


def test_seconds_of_two_machines_share_no_column_and_no_front():
    def made(method: str, value: float) -> list[dict[str, Any]]:
        both = [record(method, "intra_lpips[reference]", i, 0, value + 0.01 * i) for i in range(4)]
        return both + [record(method, "seconds", i, 0, value) for i in range(4)]

    here, there = made("multidiffusion", 1.0), elsewhere(made("syncdiffusion", 2.0))
    table = report_rows(frame(here + there))
    seconds = table[table["metric"] == "seconds"]
    assert sorted(seconds["fingerprint"]) == [f"seconds/v1, {MACHINE}", f"seconds/v1, {OTHER}"]
    assert table["pareto"].isna().all()
    assert "Pareto" not in render(frame(here + there), "md")
    one = report_rows(frame(here + made("syncdiffusion", 2.0)))
    assert one["pareto"].notna().any(), "on one machine there is a front"
    counted = [
        {**record(method, "network_evaluations", i, 0, 5.0), "key": key}
        for method, key in (("multidiffusion", "multidiffusion-{}-0"), ("syncdiffusion", "there-syncdiffusion-{}-0"))
        for i in range(4)
        for key in [key.format(i)]
    ]
    assert report_rows(frame(here + there + counted))["pareto"].notna().any(), "a count is equal on every machine"


def test_the_gate_leaves_seconds_of_another_machine_alone_unless_asked():
    old = gate_records.run()
    new = pd.DataFrame(elsewhere(old.to_dict("records")))
    new["fingerprint"] = [str(text).replace(gate_records.MACHINE, OTHER) for text in old["fingerprint"]]
    assert compare(new, old).code == 0
    refused = compare(new, old, margins={"seconds": 1.0})
    assert refused.code == 2
    assert (
        f"fingerprint of seconds differs (seconds/1, {gate_records.MACHINE} | seconds/1, {OTHER})" in refused.headline
    )
    mixed = pd.concat([old[old["item"] != "i1"], new[new["item"] == "i1"]])
    said = compare(mixed, mixed, margins={"seconds": 1.0}).headline
    assert "seconds of the candidate is of 2 machines" in said
