"""Metrics of the texture that views make together: the truth, views that disagree, and nulls with reasons."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.run.sweep import run
from syncbench.bench.store.folder import Store
from syncbench.bench.surfaces.atlas import Atlas
from syncbench.bench.surfaces.bake import DENSITY
from syncbench.bench.surfaces.camera import Cameras
from syncbench.bench.surfaces.charts import usable
from syncbench.bench.surfaces.shared import Apart
from syncbench.bench.types import Artifact, Item
from syncbench.datasets.world_meshes import WorldMeshes
from syncbench.metrics.baked_sharpness import BakedSharpness
from syncbench.metrics.clip_text import ClipText
from syncbench.metrics.janus import Janus, from_behind
from syncbench.metrics.kid import Kid
from syncbench.metrics.reprojection import Reprojection
from syncbench.metrics.texel_variance import TexelVariance
from syncbench.metrics.texture_seam_ratio import TextureSeamRatio

METRICS = [BakedSharpness(), BakedSharpness(power=1.0), TextureSeamRatio(), TextureSeamRatio(seams="charts")]


@pytest.fixture(scope="module")
def item() -> Item:
    return WorldMeshes(size=96).items()[8]  # a ring with checks


def shifted(item: Item, by: float) -> Artifact:
    """The true views, each brighter or darker by `by`."""
    views = item.truth["views"].clone()
    sign = torch.tensor([1.0, -1.0]).repeat(len(views) // 2)
    return Artifact(views=(views + by * sign[:, None, None, None]).clamp(0, 1))


def moved(item: Item, by: int) -> Artifact:
    """The true views, each moved sideways by `by` pixels, to and fro."""
    views = item.truth["views"]
    return Artifact(views=torch.stack([v.roll(by if n % 2 else -by, 2) for n, v in enumerate(views)]))


def test_averaging_views_that_agree_loses_nothing_and_others_blur(item: Item) -> None:
    for power, least in ((6.0, 0.9), (1.0, 0.75)):
        metric = BakedSharpness(power=power)
        true, off = metric(Artifact(views=item.truth["views"]), item), metric(moved(item, 4), item)
        assert true.value is not None
        assert off.value is not None
        assert least < true.value < 1.1
        assert off.value < true.value - 0.08
        assert 0.02 < true.coverage < 1


def test_views_of_unlike_brightness_leave_seams_where_they_meet(item: Item) -> None:
    metric = TextureSeamRatio()
    values = [metric(shifted(item, by), item).value for by in (0.0, 0.05, 0.15)]
    assert all(value is not None for value in values)
    assert values == sorted(values), "the more unlike, the more they show"  # type: ignore[type-var]
    assert values[2] > 1.25 * values[0]  # type: ignore[operator]
    noise = Artifact(views=torch.rand(item.truth["views"].shape, generator=torch.Generator().manual_seed(0)))
    charts = TextureSeamRatio(seams="charts")(noise, item)
    assert charts.value == pytest.approx(1, abs=0.1), "noise has no seams at charts"


def test_a_files_own_coordinates_change_no_value(item: Item) -> None:
    """No item's identity knows them, so that a value which did would stay when the file has changed."""
    mesh, cameras, pose = item.surface.shape
    charts = item.surface.unwrapped()
    uv = charts.corners / np.array([charts.width, charts.height])
    placed = Cameras(cameras.extrinsics @ np.linalg.inv(pose), cameras.intrinsics, cameras.height, cameras.width)
    atlas = Atlas.of(replace(mesh, uv=uv, trusted=True), placed, pose)
    assert usable(atlas.shape[0], DENSITY * atlas.scale), "a bake would take them"
    other, made = replace(item, surface=atlas), moved(item, 4)
    for metric in METRICS:
        assert metric(made, item).value == pytest.approx(metric(made, other).value, rel=1e-4)


