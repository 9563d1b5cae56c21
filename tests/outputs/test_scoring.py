"""Scores from Python and in training loops are those of the command line, to the last digit."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import syncbench
import torch
from PIL import Image
from syncbench.bench.analysis.summary import report_rows
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.run.execute import executor
from syncbench.bench.run.rescore import rescore
from syncbench.bench.store.folder import Store, load_records
from syncbench.bench.store.png import encode_png
from syncbench.bench.surfaces.shared import Apart
from syncbench.bench.types import Item, Score
from torch import Tensor

FIELDS = {"width": 96, "height": 32, "window": 32}
METRICS = ["seam_ratio", "intra_lpips", "clip_text", "sharpness", "variety"]
LIMIT = 3


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[str, int], Tensor]]:
    """An imported and scored folder of panoramas of two seeds, and its pictures before they were stored."""
    root, generator = tmp_path_factory.mktemp("stored"), torch.Generator().manual_seed(3)
    made: dict[tuple[str, int], Tensor] = {}
    for item in load("datasets", "panoramas", FIELDS).items()[:LIMIT]:
        for seed in (0, 1):
            low = torch.rand(1, 3, 4, 12, generator=generator)
            picture = torch.nn.functional.interpolate(low, (32, 96), mode="bicubic").clamp(0, 1)[0]
            path = root / "outputs" / str(seed) / f"{item.id}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_png(picture))
            made[item.id, seed] = picture
    fields = [f"panoramas.{name}={value}" for name, value in FIELDS.items()]
    how: dict[str, Any] = {"overrides": fields, "limit": LIMIT, "metrics": METRICS, "anchors": False}
    done = syncbench.import_folder(root / "outputs", "panoramas", root / "out", method="m", **how)
    assert done.no_anchor == ""
    with executor(1) as execute:
        assert rescore(root / "out", execute).errors == {}
    return root / "out", made


def test_score_in_memory_is_what_the_command_line_stores(stored: tuple[Path, dict[tuple[str, int], Tensor]]) -> None:
    root, made = stored
    records = load_records([root]).set_index(["item", "seed", "metric"])
    dataset = load("datasets", "panoramas", FIELDS)
    for seed in (0, 1):
        images = {id: picture for (id, own), picture in made.items() if own == seed}
        frame = syncbench.score(images, dataset=dataset, metrics=METRICS)
        assert len(frame) == LIMIT * len(METRICS)
        for row in frame.to_dict("records"):
            same = records.xs((row["item"], seed), level=("item", "seed")).loc[row["metric"]]
            assert (row["value"], row["coverage"]) == (same["value"], same["coverage"]), row
            assert row["fingerprint"] == same["fingerprint"]


def test_forms_of_images_are_one(stored: tuple[Path, dict[tuple[str, int], Tensor]], tmp_path: Path) -> None:
    (id, _), picture = next(iter(stored[1].items()))
    bytes_ = (picture * 255).round().byte()
    array = bytes_.permute(1, 2, 0).numpy()
    Image.fromarray(array).save(tmp_path / "any.png")
    forms: list[Any] = [picture, picture[None], bytes_, array, Image.fromarray(array), [array], tmp_path / "any.png"]
    fields = [f"panoramas.{name}={value}" for name, value in FIELDS.items()]
    found = [
        syncbench.score(form, item=id, dataset="panoramas", overrides=fields, metrics=["sharpness"]) for form in forms
    ]
    assert {float(frame["value"].iloc[0]) for frame in found} == {float(found[0]["value"].iloc[0])}


def test_a_family_alone_is_enough(tmp_path: Path) -> None:
    clip = torch.rand(4, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    frame = syncbench.score(clip, family="frames", metrics=["sharpness", "warping_error"]).set_index("metric")
    assert frame.loc["sharpness", "value"] > 0
    assert frame.loc["warping_error", "reason"]
    assert list(syncbench.score(clip, family="frames")["item"].unique()) == ["images"]
    with pytest.raises(SyncbenchError, match="did you mean"):
        syncbench.score(clip, family="frames", metrics=["sharpnes"])


@pytest.mark.parametrize(
    ("images", "how", "said"),
    [
        (torch.zeros(4, 3, 8, 8), {}, "give item=, dataset= or family="),
        (torch.zeros(4, 3, 8, 8), {"family": "films"}, "family 'films'"),
        (torch.zeros(4, 1, 8, 8), {"family": "frames"}, r"must be \(3, h, w\)"),
        (torch.full((4, 3, 8, 8), 2.0), {"family": "frames"}, r"numbers in \[0, 1\]"),
        (torch.full((4, 3, 8, 8), torch.nan), {"family": "frames"}, r"numbers in \[0, 1\]"),
        ({"nobody": torch.zeros(3, 8, 8)}, {"dataset": "panoramas"}, "no item 'nobody'"),
        (torch.zeros(3, 8, 8), {"dataset": "panoramas", "item": "00-blue-sea"}, "no item|8 x 8 px"),
        ("nowhere.png", {"dataset": "panoramas", "item": "00-green-meadow"}, "no item|no folder of outputs"),
        (object(), {"family": "frames"}, "not object"),
    ],
)
def test_what_does_not_fit_is_one_line(images: Any, how: dict[str, Any], said: str) -> None:
    with pytest.raises(SyncbenchError, match=said) as error:
        syncbench.score(images, metrics=["sharpness"], **how)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("metric", METRICS)
def test_a_training_metric_is_the_reports_mean(metric: str, stored: tuple[Path, dict[tuple[str, int], Tensor]]) -> None:
    root, made = stored
    rows = {str(row["metric"]): row for row in report_rows(load_records([root])).to_dict("records")}
    dataset = load("datasets", "panoramas", FIELDS)
    one = syncbench.TrainingMetric(metric, dataset=dataset)
    for (id, seed), picture in reversed(made.items()):
        one.update(picture, id, seed)
    value = float(one.compute())
    assert value == rows[metric]["value"], "to the last digit"
    one.reset()
    assert one.places == []
    halves = [syncbench.TrainingMetric(metric, dataset=dataset) for _ in range(2)]
    for number, ((id, seed), picture) in enumerate(made.items()):
        for which in {number % 2, 0 if number < 2 else number % 2}:  # a sampler that pads gives some twice
            halves[which].update(picture, id, seed)
    assert float(_gathered(halves)) == value


def _gathered(parts: list[Any]) -> Tensor:
    """`compute` of the first part as if all parts were processes of one job."""
    first, *others = parts
    names = iter(first._reductions)  # which is the order in which they are gathered

    def gather(mine: Tensor, group: Any = None) -> list[Tensor]:
        name = next(names)
        return [mine, *(torch.cat(getattr(other, name)) if getattr(other, name) else mine[:0] for other in others)]

    first.dist_sync_fn, first.distributed_available_fn = gather, lambda: True
    return first.compute()


class Reasoned:
    """A metric that has no value."""

    version, role, direction, unit, families = 1, "quality", "target:1", "", ("frames",)

    def fingerprint(self) -> str:
        return "none"

    def __call__(self, artifact: Any, item: Item) -> Score:
        return Score.none("it was dark")


def test_a_metric_without_values_gives_nan_and_its_reasons() -> None:
    item = Item(id="a", family="frames", prompts=("",), surface=Apart(2, 8, 8))
    metric = syncbench.TrainingMetric(Reasoned(), items=[item])
    metric.update(torch.rand(2, 3, 8, 8), item)
    assert bool(torch.isnan(metric.compute()))
    assert metric.reasons == {"a": "it was dark"}
    assert metric.higher_is_better is None
    with pytest.raises(SyncbenchError, match="no item 'b'"):
        metric.update(torch.rand(2, 3, 8, 8), "b")
    with pytest.raises(SyncbenchError, match="needs items"):
        syncbench.TrainingMetric("sharpness", items=[])


PROCESS = """
import sys, torch, torch.distributed as dist, syncbench
from syncbench.bench.catalogue.registry import load
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
dataset = load("datasets", "panoramas", {"width": 96, "height": 32, "window": 32})
metric = syncbench.TrainingMetric("sharpness", dataset=dataset)
alone = syncbench.TrainingMetric("sharpness", dataset=dataset, sync_on_compute=False)
for n, item in enumerate(dataset.items()[:3]):
    picture = torch.rand(3, 32, 96, generator=torch.Generator().manual_seed(n))
    alone.update(picture, item)
    if n % 2 == rank:
        metric.update(picture, item)
assert float(metric.compute()) == float(alone.compute()) > 0
"""


@pytest.mark.slow
def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    calls = [[sys.executable, "-c", PROCESS, str(rank), str(tmp_path / "meet")] for rank in range(2)]
    running = [subprocess.Popen(one, stderr=subprocess.PIPE, text=True) for one in calls]
    for process in running:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err


def test_a_store_of_an_import_is_read_as_any(stored: tuple[Path, dict[tuple[str, int], Tensor]]) -> None:
    store = Store(stored[0])
    first = store.artifact(store.finished()[0])
    assert first.canvas is not None
    assert np.isclose(float(first.canvas.max()), 1, atol=0.2)
