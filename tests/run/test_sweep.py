"""Sweeps: identity, pairing, resuming, failures as records, shards, processes."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from syncbench.bench.backbones.judge import judge
from syncbench.bench.catalogue.listing import list_components
from syncbench.bench.catalogue.registry import load, split
from syncbench.bench.catalogue.roles import primary_of, role_of
from syncbench.bench.errors import DamagedWarning, SyncbenchError
from syncbench.bench.run.events import Event
from syncbench.bench.run.execute import InProcess
from syncbench.bench.run.job import job_key, noise_seed
from syncbench.bench.run.loaded import Loaded
from syncbench.bench.run.measure import measured, peak_resident
from syncbench.bench.run.plan import plan, shard
from syncbench.bench.run.rescore import rescore
from syncbench.bench.run.sweep import parse_shard, run, sweep
from syncbench.bench.store.folder import Store, load_records
from syncbench.bench.suites.narrow import narrowed
from syncbench.bench.suites.suite import Entry, read_suite
from syncbench.bench.types import FAMILIES, Record

HERE = str(Path(__file__).parents[1] / "tiny_components.py")
COSTS = ["seconds", "peak_memory"]


def comparable(frame: pd.DataFrame) -> pd.DataFrame:
    """Records without what differs from run to run."""
    frame = frame[~frame["metric"].isin(COSTS)]
    return frame.sort_values(["key", "metric"]).reset_index(drop=True)


def changed(suite: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**suite, **values}


class Ear:
    """Counts what a run did."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def done(self, phase: str) -> int:
        return sum(event.phase == phase and event.done > 0 for event in self.events)


def test_a_sweep_is_fully_crossed_and_its_records_are_complete(tiny_suite: dict[str, Any], results: Path) -> None:
    frame = run(changed(tiny_suite, metrics=["network_evaluations", "seconds", "peak_memory", "disagreement"]), results)
    assert list(frame.columns) == Record.columns()
    assert len(frame) == 2 * 2 * 2 * 4
    assert not frame.duplicated(["key", "metric"]).any()
    assert len(frame.groupby(["method", "item", "seed"])) == 8
    assert set(frame["method"]) == {"independent", "multidiffusion[stride=0.5]"}
    assert set(frame["status"]) == {"ok"}
    null = frame["value"].isna()
    assert (frame["reason"].notna() == null).all()
    assert set(frame[null]["metric"]) == {"disagreement"}, "windows side by side share no cell"
    counts = frame[frame["metric"] == "network_evaluations"].set_index("method")["value"]
    assert set(counts["independent"]) == {4 * 3}
    assert set(counts["multidiffusion[stride=0.5]"]) == {7 * 3}
    assert (frame[frame["metric"] == "seconds"]["value"] > 0).all()
    assert (frame[frame["metric"] == "peak_memory"]["value"] > 1).all()


def test_running_again_does_nothing_and_widening_does_the_difference(tiny_suite: dict[str, Any], results: Path) -> None:
    first, again, more, metric = Ear(), Ear(), Ear(), Ear()
    before = run(tiny_suite, results, progress=first)
    assert (first.done("sample"), first.done("score")) == (8, 8)
    after = run(tiny_suite, results, progress=again)
    assert again.events == []
    pd.testing.assert_frame_equal(before, after)
    run(changed(tiny_suite, seeds=[0, 1, 2]), results, progress=more)
    assert (more.done("sample"), more.done("score")) == (4, 4)
    wider = changed(tiny_suite, metrics=["network_evaluations", f"{HERE}:Mean"])
    frame = run(wider, results, progress=metric)
    assert (metric.done("sample"), metric.done("score")) == (0, 8)
    assert frame.groupby("metric").size().tolist() == [8, 8]