def test_steps_at_charts_are_seen(item: Item) -> None:
    """Views whose colour is that of their chart: all that changes is at its borders."""
    from syncbench.bench.surfaces.texels import shared_edges

    mesh = item.surface.shape[0]
    chart = torch.from_numpy(shared_edges(mesh, item.surface.unwrapped().corners).charts(len(mesh.faces)))
    seen = item.surface.buffers()
    level = torch.rand(int(chart.max()) + 1, generator=torch.Generator().manual_seed(1))[chart][seen.face.clamp(min=0)]
    soft = 0.02 * torch.rand(level.shape, generator=torch.Generator().manual_seed(2))
    views = (0.9 * level + soft)[:, None].expand(-1, 3, -1, -1).contiguous()
    found = TextureSeamRatio(seams="charts")(Artifact(views=views), item)
    assert found.value is not None
    assert found.value > 3


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.fingerprint()[:40])
def test_nothing_comparable_is_null_with_a_reason(metric: BakedSharpness | TextureSeamRatio, item: Item) -> None:
    views = item.truth["views"]
    nothing = [
        (Artifact(views=views[:3]), item),
        (Artifact(views=views), replace(item, surface=Apart(8, 96, 96))),
        (Artifact(views=torch.full_like(views, 0.5)), item),
    ]
    for artifact, of in nothing:
        score = metric(artifact, of)
        assert score.value is None
        assert score.coverage == 0
        assert score.reason
    held = {name: value for name, value in item.truth.items() if name != "held_extrinsics"}
    score = metric(Artifact(views=views), replace(item, truth=held))
    if getattr(metric, "seams", "views") == "views":
        assert "held_extrinsics" in (score.reason or "")


def test_reprojection_by_the_angle_between_cameras() -> None:
    """All pairs are those within and those beyond an angle: means weigh as their pixels do."""
    item = WorldMeshes(size=96).items()[0]
    views = Artifact(views=torch.rand(item.truth["views"].shape, generator=torch.Generator().manual_seed(3)))
    every, narrow, wide = (
        Reprojection(least=0.0, **how)(views, item) for how in ({}, {"widest": 75.0}, {"narrowest": 75.0})
    )
    assert None not in (every.value, narrow.value, wide.value)
    assert min(narrow.value, wide.value) <= every.value <= max(narrow.value, wide.value)  # type: ignore
    assert wide.coverage < narrow.coverage <= every.coverage
    nothing = Reprojection(narrowest=170.0)(views, item)
    assert "170 to 180 degrees apart" in (nothing.reason or "")
    assert len({Reprojection(**how).fingerprint() for how in ({}, {"widest": 75.0}, {"narrowest": 75.0})}) == 3


@pytest.mark.parametrize("rig", ["syncmvd", "texture"])
def test_cameras_of_published_rigs_are_judged_as_others_are(rig: str) -> None:
    """True views reproject, also through orthographic cameras and from below."""
    item = WorldMeshes(size=96, rig=rig).items()[0]  # type: ignore[arg-type]
    true, other = item.truth["views"], WorldMeshes(size=96, rig=rig).items()[1].truth["views"]  # type: ignore[arg-type]
    for metric in (Reprojection(), TexelVariance()):
        good = metric(Artifact(views=true), item)
        bad = metric(Artifact(views=torch.where(torch.arange(10)[:, None, None, None] % 2 == 0, true, other)), item)
        assert good.value is not None
        assert bad.value is not None
        assert good.value < 0.5 * bad.value
        assert good.coverage > 0.3


def test_the_back_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    item = WorldMeshes(size=32, rig="syncmvd").items()[0]
    assert from_behind(item).nonzero().flatten().tolist() == [4, 9], "180 degrees, and 180 from above; not 135 itself"
    views = item.truth["views"].clone()
    assert "fetch clip" in (Janus(backbone="reference")(Artifact(views=views), item).reason or "")

    class Eyes:
        """Embeds a view by its brightness, and words by whether they name the front."""

        name, fingerprint = "clip[test]", "test"

        def image(self, images: torch.Tensor) -> torch.Tensor:
            level = images.mean((1, 2, 3))
            return torch.stack([level, 1 - level], 1)

        def text(self, words: list[str]) -> torch.Tensor:
            return torch.tensor([[1.0, 0.0] if "front view" in word else [0.0, 1.0] for word in words])

    monkeypatch.setattr(Janus, "provider", lambda self: Eyes())
    views[4], views[9] = 0.9, 0.1
    score = Janus()(Artifact(views=views), item)
    assert (score.value, score.coverage) == (0.5, 0.2)


