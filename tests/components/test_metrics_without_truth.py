"""Metrics that need no truth, or only judgements and cameras: hand-computed cases, other implementations, nulls."""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter
from syncbench.bench.backbones import dino as dino_module
from syncbench.bench.backbones.clip import clip
from syncbench.bench.backbones.dino import Dino
from syncbench.bench.surfaces.light import linear_to_srgb
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Artifact, Item, Metric, SyncbenchError
from syncbench.metrics.clip_direction import ClipDirection
from syncbench.metrics.clip_iqa import ClipIqa, better_chances
from syncbench.metrics.colmap_registered import ColmapRegistered
from syncbench.metrics.epipolar_distance import EpipolarDistance
from syncbench.metrics.frame_clip import FrameClip
from syncbench.metrics.frame_dino import FrameDino
from syncbench.metrics.kid import Kid
from syncbench.metrics.lmse import Lmse, local_error
from syncbench.metrics.reprojected_lpips import ReprojectedLpips
from syncbench.metrics.reprojected_ssim import ReprojectedSsim
from syncbench.metrics.shading_error import ShadingError
from syncbench.metrics.tsed import Tsed
from syncbench.metrics.views.composites import neighbour_composites
from syncbench.metrics.views.epipolar import epipolar_distances, fundamental, seen_keypoints
from syncbench.metrics.views.matches import keypoints, matched
from syncbench.metrics.whdr import Whdr
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.functional.multimodal.clip_iqa import _clip_iqa_compute
from torchmetrics.image.kid import KernelInceptionDistance

from ..analytic import Plain, camera, made, moving, orbit
from .test_metrics_views import decomposed, noise, reason, taken_apart, value, without

# --- epipolar geometry --------------------------------------------------------------------------------------------


def rig(*angles: tuple[float, float], size: int = 128) -> tuple[Tensor, Tensor]:
    cameras = [camera(*one, size) for one in angles]
    return torch.from_numpy(np.stack([e for e, _ in cameras])), torch.from_numpy(np.stack([k for _, k in cameras]))


def projected(points: np.ndarray, extrinsics: Tensor, intrinsics: Tensor) -> Tensor:
    at = intrinsics.numpy() @ (extrinsics.numpy()[:3, :3] @ points + extrinsics.numpy()[:3, 3:])
    return torch.from_numpy(at[:2] / at[2])


def test_exact_matches_lie_on_their_lines_and_moved_ones_as_far_off_as_opencv_says() -> None:
    extrinsics, intrinsics = rig((20, 25), (75, 10))
    intrinsics[1, 0, 0] *= 1.3
    points = np.random.default_rng(0).normal(size=(3, 50)) * 0.4
    a, b = (projected(points, e, k) for e, k in zip(extrinsics, intrinsics, strict=True))
    f = fundamental(extrinsics, intrinsics)
    assert float(epipolar_distances(f, a, b).max()) < 1e-6
    moved = b + 3 * noise(b)
    lines = cv2.computeCorrespondEpilines(a.T.numpy()[:, None], 1, f.numpy())[:, 0]
    back = cv2.computeCorrespondEpilines(moved.T.numpy()[:, None], 2, f.numpy())[:, 0]
    far = [
        np.abs((line * np.c_[at.T.numpy(), np.ones(50)]).sum(1)) / np.hypot(line[:, 0], line[:, 1])
        for line, at in ((lines, moved), (back, a))
    ]
    np.testing.assert_allclose(epipolar_distances(f, a, moved).numpy(), np.mean(far, 0), rtol=1e-6)
    along = torch.from_numpy(np.stack([lines[:, 1], -lines[:, 0]]))
    assert float(epipolar_distances(f, a, b + 5 * along).max()) < 1e-6, "a match may slide along its line"


def sideways(drop: float, size: int = 256, step: int = 12, count: int = 3) -> tuple[Item, Artifact]:
    """A plane of noise seen by cameras that move sideways; every picture is `drop` px lower than the one before."""
    rng = np.random.default_rng(0)
    wall = gaussian_filter(rng.random((size + 100, size + 100, 3)), (2.5, 2.5, 0))
    wall = torch.from_numpy((wall - wall.min()) / np.ptp(wall)).permute(2, 0, 1)
    views = torch.stack(
        [wall[:, 40 - round(drop * k) : 40 - round(drop * k) + size, step * k : step * k + size] for k in range(count)]
    )
    extrinsics = torch.eye(4).repeat(count, 1, 1)
    extrinsics[:, 0, 3] = -torch.arange(count) * step / size
    intrinsics = torch.tensor([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1.0]]).expand(count, 3, 3)
    known = {"extrinsics": extrinsics, "intrinsics": intrinsics}
    item = Item(id="x", family="prior", prompts=("a",), surface=Plain(size), conditions=known)
    return item, made(views.float())