def test_scores_come_from_the_stored_artifact(tiny_suite: dict[str, Any], results: Path) -> None:
    frame = run(changed(tiny_suite, metrics=[f"{HERE}:Mean"]), results)
    store = Store(results)
    for row in frame.itertuples():
        assert row.value == float(store.artifact(row.key).views.mean())
    for key in store.finished():
        (store.folder(key) / "scores.json").unlink()
    with pytest.raises(
        SyncbenchError, match=r"metric 'tiny_components:Mean' is not installed: name metrics with --metrics"
    ):
        rescore(results, InProcess())
    rescore(results, InProcess(), trust=True)
    pd.testing.assert_frame_equal(comparable(load_records([results])), comparable(frame))


def test_every_method_starts_from_the_same_noise_and_items_from_their_own() -> None:
    assert noise_seed("panoramas", "a", 0) == noise_seed("panoramas", "a", 0)
    seeds = {noise_seed(d, i, s) for d in ("panoramas", "prompts") for i in ("a", "b") for s in (0, 1)}
    assert len(seeds) == 8
    assert max(seeds) < 2**63


def test_seeds_and_methods_change_the_output_and_reruns_do_not(tiny_suite: dict[str, Any], tmp_path: Path) -> None:
    run(tiny_suite, tmp_path / "a")
    run(tiny_suite, tmp_path / "b")
    a, b = Store(tmp_path / "a"), Store(tmp_path / "b")
    assert a.finished() == b.finished()
    pictures = [a.artifact(key).views for key in a.finished()]
    assert all(torch.equal(a.artifact(key).views, b.artifact(key).views) for key in a.finished())
    assert all(not torch.equal(x[:4], y[:4]) for i, x in enumerate(pictures) for y in pictures[:i])


def test_identity_changes_with_what_makes_the_output_and_with_nothing_else(
    tiny_suite: dict[str, Any], tmp_path: Path
) -> None:
    def keys(**values: Any) -> set[str]:
        suite = read_suite(changed(tiny_suite, **values))
        return {job.key for job in plan(suite.parts[0], suite.parts[0].models[0], Loaded())}

    base = keys()
    assert keys() == base
    assert keys(metrics=[], title="x") == base
    assert keys(model={"id": "gauss", "batch": 2}) == base, "how many views go through at once is no identity"
    assert keys(methods=["independent", "multidiffusion"]) & base == keys(methods=["independent"])
    assert keys(seeds=[0]) < base
    for other in (
        {"protocol": {"steps": 4, "guidance": 1.0}},
        {"model": {"id": "gauss", "rough": 0.5}},
        {"datasets": [{"id": "panoramas", "width": 48, "height": 16, "window": 16}]},
        {"seeds": [2, 3]},
    ):
        assert not keys(**other) & base, other
    prompts = tmp_path / "p.txt"
    prompts.write_text("a\n")
    small = {"width": 64, "height": 16, "window": 16}
    mine = keys(datasets=[{"id": "prompts", "path": str(prompts), **small}])
    prompts.rename(tmp_path / "q.txt")
    assert keys(datasets=[{"id": "prompts", "path": str(tmp_path / "q.txt"), **small}]) == mine, "the file moved"
    (tmp_path / "q.txt").write_text("b\n")
    assert keys(datasets=[{"id": "prompts", "path": str(tmp_path / "q.txt"), **small}]) != mine, "the prompt changed"


def test_job_key_is_stable() -> None:
    assert job_key({"a": 1, "b": [1.5, None, "ä"]}) == job_key({"b": [1.5, None, "ä"], "a": 1})
    assert job_key({"a": 1}) == "015abd7f5cc57a2d", "a change here orphans every stored result"


def test_equal_methods_are_run_once(tiny_suite: dict[str, Any], results: Path) -> None:
    methods = ["multidiffusion", {"id": "multidiffusion", "stride": 0.125}]
    assert len(run(changed(tiny_suite, methods=methods), results)) == 4