def test_text_with_directions_asks_each_view_for_its_own_side(monkeypatch: pytest.MonkeyPatch) -> None:
    item = replace(WorldMeshes(size=32, views=4, held=1).items()[0], world=False)
    metric, asked = ClipText(directions=True), []
    artifact = Artifact(views=item.truth["views"])
    assert "fetch clip" in (ClipText(directions=True, backbone="reference")(artifact, item).reason or "")

    class Eyes:
        """Cosine 1 for the front, 0.5 for the back, else 0, whatever is seen."""

        name, fingerprint = "clip[test]", "test"

        def image(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[1.0, 0.0]]).repeat(len(images), 1)

        def text(self, words: list[str]) -> torch.Tensor:
            asked.extend(words)
            shares = [1.0 if "front view" in word else 0.5 if "back view" in word else 0.0 for word in words]
            return torch.tensor([[share, (1 - share**2) ** 0.5] for share in shares])

        def read(self, words: list[str]) -> float:
            return 1.0

    monkeypatch.setattr(ClipText, "provider", lambda self: Eyes())
    score = metric(artifact, item)
    assert asked == [f"{item.prompts[0]}, {side} view" for side in ("front", "left", "back", "right")]
    assert (score.value, score.coverage) == (37.5, 1.0)
    assert "directions" in metric.fingerprint()
    assert "directions" not in ClipText().fingerprint()
    assert "no cameras" in (metric(artifact, replace(item, conditions={})).reason or "")
    assert "4 cameras for 3 views" in (metric(Artifact(views=artifact.views[:3]), item).reason or "")


def test_kid_against_what_the_model_makes_of_each_view_alone(tmp_path: Path) -> None:
    part = {
        "model": "gauss",
        "datasets": [{"id": "world_meshes", "size": 32, "views": 4, "held": 1}],
        "methods": ["independent", "trap@blur"],
        "metrics": ["network_evaluations"],
        "seeds": [0],
        "limit": 3,
        "protocol": {"steps": 2, "guidance": 1.0},
    }
    run(part, tmp_path / "r")
    store = Store(tmp_path / "r")
    items = {one.id: one for one in WorldMeshes(size=32, views=4, held=1).items()[:3]}
    made: dict[str, dict[str, Artifact]] = {}
    for key in store.finished():
        job = store.job(key)
        assert job is not None
        made.setdefault(job.header.method, {})[job.header.item] = store.artifact(key)
    for how in ({}, {"kernel": "gaussian"}):
        metric = Kid(against=str(tmp_path / "r"), backbone="reference", **how)  # type: ignore[arg-type]
        own, blurred = (metric.group(made[name], items) for name in ("independent", "trap@blur"))
        assert all(abs(score.value) < 1e-6 for score in own.values()), "its own views are where they are"  # type: ignore
        assert sum(score.value for score in blurred.values()) > 0  # type: ignore[misc]
        assert metric.fingerprint() != Kid(backbone="reference", **how).fingerprint()  # type: ignore[arg-type]
    others = {f"{name}-other": one for name, one in items.items()}
    said = metric.group({f"{name}-other": made["independent"][name] for name in items}, others)
    assert {score.reason for score in said.values()} == {"the folder has no sample of independent of this item"}
    run({**part, "methods": ["trap@blur"]}, tmp_path / "none")
    with pytest.raises(SyncbenchError, match="no samples of independent"):
        Kid(against=str(tmp_path / "none"), backbone="reference").fingerprint()
    run({**part, "model": "tiny", "methods": ["independent"], "limit": 1}, tmp_path / "r")
    with pytest.raises(SyncbenchError, match="independent by several models, gauss, tiny"):
        Kid(against=str(tmp_path / "r"), backbone="reference").fingerprint()


def test_cmmd_is_its_formula() -> None:
    """With CLIP's unit embeddings and a Gaussian kernel of width 10, over images of unlike items."""
    items = WorldMeshes(size=32, views=2, held=1).items()[:2]
    generator = torch.Generator().manual_seed(4)
    made = [torch.rand(2, 3, 32, 32, generator=generator) for _ in items]
    names = [one.id for one in items]
    metric = Kid(kernel="gaussian", backbone="reference")
    found = metric.group(
        {name: Artifact(views=views) for name, views in zip(names, made, strict=True)},
        dict(zip(names, items, strict=True)),
    )
    embed = metric.provider().embed
    sides = [
        [embed((v * 255).round() / 255).double() for v in views] for views in (made, [i.truth["views"] for i in items])
    ]

    def mean(a: torch.Tensor, b: torch.Tensor) -> float:
        return float(torch.exp(-(a[:, None] - b[None]).square().sum(-1) / 200).mean())

    (a, b), (c, d) = sides
    expected = 1000 * (mean(a, b) + mean(c, d) - mean(a, d) - mean(b, c))
    assert [found[name].value for name in names] == pytest.approx([expected] * 2, rel=1e-6)
    assert metric.fingerprint().startswith("cmmd[reference]")
    with pytest.raises(ValueError, match="gaussian kernel is for CLIP"):
        Kid(kernel="gaussian", backbone="inception")
