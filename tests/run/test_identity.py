"""One name, one thing: prompts, meshes and clips that change under their name are other items, everywhere."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import trimesh
from syncbench.bench.analysis.summary import report_rows
from syncbench.bench.catalogue.content import content_of, digest, distinct_names
from syncbench.bench.catalogue.listing import list_components
from syncbench.bench.catalogue.registry import load, split
from syncbench.bench.gate.gate import gate
from syncbench.bench.report import sheets
from syncbench.bench.report.cells import input_cell, item_of, sheet_cells
from syncbench.bench.report.report import report
from syncbench.bench.run.execute import InProcess
from syncbench.bench.run.job import noise_seed
from syncbench.bench.run.loaded import Loaded
from syncbench.bench.run.plan import plan
from syncbench.bench.run.rescore import rescore
from syncbench.bench.run.sweep import run
from syncbench.bench.store.folder import Store, load_records
from syncbench.bench.suites import recorded
from syncbench.bench.suites.narrow import narrowed
from syncbench.bench.suites.suite import read_suite
from syncbench.bench.surfaces.lazy import Lazy
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Item, Sampling, SyncbenchError
from syncbench.methods.overlap.syncdiffusion import SyncDiffusion

COMPONENTS = Path(__file__).parents[1] / "tiny_components.py"
CROWD = f"{COMPONENTS}:Crowd"
ITEM = Item(id="a", family="overlap", prompts=("a sea",), surface=Strip(16, 64, 16))


def never() -> torch.Tensor:
    raise AssertionError("rendered, only to be hashed")


@pytest.mark.parametrize(
    "change",
    [
        {"prompts": ("a lake",)},
        {"prompts": ("a sea", "a sea")},
        {"protocol": Sampling(negative="blur")},
        {"surface": Strip(16, 80, 16)},
        {"conditions": {"image": torch.zeros(1, 3, 2, 2)}},
        {"conditions": {"image": torch.zeros(1, 3, 2, 2, dtype=torch.float64)}},
        {"conditions": {"picture": torch.zeros(1, 3, 2, 2)}},
        {"truth": {"image": torch.zeros(1, 3, 2, 2)}},
        {"truth": Lazy(canvas=never)},
        {"content": "a file"},
    ],
)
def test_whatever_an_item_holds_is_its_content(change: dict[str, Any]):
    first = replace(ITEM, conditions={"image": torch.zeros(3, 2, 2)})
    assert content_of(replace(first, **change)) != content_of(first)
    assert content_of(replace(first, id="b", protocol=Sampling(steps=3))) == content_of(first), "a name is no content"
    changed = replace(first, **change)
    assert content_of(changed) == content_of(replace(changed))


def test_a_pixel_is_content():
    picture = torch.rand(1, 3, 8, 8)
    other = picture.clone()
    other[0, 0, 0, 0] += 1e-6
    first, second = (replace(ITEM, conditions={"image": one}) for one in (picture, other))
    assert content_of(first) != content_of(second)
    assert content_of(first) == content_of(replace(ITEM, conditions={"image": picture.clone()}))


def test_rounding_errors_of_processors_are_no_content():
    turned = np.array([[np.cos(np.pi / 2), -0.0], [1e-17, 1.0]])
    assert digest([turned, 0.1 + 0.2, -0.0]) == digest([np.array([[0, 0], [0, 1.0]]), 0.3, 0.0])
    assert digest([turned]) != digest([turned + 1e-6])
    assert digest([turned]) != digest([turned.reshape(-1)])


OWN = ("meshes", "videos", "photos", "posed_views", "shape_pairs", "prompts", "spheres")
"""Data sets that need a user's files."""


@pytest.mark.parametrize("name", [c.id for c in list_components("datasets") if c.id not in OWN])
def test_items_of_the_tree_differ_in_content_and_hash_without_rendering(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Lazy, "__getitem__", lambda self, name: never())
    items, again = load("datasets", name).items(), load("datasets", name).items()
    found = [content_of(item) for item in items]
    assert len(set(found)) == len(found)
    assert found == [content_of(item) for item in again]
    assert all(item.content for item in items if isinstance(item.truth, Lazy))