def test_a_failing_job_is_a_record_and_the_sweep_goes_on(
    tiny_suite: dict[str, Any], results: Path, tmp_path: Path
) -> None:
    cure = tmp_path / "cure"
    methods = [{"id": f"{HERE}:Failing", "cure": str(cure)}, "independent"]
    suite = changed(tiny_suite, methods=methods, metrics=["network_evaluations", f"{HERE}:Crowd"])
    ear = Ear()
    frame = run(suite, results, progress=ear)
    assert len(frame) == 8 * 2
    bad = frame[frame["status"] == "error"]
    assert set(bad["item"]) == {"01-blue-sea"}
    assert len(bad) == 2 * 2
    assert set(bad["reason"]) == {"RuntimeError: a bolt broke"}
    assert bad["value"].isna().all()
    assert sum(event.error is not None for event in ear.events) == 2
    store = Store(results)
    assert "Traceback" in next(job.traceback for k in store.finished() if (job := store.job(k)).status == "error")
    quiet, cured = Ear(), Ear()
    run(suite, results, progress=quiet)
    assert quiet.events == [], "an error is an answer until --retry-errors"
    cure.touch()
    frame = run(suite, results, retry_errors=True, progress=cured)
    assert cured.done("sample") == 2
    assert set(frame["status"]) == {"ok"}
    assert len(frame) == 8 * 2
    crowd = frame[frame["metric"].str.endswith("Crowd")]
    assert (crowd["value"] >= 2).all(), "groups are scored anew when a member joins"


@pytest.mark.parametrize(("kind", "words"), [("nan", "NaN"), ("big", "not [0, 1]")])
def test_output_that_is_no_image_is_an_error(tiny_suite: dict[str, Any], results: Path, kind: str, words: str) -> None:
    frame = run(changed(tiny_suite, methods=[{"id": f"{HERE}:Wrong", "kind": kind}]), results)
    assert set(frame["status"]) == {"error"}
    assert all(words in reason for reason in frame["reason"])


def test_what_cannot_be_is_null_with_a_reason(tiny_suite: dict[str, Any], results: Path) -> None:
    dataset = {**tiny_suite["datasets"][0], "wrap": True}
    frame = run(changed(tiny_suite, methods=[f"{HERE}:Needy", "truth", "independent"], datasets=[dataset]), results)
    assert set(frame["status"]) == {"ok"}
    by_method = frame.groupby("method")["reason"].first().to_dict()
    assert "camera" in by_method["tiny_components:Needy"]
    assert "no true picture" in by_method["truth"]
    assert frame[frame["method"] == "independent"]["value"].notna().all()


@pytest.mark.parametrize(("mood", "status", "words"), [("bad", "error", "ZeroDivisionError"), ("nan", "ok", "nan")])
def test_a_metric_never_yields_nan_and_never_stops_the_sweep(
    tiny_suite: dict[str, Any], results: Path, mood: str, status: str, words: str
) -> None:
    metrics = [{"id": f"{HERE}:Mean", "mood": mood}, "network_evaluations"]
    frame = run(changed(tiny_suite, metrics=metrics), results)
    odd = frame["metric"] != "network_evaluations"
    assert set(frame[odd]["status"]) == {status}
    assert frame[odd]["value"].isna().all()
    assert all(words in reason for reason in frame[odd]["reason"])
    assert frame[~odd]["value"].notna().all()


def test_a_rotten_artifact_fails_its_scores_only_and_is_made_again(tiny_suite: dict[str, Any], results: Path) -> None:
    run(changed(tiny_suite, metrics=[]), results)
    store = Store(results)
    key = store.finished()[0]
    whole = (store.folder(key) / "canvas.png").read_bytes()
    (store.folder(key) / "canvas.png").write_bytes(b"rot")
    done = rescore(results, InProcess(), metrics=["network_evaluations"])
    assert list(done.errors) == [store.job(key).name]
    frame = load_records([results])
    assert set(frame[frame["key"] == key]["status"]) == {"error"}
    assert "does not match its hash" in frame[frame["key"] == key]["reason"].iloc[0]
    assert set(frame[frame["key"] != key]["status"]) == {"ok"}
    ear = Ear()
    with pytest.warns(DamagedWarning, match="does not match its hash"):
        frame = run(tiny_suite, results, progress=ear)
    assert (ear.done("sample"), set(frame["status"])) == (1, {"ok"})
    assert (store.folder(key) / "canvas.png").read_bytes() == whole