@pytest.mark.parametrize("drop", [0, 1, 3])
@pytest.mark.parametrize("size", [128, 256])
def test_the_distance_is_the_offset_from_the_line_in_pixels_at_256(drop: int, size: int) -> None:
    item, artifact = sideways(drop, size)
    offset = drop * 256 / size
    assert value(EpipolarDistance(), artifact, item) == pytest.approx(offset, abs=0.1)
    for error in (2.0, 4.0, 8.0):
        assert value(Tsed(error=error), artifact, item) == float(offset < error)


def test_tsed_wants_enough_matches_and_counts_pairs() -> None:
    item, artifact = sideways(0)
    views = artifact.views.clone()
    views[2] = noise(views[2]).clamp(0, 1)
    assert value(Tsed(), made(views), item) == 0.5, "the second of two pairs has no matches"
    score = EpipolarDistance()(made(views), item)
    assert score.coverage == 0.5
    assert value(Tsed(pairs="all"), made(views), item) == pytest.approx(1 / 3)
    found = seen_keypoints(artifact, 256)
    count = len(matched(found[0], found[1])[0][0])
    two = made(artifact.views[:2])
    pair = replace(item, conditions={name: one[:2] for name, one in item.conditions.items()})
    assert [value(Tsed(matches=n), two, pair) for n in (count, count + 1)] == [1.0, 0.0]
    assert "key points" in reason(Tsed(matches=9_999), artifact, item)


@pytest.mark.parametrize("size", [128, 256, 400])
def test_key_points_lie_where_the_blobs_are(size: int) -> None:
    """Coordinates count from the corner of the picture: the centre of its first pixel is (0.5, 0.5)."""
    row, column = np.mgrid[0:size, 0:size] + 0.5
    across, down = (column - 0.3 * size) / 1.4, row - 0.7 * size
    blob = np.exp(-(across**2 + down**2) / (2 * (0.02 * size) ** 2))
    found = keypoints(torch.from_numpy(blob).expand(3, -1, -1).float(), 256)
    off = np.abs(found.at - [0.3 * size, 0.7 * size]).max(1)
    assert off.min() < 0.0005 * size, "an eighth of a pixel at 256"


@pytest.mark.parametrize("metric", [EpipolarDistance(), Tsed()])
def test_views_that_cannot_be_matched_have_a_reason(metric: Metric) -> None:
    item, artifact = sideways(0)
    assert "where its cameras are" in reason(metric, artifact, replace(item, conditions={}))
    assert "one view" in reason(
        metric,
        made(artifact.views[:1]),
        replace(item, conditions={name: one[:1] for name, one in item.conditions.items()}),
    )
    assert "3 cameras for 2 views" in reason(metric, made(artifact.views[:2]), item)
    assert reason(metric, torch.full_like(artifact.views, 0.5), item)
    still = {**item.conditions, "extrinsics": torch.eye(4).repeat(3, 1, 1)}
    assert "place" in reason(metric, artifact, replace(item, conditions=still))


# --- judgements, local errors -------------------------------------------------------------------------------------