def test_the_noise_of_an_item_does_not_know_its_content():
    assert noise_seed("panoramas", "00-purple-sea", 0) == 266706656810704674


@pytest.fixture
def prompts(tmp_path: Path, tiny_suite: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """A prompt file, and a suite of it."""
    file = tmp_path / "p.txt"
    file.write_text("a cat\na dog\n")
    data = {"id": "prompts", "path": str(file), "width": 64, "window": 16}
    metrics = [CROWD, "network_evaluations"]
    return file, {**tiny_suite, "datasets": [data], "metrics": metrics, "seeds": [0], "limit": 9}


def test_a_line_added_to_a_prompt_file_is_seen(prompts: tuple[Path, dict[str, Any]], results: Path, tmp_path: Path):
    file, suite = prompts
    before = run(suite, results)
    assert before["content"].nunique() == 2
    assert gate(results, results).code == 0
    file.write_text("a fish\na cat\na dog\n")
    after = run(suite, results)
    assert set(after["item"]) == {"line-0001", "line-0002", "line-0003"}
    assert set(after["status"]) == {"ok"}
    assert not after["value"].isna().any(), "groups that hold what is no more are made again"
    assert not set(after["key"]) & set(before["key"])

    every = load_records([results])
    table = report_rows(every)
    of = table[(table["metric"] == "network_evaluations") & (table["method"] == "independent")].iloc[0]
    assert (of["n_items"], of["n_seeds"]) == (5, 1), "old and new lines are other items, never seeds of one"
    past = every[(every["metric"] != "network_evaluations") & every["key"].isin(before["key"])]
    assert len(past) == len(before) / 2
    assert set(past["status"]) == {"ok"}
    assert past["value"].isna().all()
    assert "has changed since" in past["reason"].iloc[0]

    fresh = tmp_path / "fresh"
    run(suite, fresh)
    old = tmp_path / "old"
    file.write_text("a cat\na dog\n")
    run(suite, old)
    refused = gate(fresh, old)
    assert refused.code == 2
    assert "2 items of overlap / prompts" in refused.headline
    assert "changed under the same id, first 'line-0001' (content " in refused.headline
    assert "not comparable" in refused.text()


def test_groups_stay_as_they_are_until_something_changes(prompts: tuple[Path, dict[str, Any]], results: Path):
    file, suite = prompts
    run(suite, results)
    groups = Store(results).groups()
    run(suite, results)
    file.write_text("a whale\n")
    rescore(results, InProcess(), trust=True)
    assert Store(results).groups() == groups, "scores of samples whose items are all gone are kept"


def test_what_changes_while_a_sweep_runs_is_that_jobs_error(
    prompts: tuple[Path, dict[str, Any]], results: Path, monkeypatch: pytest.MonkeyPatch
):
    file, suite = prompts

    def listen(event: Any) -> None:
        if event.phase == "sample" and event.done == 0:
            file.write_text("a cat\na wolf\n")

    made = run(suite, results, jobs=2, progress=listen)  # workers read the file again
    failed = made[made["status"] == "error"]
    assert set(failed["item"]) == {"line-0002"}
    assert "'line-0002' of prompts[" in failed["reason"].iloc[0]
    assert "has changed since the sweep was planned: run again" in failed["reason"].iloc[0]


def box(path: Path, *size: float) -> None:
    library: Any = trimesh
    path.parent.mkdir(parents=True, exist_ok=True)
    library.creation.box(size).export(path)


def test_two_meshes_of_one_name_are_two_items(tmp_path: Path, tiny_suite: dict[str, Any]):
    found: dict[str, Path] = {}
    for name, size in (("v1", (1, 1, 1)), ("v2", (1, 2, 1))):
        box(tmp_path / name / "part.obj", *size)
        data = {"id": "meshes", "path": str(tmp_path / name / "part.obj"), "prompt": "a part", "views": 2, "held": 1}
        suite = {**tiny_suite, "datasets": [{**data, "size": 16}], "methods": ["independent"], "seeds": [0]}
        found[name] = tmp_path / f"out-{name}"
        made = run({**suite, "metrics": ["network_evaluations"]}, found[name])
        assert set(made["item"]) == {"part"}
        assert set(made["status"]) == {"ok"}
    one, other = (load_records([folder]) for folder in found.values())
    assert set(one["content"]) != set(other["content"])
    assert gate(found["v1"], found["v1"]).code == 0
    refused = gate(found["v2"], found["v1"])
    assert refused.code == 2
    assert "1 item of geometry / meshes" in refused.headline
    assert "changed under the same id, first 'part' (content " in refused.headline
    table = report_rows(load_records(list(found.values())))
    # the label names the file, not its folder: both are one data set of one name
    assert table["n_items"].tolist() == [2], "two items, not one with two seeds"
    assert "2 items" in report(list(found.values()))


def test_sheets_show_both_and_never_the_input_of_the_other(prompts: tuple[Path, dict[str, Any]], results: Path):
    file, suite = prompts
    run(suite, results)
    file.write_text("a fish\na dog\n")
    run(suite, results)
    jobs = [job for key in Store(results).finished() if (job := Store(results).job(key))]
    cells = sheet_cells(Store(results), jobs, distinct_names(item_of(job) for job in jobs))
    names = {item for _, item in cells}
    assert len(names) == 3
    assert {name.partition(" (")[0] for name in names} == {"line-0001", "line-0002"}
    assert input_cell(jobs[0], Loaded()) is None
    with pytest.raises(SyncbenchError, match="no item 'line-0003'"):
        sheets.show(results, items=["line-0003"])
    assert sheets.show(results, items=["line-0001"])[0].exists()


def planned(suite: dict[str, Any], methods: list[Any]) -> list[Any]:
    [part] = read_suite({**suite, "methods": methods}).parts
    return plan(part, part.models[0], Loaded())


def test_what_a_method_loads_and_how_it_sums_is_its_identity(
    tiny_suite: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    guided = {"id": "syncdiffusion", "guide": "reference"}
    plain, first, other = (
        {job.key for job in planned(tiny_suite, [method])}
        for method in ("syncdiffusion", guided, {**guided, "chunk": 2})
    )
    assert not plain & first
    assert not first & other
    [job, *_] = planned(tiny_suite, [guided])
    assert "syncbench judge" in job.header.params["guide_weights"]
    assert "guide_weights" not in planned(tiny_suite, ["syncdiffusion"])[0].header.params
    monkeypatch.setattr(SyncDiffusion, "loads", lambda self: {"guide_weights": "another judge"})
    assert not {job.key for job in planned(tiny_suite, [guided])} & first
    with pytest.raises(SyncbenchError, match="chunk = 0"):
        load("methods", "syncdiffusion", {"chunk": 0})


def test_truth_where_no_true_picture_is_known_is_planned_as_impossible(
    tmp_path: Path, tiny_suite: dict[str, Any], results: Path
):
    box(tmp_path / "part.obj", 1, 1, 1)
    data = {"id": "meshes", "path": str(tmp_path / "part.obj"), "prompt": "a part", "views": 2, "held": 1, "size": 16}
    made = run({**tiny_suite, "datasets": [data], "methods": ["independent", "truth"], "seeds": [0]}, results)
    said = made.set_index("method").loc["truth"]
    assert (said["status"], said["reason"]) == ("ok", "the dataset knows no true picture of this item")
    assert np.isnan(said["value"])


def test_two_prompt_files_of_one_name_make_two_groups(tmp_path: Path, tiny_suite: dict[str, Any], results: Path):
    data: list[dict[str, Any]] = []
    for name, text in (("e1", "a cat\na dog\n"), ("e2", "a fish\na wolf\na bear\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "p.txt").write_text(text)
        data.append({"id": "prompts", "path": str(tmp_path / name / "p.txt"), "width": 64, "window": 16})
    suite = {**tiny_suite, "methods": ["independent"], "metrics": [CROWD], "seeds": [0], "limit": 9}
    made = run({**suite, "datasets": data}, results)
    assert set(made["status"]) == {"ok"}
    assert sorted(int(value) for value in made["value"]) == [2, 2, 3, 3, 3], "how many each was compared with"
    assert report_rows(made)["n_items"].tolist() == [5]
    # one after the other, in one folder: what the second does not name has no group any more
    apart = tmp_path / "apart"
    for one in data:
        made = run({**suite, "datasets": [one]}, apart)
        assert not made["value"].isna().any()
    assert load_records([apart])["value"].isna().sum() == 2


def test_a_file_that_moved_is_the_same_item(prompts: tuple[Path, dict[str, Any]], results: Path):
    file, suite = prompts
    first = run({**suite, "limit": 1}, results)
    file.with_name("q").mkdir()
    moved = file.rename(file.with_name("q") / "p.txt")
    made = run({**suite, "datasets": [{**suite["datasets"][0], "path": str(moved)}]}, results)
    assert set(first["key"]) < set(made["key"])
    assert set(made["status"]) == {"ok"}
    assert not made["value"].isna().any()


def test_a_picture_that_took_anothers_name_is_not_shown_as_its_input(
    tmp_path: Path, tiny_suite: dict[str, Any], results: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "grey.txt"
    file.write_text("0.25")
    data = {"id": f"{COMPONENTS}:Greys", "path": str(file)}
    run({**tiny_suite, "datasets": [data], "methods": ["independent"], "seeds": [0]}, results)
    [key] = Store(results).finished()
    job = Store(results).job(key)
    loaded = Loaded()
    assert job is not None
    installed = [SimpleNamespace(id=split(job.dataset.spec)[0])]
    monkeypatch.setattr(recorded, "list_components", lambda kind: installed)
    for text in ("0.25", "0.75"):
        file.write_text(text)
        given = input_cell(job, loaded)
        assert given is not None
        assert given.views is not None
        assert float(given.views.mean()) == 0.25, "items are listed once a process"
    loaded.forget_items()
    given = input_cell(job, loaded)
    assert given is not None
    assert given.views is None
    assert "has changed since 'grey' was made" in given.why


@pytest.mark.parametrize("limit", [1, pytest.param(12, marks=pytest.mark.slow)])
def test_jobs_of_the_shipped_records_keep_their_keys(limit: int):
    """`results/quick.parquet` holds the suite `quick`: a run of it into that folder would find everything done."""
    file = Path(__file__).parents[2] / "results" / "quick.parquet"
    if not file.exists():
        pytest.skip("installed, not a checkout")
    kept = set(pd.read_parquet(file, columns=["key"])["key"])
    suite, loaded = narrowed(read_suite("quick"), limit=limit), Loaded()
    keys = {job.key for part in suite.parts for entry in part.models for job in plan(part, entry, loaded)}
    assert len(keys) == 30 * limit
    assert keys <= kept
    assert limit < 12 or keys == kept


@pytest.mark.parametrize("name", ["editing", "texturing"])
def test_jobs_of_the_published_boards_keep_their_keys(name: str):
    """So that a method of one's own can be held against the boards that the guides show, without sampling them."""
    file = Path(__file__).parents[2] / "results" / f"{name}.parquet"
    if not file.exists():
        pytest.skip("installed, not a checkout")
    kept = set(pd.read_parquet(file, columns=["key"])["key"])
    suite, loaded = narrowed(read_suite(name), limit=1, seeds=[0]), Loaded()
    keys = {job.key for part in suite.parts for entry in part.models for job in plan(part, entry, loaded)}
    assert keys
    assert keys <= kept