def test_shards_partition_the_sweep_and_their_union_is_the_whole(tiny_suite: dict[str, Any], tmp_path: Path) -> None:
    suite = changed(tiny_suite, metrics=["network_evaluations", f"{HERE}:Crowd"])
    whole = run(suite, tmp_path / "whole")
    parts = [run(suite, tmp_path / "joint", shard=f"{i}/3") for i in (1, 2, 3)]
    keys = [set(part["key"]) for part in parts]
    assert sum(map(len, keys)) == len(set().union(*keys)) == whole["key"].nunique()
    pd.testing.assert_frame_equal(comparable(load_records([tmp_path / "joint"])), comparable(whole))
    for i in (1, 2, 3):
        run(tiny_suite, tmp_path / f"apart{i}", shard=f"{i}/3")
    apart = load_records([tmp_path / f"apart{i}" for i in (1, 2, 3)])
    pd.testing.assert_frame_equal(comparable(apart), comparable(whole[whole["metric"] == "network_evaluations"]))


def test_shards_go_by_key_alone(tiny_suite: dict[str, Any]) -> None:
    suite = read_suite(tiny_suite)
    jobs = plan(suite.parts[0], suite.parts[0].models[0], Loaded())
    assert {j.key for j in shard(jobs, 1, 2)} == {j.key for j in shard(jobs[::-1], 1, 2)}
    assert parse_shard("2/4") == (2, 4)
    for bad in ("0/2", "3/2", "1", "a/b", "1/0", "-1/2"):
        with pytest.raises(SyncbenchError, match="--shard"):
            parse_shard(bad)


def test_two_processes_agree_with_one(tiny_suite: dict[str, Any], tmp_path: Path) -> None:
    suite = changed(tiny_suite, metrics=["network_evaluations", "disagreement", f"{HERE}:Mean", f"{HERE}:Crowd"])
    one, two = comparable(run(suite, tmp_path / "1")), comparable(run(suite, tmp_path / "2", jobs=2))
    assert one["key"].tolist() == two["key"].tolist()
    # Threads may change the order of sums: at most one grey level anywhere, so means agree far closer.
    assert (one["value"] - two["value"]).abs().max() < 1e-4
    a, b = Store(tmp_path / "1"), Store(tmp_path / "2")
    assert all(float((a.artifact(k).views - b.artifact(k).views).abs().max()) <= 1 / 255 + 1e-6 for k in a.finished())