def flat(albedo: list[list[float]], size: int = 40) -> tuple[Item, Artifact]:
    """A picture whose grey albedo, in linear light, is a few patches."""
    patches = torch.tensor(albedo).repeat_interleave(size // len(albedo), 0)
    picture = patches.repeat_interleave(size // len(albedo[0]), 1).expand(3, -1, -1)
    item = Item(id="x", family="channels", prompts=("a",), surface=Plain(size, ("albedo",)))
    return item, made(linear_to_srgb(picture)[None].float())


def judged(item: Item, rows: list[list[float]], weights: list[float]) -> Item:
    return replace(item, truth={"judgements": torch.tensor(rows), "judgement_weights": torch.tensor(weights)})


def test_whdr_on_a_case_by_hand() -> None:
    item, artifact = flat([[0.2, 0.4], [0.41, 0.8]])
    left, right, low, corner = [0.2, 0.2], [0.7, 0.2], [0.2, 0.7], [0.7, 0.7]
    rows = [
        [*left, *right, 1],  # right: the left one is darker
        [*right, *left, 1],  # wrong: the second is
        [*right, *low, 0],  # right: 2.5 % apart
        [*left, *corner, 0],  # wrong: four times apart
        [*corner, *left, 2],  # right
        [*corner, *left, 1],  # wrong, without weight
    ]
    given = judged(item, rows, [1, 2, 3, 0.5, 0.5, 0])
    score = Whdr()(artifact, given)
    assert score.value == pytest.approx(2.5 / 7)
    assert score.coverage == pytest.approx(5 / 6)
    assert value(Whdr(delta=0.02), artifact, given) == pytest.approx(5.5 / 7), "2.5 % is a difference then"
    assert value(Whdr(balanced=True), artifact, given) == pytest.approx((0.5 / 3.5 + 2 / 3 + 0) / 3)
    plain = made(torch.full_like(artifact.views, 0.5))
    assert value(Whdr(), plain, given) == pytest.approx(3.5 / 7), "one colour is wrong but where they are alike"
    assert value(Whdr(balanced=True), plain, given) == pytest.approx(2 / 3)


def test_whdr_by_the_true_albedo_finds_the_truth_right_and_noise_wrong() -> None:
    item = decomposed()
    assert value(Whdr(), taken_apart(item), item) < 0.05
    wrong = taken_apart(item, albedo=noise(item.truth["albedo"][0]).abs().clamp(0.05, 1))
    assert value(Whdr(), wrong, item) > 0.4


def test_whdr_is_null_with_a_reason() -> None:
    item, artifact = flat([[0.2, 0.4]])
    assert "neither judgements" in reason(Whdr(), artifact, item)
    assert "no judgement" in reason(Whdr(), artifact, judged(item, [[0.1, 0.1, 0.9, 0.9, 1]], [0.0]))
    assert "no judgement" in reason(Whdr(), artifact, replace(item, truth={"judgements": torch.zeros(0, 5)}))
    assert "(n, 5)" in reason(Whdr(), artifact, replace(item, truth={"judgements": torch.zeros(2, 4)}))
    assert "no albedo" in reason(Whdr(), artifact, replace(item, surface=Plain(40, ("shading",))))


def test_lmse_on_cases_by_hand() -> None:
    ones, half = torch.ones(1, 20, 20).double(), torch.ones(1, 20, 20).double()
    half[:, :, :10], half[:, :, 10:] = 1, 3
    assert local_error(ones, half, 20) == pytest.approx(0.2), "best scale 2: 1 of 5 is left"
    assert local_error(0 * ones, half, 20) == pytest.approx(1.0)
    assert local_error(0.3 * half, half, 20) == pytest.approx(0.0, abs=1e-12)
    wide, ramp = torch.ones(1, 20, 40).double(), torch.ones(1, 20, 40).double()
    ramp[:, :, 20:] = 3
    # three windows: the outer two are flat, the middle one is the case above; |y|^2 is 1, 5 and 9 per pixel
    assert local_error(wide, ramp, 20) == pytest.approx(1 / 15)
    assert local_error(wide, 0 * ramp, 20) is None


def test_local_and_shading_errors_are_those_of_the_truth_only_for_other_channels() -> None:
    item = decomposed()
    true = taken_apart(item)
    for metric in (Lmse(), Lmse(channel="albedo"), Lmse(channel="shading"), ShadingError(), ShadingError(scaled=False)):
        small = value(metric, true, item)
        swapped = taken_apart(item, albedo=true.views[2], shading=true.views[0].mean(0, keepdim=True).expand(3, -1, -1))
        assert small < 0.01
        assert value(metric, swapped, item) > 5 * small + 1e-3
    dim = taken_apart(item, albedo=linear_to_srgb(0.5 * item.truth["albedo"][0]))
    assert value(Lmse(channel="albedo"), dim, item) < 1e-3, "a scale is free"
    for metric in (Lmse(), ShadingError()):
        reference = metric.reference(true, item)
        assert reference == pytest.approx(value(metric, true, item), rel=1e-6)
        assert "no shading" in reason(metric, true, without(item, "shading"))
    assert "smaller than a window" in reason(Lmse(window=200), true, item)


# --- reprojected composites ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def around() -> Item:
    return orbit(size=64, count=10, fineness=4)


def test_composites_show_the_neighbours_colours(around: Item) -> None:
    views = around.truth["views"].clone()
    pairs = list(neighbour_composites(made(views), around, "object"))
    assert len(pairs) == 18
    for view, composite, mask, count in pairs:
        assert 0 < int(mask.sum()) <= count
        assert torch.equal(view[:, ~mask], composite[:, ~mask])
        assert float((view - composite)[:, mask].abs().mean()) < 0.03
    views[1] = 0.25
    dark = next(neighbour_composites(made(views), around, "object"))
    assert float((dark[1][:, dark[2]] - 0.25).abs().max()) < 0.01, "the first view's composite has its neighbour's grey"


@pytest.mark.parametrize(
    ("metric", "sign"), [(ReprojectedSsim(), -1), (ReprojectedLpips(), 1), (ReprojectedLpips(backbone="statistics"), 1)]
)
def test_reprojected_scores_fall_with_disagreement(around: Item, metric: Metric, sign: int) -> None:
    views = around.truth["views"]
    losses = [sign * value(metric, (views + s * noise(views)).clamp(0, 1), around) for s in (0, 0.02, 0.05, 0.1)]
    assert losses == sorted(losses)
    assert losses[-1] > losses[0] + (0.02 if getattr(metric, "backbone", None) is None else 1e-5)
    assert "no depth" in reason(metric, views, without(around, "depth"))
    assert "one view" in reason(
        metric, views[:1], replace(around, truth={name: one[:1] for name, one in around.truth.items()})
    )
    assert "only" in reason(replace(metric, least=0.99), views, around)


def test_masked_ssim_is_torchmetrics_map_at_the_compared_pixels(around: Item) -> None:
    artifact = made((around.truth["views"] + 0.05 * noise(around.truth["views"])).clamp(0, 1))
    maps, masks = [], []
    for view, composite, mask, _ in neighbour_composites(artifact, around, "object"):
        full: Any = structural_similarity_index_measure(
            composite[None], view[None], data_range=1.0, return_full_image=True
        )
        maps.append(full[1][0].mean(0)[mask])
        masks.append(mask)
    assert value(ReprojectedSsim(), artifact, around) == pytest.approx(float(torch.cat(maps).mean()), abs=1e-9)


# --- frames -------------------------------------------------------------------------------------------------------


def tiny_dino(_: Any) -> Dino:
    torch.manual_seed(0)
    return Dino(timm.create_model("vit_tiny_patch16_224", num_classes=0), "random", "cpu")


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Item:
    monkeypatch.setattr(FrameDino, "provider", tiny_dino)
    return moving(size=64, frames=6)


@pytest.mark.parametrize("cls", [FrameClip, FrameDino])
def test_lag_curves_are_mean_cosines_of_frames_so_far_apart(cls: Callable[..., Any], passing: Item) -> None:
    views = made(passing.truth["views"])
    network = cls().provider()
    seen = torch.cat([network.image(view[None]) for view in ((views.views * 255).round() / 255)]).double().numpy()
    cosines = 100 * seen @ seen.T
    for lag in (1, 2, 4):
        expected = np.diagonal(cosines, lag).mean()
        assert value(cls(lag=lag), views, passing) == pytest.approx(expected, abs=1e-4)
    assert value(cls(pairs="all"), views, passing) == pytest.approx(cosines[np.triu_indices(6, 1)].mean(), abs=1e-4)
    assert value(cls(lag=5), made(views.views[:1].expand(6, -1, -1, -1)), passing) == pytest.approx(100, abs=1e-3)
    assert "no two that are 6 apart" in reason(cls(lag=6), views, passing)
    prints = {cls(lag=1).fingerprint(), cls(lag=2).fingerprint(), cls(pairs="all").fingerprint()}
    assert len(prints) == 3


def test_dino_without_weights_is_null_and_says_what_brings_them() -> None:
    if FrameDino().provider() is not None:
        pytest.skip("the weights are here")
    assert "syncbench fetch dino" in reason(FrameDino(), moving(size=32, frames=3).truth["views"], moving(size=32))
    assert "no weights" in FrameDino().fingerprint()


def test_dinos_input_is_normalised_as_it_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"depth": 1, "num_classes": 0}  # a file of one block is as good to see the preprocessing
    model = timm.create_model("vit_base_patch16_224.dino", **small)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, tmp_path / "model.safetensors")
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **how: create(name, pretrained, **how, depth=1))
    monkeypatch.setattr(dino_module, "try_to_load_from_cache", lambda repository, file: str(tmp_path / file))
    network = dino_module.dino()
    assert network is not None
    grey = torch.full((1, 3, 224, 224), 124 / 255)
    seen: list[Tensor] = []
    monkeypatch.setattr(network, "_model", lambda pixels: seen.append(pixels) or torch.ones(1, 4))
    network.image(grey)
    expected = (124 / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(seen[0][0, :, 0, 0], expected)
    assert "imagenet norm" in FrameDino().fingerprint()
    assert value(FrameDino(), moving(size=32, frames=3).truth["views"], moving(size=32, frames=3)) == pytest.approx(100)


def test_clip_direction_is_the_cosine_of_both_changes() -> None:
    clip_item = moving(size=64, frames=3)
    true, before = clip_item.truth["views"], clip_item.truth["views"].flip(1)
    item = replace(
        clip_item,
        prompts=("a red ball on a green meadow",),
        source="a blue ball on a green meadow",
        conditions={"video": before},
    )
    network = clip("reference")
    change = torch.cat([network.image(a[None]) - network.image(b[None]) for a, b in zip(true, before, strict=True)])
    text = network.text(item.prompts) - network.text([item.source])
    expected = 100 * float(torch.nn.functional.cosine_similarity(change, text).mean())
    assert value(ClipDirection(), true, item) == pytest.approx(expected, abs=0.05)
    metric = ClipDirection()
    assert "no direction" in reason(metric, before, item)
    assert "in words" in reason(metric, true, replace(item, source=""))
    assert "no source clip" in reason(metric, true, replace(item, conditions={}))
    assert "no direction" in reason(metric, true, replace(item, source=item.prompts[0]))
    assert "syncbench fetch clip" in reason(metric, true, replace(item, world=False))


# --- distributions and quality ------------------------------------------------------------------------------------


class Features(torch.nn.Module):
    """The judge's features, for torchmetrics."""

    def forward(self, images: Tensor) -> Tensor:
        seen = torch.cat([clip("reference").image(image[None]) for image in images])
        return (seen * seen.shape[1] ** 0.5).double()


def drawn(count: int, views: int = 2) -> dict[str, tuple[Item, Artifact]]:
    """Items of random smooth pictures, and artifacts of others."""
    found: dict[str, tuple[Item, Artifact]] = {}
    for k in range(count):
        true, own = (
            gaussian_filter(np.random.default_rng([k, s]).random((views, 3, 64, 64)), (0, 0, 3, 3)) for s in (0, 1)
        )
        known = {"views": torch.from_numpy((4 * (true - 0.5) + 0.5).clip(0, 1)).float()}
        item = Item(id=f"{k}", family="prior", prompts=("a",), world=True, surface=Plain(64), truth=known)
        found[f"{k}"] = item, made(torch.from_numpy((4 * (own - 0.4) + 0.4).clip(0, 1)).float())
    return found


def scores(metric: Kid, some: dict[str, tuple[Item, Artifact]]) -> list[float]:
    answers = metric.group({k: a for k, (_, a) in some.items()}, {k: i for k, (i, _) in some.items()})
    values = [answers[name].value for name in some]
    assert all(v is not None for v in values), answers
    return [v for v in values if v is not None]


def test_kid_is_torchmetrics_with_all_images_in_one_subset() -> None:
    some = drawn(2, views=4)  # with two items every item's value is the distance itself
    their = KernelInceptionDistance(feature=Features(), subsets=1, subset_size=8)
    for item, artifact in some.values():
        their.update((item.truth["views"] * 255).round() / 255, real=True)
        their.update((artifact.views * 255).round() / 255, real=False)
    expected = 1000 * float(their.compute()[0])
    assert scores(Kid(usual=True, backbone="reference"), some) == pytest.approx([expected, expected], rel=1e-6)


def test_kid_compares_images_of_unlike_items_only() -> None:
    some = drawn(2, views=2)
    made_, true = (
        torch.cat([Features()((x * 255).round() / 255) for x in side]).numpy()
        for side in zip(*((a.views, i.truth["views"]) for i, a in some.values()), strict=True)
    )

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        pairs = [(m, n) for m in range(4) for n in range(4) if m // 2 != n // 2]
        return float(np.mean([(a[m] @ b[n] / a.shape[1] + 1) ** 3 for m, n in pairs]))

    expected = 1000 * (mean(made_, made_) + mean(true, true) - 2 * mean(made_, true))
    assert scores(Kid(backbone="reference"), some) == pytest.approx([expected, expected], rel=1e-6)


def test_kid_is_zero_at_the_truth_and_grows_with_distance() -> None:
    some = drawn(6)
    metric = Kid(backbone="reference")
    same = {k: (item, made(item.truth["views"])) for k, (item, _) in some.items()}
    grey = {k: (item, made(torch.full((2, 3, 64, 64), 0.5))) for k, (item, _) in some.items()}
    assert max(map(abs, scores(metric, same))) < 1e-6
    assert np.mean(scores(metric, grey)) > np.mean(scores(metric, some)) > 0
    two = {k: (item, made(item.truth["views"])) for k, (item, _) in drawn(2, views=4).items()}
    assert max(scores(replace(metric, usual=True), two)) < -1, "the usual estimate is below 0 there"


def test_kid_is_null_with_a_reason() -> None:
    some = drawn(3)
    metric = Kid(backbone="reference")

    def reasons(change: Callable[[Item], Item], count: int = 3) -> set[str | None]:
        chosen = dict(list(some.items())[:count])
        answers = metric.group({k: a for k, (_, a) in chosen.items()}, {k: change(i) for k, (i, _) in chosen.items()})
        assert all(one.value is None and one.coverage == 0 for one in answers.values())
        return {one.reason for one in answers.values()}

    assert reasons(lambda i: replace(i, truth={})) == {"the item has no true views to compare with"}
    assert reasons(lambda i: i, 1) == {"a set of images needs at least 2 items with true ones"}
    [said] = reasons(lambda i: replace(i, world=False))
    assert said is not None
    assert "syncbench fetch inception" in said
    with pytest.raises(SyncbenchError, match=r"torch-fidelity|is not in"):
        Kid(backbone="inception").fingerprint()


def test_clip_iqa_is_torchmetrics_formula_and_null_by_the_judge() -> None:
    generator = torch.Generator().manual_seed(0)
    images, words = (torch.nn.functional.normalize(torch.randn(n, 16, generator=generator), dim=1) for n in (5, 2))
    torch.testing.assert_close(better_chances(images, words), _clip_iqa_compute(images, words, ["quality"]))
    strip = Item(id="x", family="overlap", prompts=("a",), world=True, surface=Strip(64, 128, 64))
    if ClipIqa().provider().name == "clip[reference]":
        assert "syncbench fetch clip" in reason(ClipIqa(), torch.zeros(1, 3, 64, 64), strip)


# --- COLMAP -------------------------------------------------------------------------------------------------------


def test_colmap_registers_a_textured_walk_or_says_that_it_is_not_there() -> None:
    item, artifact = relief()
    metric = ColmapRegistered()
    if not find_spec("pycolmap"):
        assert "pip install 'syncbench[colmap]'" in reason(metric, artifact, item)
        assert "not installed" in metric.fingerprint()
        return
    assert value(metric, artifact, item) == 1.0
    assert value(replace(metric, count="points"), artifact, item) > 10
    assert value(metric, noise(artifact.views).abs().clamp(0, 1), item) == 0.0
    assert "one colour" in reason(metric, torch.full_like(artifact.views, 0.5), item)
    assert "one view" in reason(metric, artifact.views[:1], item)


def relief(count: int = 5, size: int = 256) -> tuple[Item, Artifact]:
    """A wall of noise with squares before it that pass faster than the wall, as a sideways walk shows them."""
    rng = np.random.default_rng(0)

    def texture(height: int, width: int) -> np.ndarray:
        soft = gaussian_filter(rng.random((height, width, 3)), (1.5, 1.5, 0))
        return (soft - soft.min()) / np.ptp(soft)

    wall = texture(size, size + 200)
    squares = [
        (int(rng.integers(0, size - 50)), int(rng.integers(20, size - 20)), d, texture(50, 50))
        for d in (1.5, 1.8, 2.1, 2.4, 2.7, 3.0, 1.6, 2.2)
    ]
    views = []
    for k in range(count):
        view = wall[:, 8 * k : 8 * k + size].copy()
        for top, left, speed, own in squares:
            at = left - round(8 * k * speed)
            low, high = max(at, 0), min(at + 50, size)
            if high > low:
                view[top : top + 50, low:high] = own[:, low - at : high - at]
        views.append(view)
    item = Item(id="x", family="frames", prompts=("a",), surface=Plain(size))
    return item, made(torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float())