def test_narrowing_keeps_a_suites_own_overrides(tiny_suite: dict[str, Any]) -> None:
    suite = read_suite(tiny_suite)
    assert [m.label for m in narrowed(suite, methods=["multidiffusion"]).listed("methods")] == [
        "multidiffusion[stride=0.5]"
    ]
    assert [m.label for m in narrowed(suite, methods=["feather"]).listed("methods")] == ["feather"]
    again = narrowed(suite, overrides=["multidiffusion.stride=0.250", "protocol.steps=2", "gauss.batch=2"])
    assert [m.label for m in again.listed("methods")] == ["independent", "multidiffusion[stride=0.25]"]
    assert again.parts[0].protocol["steps"] == "2"
    for bad, words in [
        ("multidifusion.stride=1", "did you mean 'multidiffusion'"),
        ("multidiffusion.stride=x", "float"),
    ]:
        with pytest.raises(SyncbenchError, match=words):
            narrowed(suite, overrides=[bad])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"metods": ["independent"]}, "unknown key 'metods': did you mean 'methods'"),
        ({"methods": ["indepedent"]}, "did you mean 'independent'"),
        ({"methods": []}, "'methods' is missing or empty"),
        ({"methods": [3]}, "neither a name nor a table"),
        ({"methods": "independent"}, "must be a list"),
        ({"models": ["gauss"]}, "either 'model' or 'models'"),
        ({"seeds": ["a"]}, "seeds"),
        ({"seeds": []}, "seeds"),
        ({"limit": 0}, "limit"),
        ({"protocol": 3}, "protocol"),
        ({"metrics": ["seam_rato"]}, "did you mean 'seam_ratio'"),
    ],
)
def test_typos_in_a_suite_are_named(tiny_suite: dict[str, Any], values: dict[str, Any], words: str) -> None:
    with pytest.raises(SyncbenchError) as caught:
        read_suite(changed(tiny_suite, **values))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"protocol": {"stps": 3}}, "protocol has no field 'stps'"),
        ({"protocol": {"steps": "many"}}, "protocol.steps = many"),
        ({"items": ["nowhere"]}, "no item 'nowhere'"),
        ({"methods": [{"id": "multidiffusion", "strid": 1}]}, "did you mean 'stride'"),
        ({"datasets": [{"id": "panoramas", "width": 8, "height": 16, "window": 16}]}, "narrower than its window"),
    ],
)
def test_mistakes_stop_a_sweep_before_it_writes(
    tiny_suite: dict[str, Any], results: Path, values: dict[str, Any], words: str
) -> None:
    with pytest.raises(SyncbenchError) as caught:
        run(changed(tiny_suite, **values), results)
    assert words in str(caught.value)
    assert not results.exists()


def test_peak_memory_sees_what_was_used_and_given_back() -> None:
    with measured(torch.device("cpu")) as idle:
        pass
    with measured(torch.device("cpu")) as meter:
        block = torch.ones(64 * 2**20 // 4)
        del block
    assert meter.peak_mb > idle.peak_mb + 40
    assert meter.seconds > idle.seconds
    assert peak_resident() > 0


@pytest.mark.parametrize("name", ["quick", "full", "oracle"])
def test_shipped_suites_name_only_what_exists(name: str) -> None:
    suite = read_suite(name)
    anchors: dict[Any, set[Any]] = {}
    for part in suite.parts:
        for entry in (*part.datasets, *part.methods, *part.metrics):
            entry.load()
        assert len({m.label for m in part.methods}) == len({m.token for m in part.methods})
        for dataset in part.datasets:  # models of one dataset share a leaderboard and its anchors
            anchors.setdefault(dataset.token, set()).update(m.load().anchor for m in part.methods)
    assert all({"floor", "trap", "ceiling"} <= found for found in anchors.values())


def test_quick_covers_every_family_with_floor_shared_attention_and_a_method_of_its_own() -> None:
    suite = read_suite("quick")
    for family in FAMILIES:
        parts = narrowed(suite, families=[family]).parts
        methods = {split(m.spec)[0] for part in parts for m in part.methods}
        metrics = {m.spec for part in parts for m in part.metrics}
        assert {"independent", "batch_attention", "trap", "truth"} <= methods
        assert any(c.family == family for c in list_components("methods") if c.id in methods)
        judges = {name: load("metrics", name) for name in metrics}
        first = {role_of(one, name) for name, one in judges.items() if family in primary_of(one, name)}
        assert {"consistency", "quality", "text", "cost"} <= first
    with pytest.raises(SyncbenchError, match="did you mean 'frames'"):
        narrowed(suite, families=["frame"])
    with pytest.raises(SyncbenchError, match="no dataset of prior"):
        narrowed(read_suite("full"), families=["prior"])


def test_a_misspelt_option_of_run_is_named(tiny_suite: dict[str, Any], results: Path) -> None:
    with pytest.raises(TypeError, match=r"no option 'method' .* did you mean 'methods'"):
        run(tiny_suite, results, method=["independent"])


@pytest.fixture
def two_parts(tiny_suite: dict[str, Any]) -> dict[str, Any]:
    """Strips of two lengths, each with a method and a metric of its own."""
    top = {key: tiny_suite[key] for key in ("model", "protocol", "limit") if key in tiny_suite}
    first = {"datasets": tiny_suite["datasets"], "methods": ["independent"], "metrics": ["network_evaluations"]}
    longer = {**tiny_suite["datasets"][0], "width": 80}
    return {
        **top,
        "parts": [first, {**first, "datasets": [longer], "methods": ["feather"], "metrics": ["disagreement"]}],
    }


def test_parts_of_a_suite_are_crossed_each_for_itself(two_parts: dict[str, Any], results: Path) -> None:
    frame = run(two_parts, results)
    found = set(zip(frame["method"], frame["metric"], strict=True))
    assert found == {("independent", "network_evaluations"), ("feather", "disagreement")}
    assert frame["dataset"].nunique() == 2
    for job in (results / "jobs").iterdir():
        (job / "scores.json").unlink()
    rescore(results, InProcess())
    pd.testing.assert_frame_equal(comparable(load_records([results])), comparable(frame))


def test_a_family_is_scored_before_the_next_is_sampled(tiny_suite: dict[str, Any], results: Path) -> None:
    top = {key: tiny_suite[key] for key in ("model", "protocol")} | {"seeds": [0], "metrics": ["network_evaluations"]}
    channels = {"datasets": [{"id": "world_channels", "count": 2}], "methods": ["truth"]}
    strips = {"datasets": tiny_suite["datasets"], "methods": ["independent"], "limit": 2}
    suite = read_suite({**top, "parts": [strips, channels]})
    seen: dict[str, tuple[int, int]] = {}

    def finished(family: str) -> None:
        rows = load_records([results])
        seen[family] = (int((rows["family"] == "overlap").sum()), int((rows["family"] == "channels").sum()))

    with InProcess() as execute:
        sweep(suite, results, execute, finished=finished)
    assert seen == {"overlap": (2, 0), "channels": (2, 2)}, "in the order of the suite's parts"
    with InProcess() as execute:
        again = sweep(suite, results, execute, finished=finished)
    assert (again.sampled, again.scored, list(seen)) == (0, 0, ["overlap", "channels"])


def test_networks_of_metrics_go_before_a_model_comes(tiny_suite: dict[str, Any], results: Path) -> None:
    network = weakref.ref(judge())
    assert network() is not None, "it stays loaded"
    run(tiny_suite, results)
    gc.collect()
    assert network() is None


def test_narrowing_reaches_the_parts_it_fits(two_parts: dict[str, Any]) -> None:
    suite = read_suite(two_parts)
    assert [p.methods[0].label for p in narrowed(suite, methods=["feather"]).parts] == ["feather"]
    both = narrowed(suite, methods=["multidiffusion"], metrics=["disagreement"]).parts
    assert [[m.label for m in part.methods] for part in both] == [["multidiffusion"], ["multidiffusion"]]
    assert [len(part.metrics) for part in both] == [0, 1], "a metric stays where the suite has it"
    with pytest.raises(SyncbenchError, match="part 2: unknown key 'method'"):
        read_suite({**two_parts, "parts": [two_parts["parts"][0], {"method": ["feather"]}]})
    with pytest.raises(SyncbenchError, match="'parts' must be a list"):
        read_suite({**two_parts, "parts": {}})


def test_the_model_is_released_before_scoring(
    tiny_suite: dict[str, Any], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[Any]] = []
    alive: list[bool] = []

    original = Loaded.model

    def load(self: Loaded, entry: Entry) -> Any:
        model = original(self, entry)
        loaded.append(weakref.ref(model))
        return model

    def listen(event: Event) -> None:
        gc.collect()
        if event.phase == "score":
            alive.append(any(model() is not None for model in loaded))

    monkeypatch.setattr(Loaded, "model", load)
    run(tiny_suite, results, progress=listen)
    assert loaded
    assert alive
    assert not any(alive), "metrics' networks would have to fit in beside it"
