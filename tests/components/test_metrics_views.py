"""Metrics of views, clips and channels on scenes in closed form: floors, ladders, guards, and nulls with reasons."""

from collections.abc import Callable
from dataclasses import replace
from math import pi
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.stats import spearmanr
from syncbench.bench.backbones.clip import clip
from syncbench.bench.backbones.perceptual import perceptual
from syncbench.bench.surfaces.light import linear_to_srgb, srgb_to_linear
from syncbench.bench.types import Artifact, Item, Metric, SyncbenchError
from syncbench.datasets.world_channels import WorldChannels
from syncbench.datasets.world_meshes import WorldMeshes
from syncbench.datasets.world_videos import WorldVideos
from syncbench.datasets.world_views import WorldViews
from syncbench.metrics.albedo_error import AlbedoError
from syncbench.metrics.channel_reconstruction import ChannelReconstruction
from syncbench.metrics.clip_text import ClipText
from syncbench.metrics.edge_alignment import EdgeAlignment
from syncbench.metrics.edit_strength import EditStrength
from syncbench.metrics.frame_clip import FrameClip
from syncbench.metrics.normal_error import NormalError
from syncbench.metrics.reprojection import Reprojection
from syncbench.metrics.sharpness import Sharpness
from syncbench.metrics.texel_variance import TexelVariance
from syncbench.metrics.variety import Variety
from syncbench.metrics.views.sampling import (
    bilinear,
    follow_flow,
    in_image,
    inverse_depth,
    lookup_inside,
    project_points,
    surface_edges,
)
from syncbench.metrics.warping_error import WarpingError
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from ..analytic import BALL, Plain, camera, displacement, made, moving, orbit, shoot, srgb, truth

NAMES = ("albedo", "normal", "shading")
VIEWS: list[Metric] = [TexelVariance(), TexelVariance(normalised=True), Reprojection(), Reprojection(statistic="rms")]
CLIPS: list[Metric] = [WarpingError(), WarpingError(over="truth"), WarpingError(over="variance"), WarpingError(gap=3)]
PICTURES: list[Metric] = [ChannelReconstruction(), AlbedoError(), AlbedoError(scaled=False), NormalError()]


@pytest.fixture(scope="module")
def around() -> Item:
    return orbit(size=64, fineness=8)


@pytest.fixture(scope="module")
def passing() -> Item:
    return moving(size=64, fineness=3)


def decomposed(size: int = 96, seed: int = 0, fineness: float = 6.0) -> Item:
    """The ball as a picture to be taken apart."""
    seen = truth([(20, 25)], size, seed=seed, fineness=fineness)
    picture = {"image": seen["views"]}
    return Item(
        id="x",
        family="channels",
        prompts=("a ball",),
        world=True,
        surface=Plain(size, NAMES),
        truth=seen,
        conditions=picture,
    )


def taken_apart(item: Item, **other: Tensor) -> Artifact:
    """The true channels as images, or others in their place."""
    grey = linear_to_srgb((item.truth["shading"][0] / 1.25).clamp(0, 1)).expand(3, -1, -1)
    true = {
        "albedo": linear_to_srgb(item.truth["albedo"][0]),
        "normal": (item.truth["normal"][0] + 1) / 2,
        "shading": grey,
    }
    return made(torch.stack([other.get(name, true[name]).expand(3, -1, -1).float() for name in NAMES]))


def value(metric: Metric, views: Tensor | Artifact, item: Item) -> float:
    score = metric(views if isinstance(views, Artifact) else made(views), item)
    assert score.value is not None, score.reason
    assert 0 < score.coverage <= 1
    assert score.reason is None
    return score.value


def reason(metric: Metric, views: Tensor | Artifact, item: Item) -> str:
    score = metric(views if isinstance(views, Artifact) else made(views), item)
    assert score.value is None
    assert score.coverage == 0
    assert score.reason
    return score.reason


def without(item: Item, *names: str, **more: Tensor) -> Item:
    return replace(item, truth={**{k: v for k, v in item.truth.items() if k not in names}, **more})


def noise(like: Tensor, seed: int = 0) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def blur(images: Tensor, sigma: float) -> Tensor:
    return torch.from_numpy(gaussian_filter(images.numpy(), (0, 0, sigma, sigma), mode="nearest"))


# --- ways between pixels ------------------------------------------------------------------------------------------


def test_lookup_is_scipys_with_centres_at_a_half() -> None:
    image = torch.rand(2, 7, 9, generator=torch.Generator().manual_seed(0)).double()
    xy = torch.rand(2, 50, generator=torch.Generator().manual_seed(1)).double() * torch.tensor([[11.0], [9.0]]) - 1
    expected = [map_coordinates(c, xy.flip(0).numpy() - 0.5, order=1, mode="nearest") for c in image.numpy()]
    np.testing.assert_allclose(bilinear(image, xy).numpy(), expected, atol=1e-12)


def test_whole_asks_for_every_pixel_that_a_lookup_uses() -> None:
    mask = torch.ones(1, 5, 5, dtype=torch.bool)
    mask[0, 2, 2] = False
    xy = torch.tensor([[1.5, 1.4, 1.6, 3.4, 3.6, 2.5], [2.5, 2.5, 2.5, 3.4, 3.6, 2.5]]).double()
    assert lookup_inside(mask, xy).tolist() == [True, True, False, False, True, False]
    assert in_image(torch.tensor([[0.9, 1.0, 4.0, 4.1], [2.0] * 4]), 5, 5).tolist() == [False, True, True, False]


def test_projection_undoes_the_rays_of_the_scene() -> None:
    extrinsics, intrinsics = (torch.from_numpy(x) for x in camera(30, 25, 48))
    seen = shoot(camera(30, 25, 48), 48)
    known = torch.from_numpy(seen["surface"][..., 0] > 0)
    xy, z = project_points(torch.from_numpy(seen["position"])[known].T, extrinsics, intrinsics)
    rows, columns = known.nonzero().T
    torch.testing.assert_close(xy, torch.stack([columns, rows]) + 0.5, check_dtype=False)
    torch.testing.assert_close(z, torch.from_numpy(seen["depth"])[known][:, 0])
    behind = extrinsics[:3, :3].T @ (torch.tensor([[0.0], [0.0], [-1.0]]).double() - extrinsics[:3, 3:])
    assert float(project_points(behind, extrinsics, intrinsics)[1]) == pytest.approx(-1)


def test_planes_have_no_edges_however_slanted_and_outlines_have() -> None:
    plane = shoot(camera(0, 12, 64), 64, ball=False)
    depth = torch.from_numpy(plane["depth"]).permute(2, 0, 1)
    ground = depth[0] > 0
    found = surface_edges(depth, margin=0)[0]
    assert not bool(found[ground.roll(1, 0) & ground].any())  # but the horizon's own row
    between = torch.tensor([[20.3], [60.6]]).double()
    ray = torch.linalg.inv(torch.from_numpy(camera(0, 12, 64)[1])) @ torch.cat([between, torch.ones(1, 1)])
    extrinsics = torch.from_numpy(camera(0, 12, 64)[0])
    way, eye = extrinsics[:3, :3].T @ ray, -extrinsics[:3, :3].T @ extrinsics[:3, 3:]
    assert float(1 / bilinear(inverse_depth(depth), between)) == pytest.approx(float(-eye[2] / way[2]), rel=1e-9)
    ball = torch.from_numpy(shoot(camera(0, 12, 64), 64)["depth"]).permute(2, 0, 1)
    mask = torch.from_numpy(shoot(camera(0, 12, 64), 64)["mask"])[..., 0] > 0
    rim = mask & ~(mask.roll(1, 0) & mask.roll(-1, 0) & mask.roll(1, 1) & mask.roll(-1, 1))
    upper = rim & (torch.arange(64) < 32)[:, None]
    assert bool(surface_edges(ball, margin=0)[0][upper].all())


def test_chained_flow_arrives_where_the_points_are() -> None:
    item = moving(frames=6, step=2)
    depth, ids = item.truth["depth"], item.truth["object"]
    clear = ~torch.stack([surface_edges(depth[t], ids[t]) for t in range(5)])
    xy, kept = follow_flow(item.truth["flow"][:4], (item.truth["visible"][:4] > 0.5) & clear[:4])
    flow, free = displacement(dict(item.truth), 0, 4, 96)
    y, x = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    gap = (xy - (flow + torch.stack([x, y])).reshape(2, -1)).norm(dim=0)
    assert float(kept.double().mean()) > 0.6
    assert float(gap[kept].max()) < 0.05
    assert bool(free.flatten()[kept].all())


def test_light_curves() -> None:
    assert float(srgb_to_linear(torch.tensor(0.5))) == pytest.approx(0.2140411, abs=1e-6)
    x = torch.linspace(0, 1, 100).double()
    torch.testing.assert_close(srgb_to_linear(linear_to_srgb(x)), x, atol=1e-7, rtol=0)
    torch.testing.assert_close(linear_to_srgb(x), torch.from_numpy(srgb(x.numpy())), atol=1e-7, rtol=0)


# --- views of known geometry --------------------------------------------------------------------------------------


def test_views_of_two_greys_differ_by_what_they_are(around: Item) -> None:
    both = {k: v if k.startswith("held_") else v[:2] for k, v in around.truth.items()}
    item = replace(around, truth=both)
    views = torch.tensor([100.0, 130.0]).div(255)[:, None, None, None].expand(2, 3, 64, 64)
    assert value(Reprojection(), views, item) == pytest.approx(30, abs=1e-4)
    assert value(Reprojection(statistic="rms"), views, item) == pytest.approx(30, abs=1e-4)
    assert value(TexelVariance(), views, item) == pytest.approx(30 / 2**0.5, abs=1e-4)


def test_texel_variance_of_noise_is_the_noise_for_any_number_of_views() -> None:
    # Noise on blocks of 4 px survives bilinear lookup nearly whole; on single pixels half of it would be gone.
    for count in (4, 8):
        item = orbit(count=count, fineness=1)
        rough = noise(torch.empty(count, 3, 24, 24)).repeat_interleave(4, 2).repeat_interleave(4, 3)
        found = value(TexelVariance(), (0.5 + 0.06 * rough).clamp(0, 1), item)
        assert 0.75 * 0.06 * 255 < found < 0.06 * 255


def test_reprojection_on_a_plane_is_the_homography(around: Item) -> None:
    """Two cameras over the ground alone: x' ~ K2 [r1 r2 t] ([r1 r2 t]^-1 K1^-1) x, warped by SciPy."""
    angles = [(0.0, 50.0), (20.0, 60.0)]
    seen = truth(angles, 96, ball=False)
    item = Item(id="x", family="geometry", prompts=("a",), world=True, surface=Plain(96), truth=seen)
    views = (seen["views"] + 0.02 * noise(seen["views"])).clamp(0, 1)
    views = (views * 255).round() / 255
    planes = [k @ e[:3, [0, 1, 3]] for e, k in (camera(*a, 96) for a in angles)]
    y, x = np.mgrid[0:96, 0:96] + 0.5
    fronts: list[Tensor] = []
    backs: list[Tensor] = []
    for i, j in ((0, 1), (1, 0)):
        there = planes[j] @ np.linalg.inv(planes[i]) @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
        u, v = there[:2] / there[2]
        # away from the outermost rows, where neither camera has an edge to decide upon
        own = ((x > 3) & (x < 93) & (y > 3) & (y < 93)).ravel()
        ok = own & (u > 3) & (u < 93) & (v > 3) & (v < 93)
        warped = np.stack([map_coordinates(c, [v - 0.5, u - 0.5], order=1) for c in views[j].double().numpy()])
        fronts.append(torch.from_numpy(warped[:, ok]))
        backs.append(views[i].double().flatten(1)[:, ok])
    front, back = torch.cat(fronts, 1), torch.cat(backs, 1)
    l1, rms = (value(Reprojection(region="surface", statistic=s), views, item) for s in ("l1", "rms"))
    # the metric also counts pixels 1 to 3 px from the frame: a few per cent more of the same noise
    assert l1 == pytest.approx(255 * float((front - back).abs().mean()), rel=5e-3)
    psnr = float(peak_signal_noise_ratio(front, back, data_range=1.0))
    assert 20 * np.log10(255 / rms) == pytest.approx(psnr, abs=0.05)


def recolour(views: Tensor, level: float) -> Tensor:
    shift = torch.tensor([[1.0, 0, -1], [-1, 1, 0], [0, -1, 1], [-1, 0, 1], [1, -1, 0], [0, 1, -1]])[..., None, None]
    return (0.6 * views + 0.2 + level * shift).clamp(0, 1)


def shake(views: Tensor, pixels: float) -> Tensor:
    return torch.stack([v.roll(int(pixels) * (1 if k % 2 else -1), -1) for k, v in enumerate(views)])


def grain(views: Tensor, level: float) -> Tensor:
    return (0.6 * views + 0.2 + level * noise(views)).clamp(0, 1)


def soften_some(views: Tensor, sigma: float) -> Tensor:
    return torch.where((torch.arange(len(views)) % 2 > 0)[:, None, None, None], blur(views, sigma), views)


LADDERS = [
    (recolour, [0, 0.02, 0.05, 0.1, 0.2]),
    (shake, [0, 1, 2, 3, 4]),
    (grain, [0, 0.02, 0.05, 0.1, 0.2]),
    (soften_some, [0, 0.5, 1, 2, 4]),
]


@pytest.mark.parametrize(("corrupt", "levels"), LADDERS, ids=lambda x: getattr(x, "__name__", None))
@pytest.mark.parametrize("family", ["views", "clips"])
def test_ladder_of_corruption_is_climbed(family: str, corrupt: Callable[..., Tensor], levels: list[float]) -> None:
    item = orbit(size=64, fineness=6) if family == "views" else moving(size=64, fineness=3)
    for metric in VIEWS if family == "views" else CLIPS:
        values = [value(metric, corrupt(item.truth["views"], level), item) for level in levels]
        assert spearmanr(levels, values).statistic >= 0.9, (metric, values)
        assert values[-1] > 1.5 * values[0]


def test_truth_is_at_the_floor_and_unrelated_views_are_far_from_it(around: Item) -> None:
    true = around.truth["views"]
    unrelated = torch.stack([orbit(size=64, seed=k, fineness=8).truth["views"][k] for k in range(6)])
    swapped = true[[0, 3, 1, 5, 2, 4]]
    for metric, floor in zip(VIEWS, (1.0, 0.03, 1.0, 1.5), strict=True):
        assert value(metric, true, around) < floor
        assert value(metric, unrelated, around) > 15 * value(metric, true, around)
        assert value(metric, swapped, around) > 15 * value(metric, true, around)
    assert value(TexelVariance(normalised=True), unrelated, around) == pytest.approx(1, abs=0.35)


def test_only_the_object_counts_without_its_rim(around: Item) -> None:
    true, mask = around.truth["views"], around.truth["mask"]
    inner = mask.clone()
    for axis in (2, 3):
        inner *= mask.roll(1, axis) * mask.roll(-1, axis)  # a rim pixel shows the object and what is behind it
    dirty = torch.where(inner > 0, true, torch.rand(true.shape, generator=torch.Generator().manual_seed(3)))
    for metric in (*VIEWS, Sharpness()):
        assert value(metric, dirty, around) == value(metric, true, around)


def test_what_hides_the_surface_is_not_taken_for_it(around: Item) -> None:
    """The ground is the object now, and the ball stands in its way: painting the ball anew changes nothing."""
    ground = {k: 1 - around.truth[k] for k in ("mask", "held_mask")}
    ground["mask"], ground["held_mask"] = (
        g * around.truth[p + "surface"] for g, p in zip(ground.values(), ("", "held_"), strict=True)
    )
    item, true = without(around, **ground), around.truth["views"]
    painted = torch.where(around.truth["mask"] > 0, torch.rand(6, 3, 1, 1), true)
    everything = without(around, mask=around.truth["surface"], held_mask=around.truth["held_surface"])
    for metric in VIEWS:
        assert value(metric, painted, item) == value(metric, true, item)
        assert value(metric, painted, everything) > value(metric, true, everything)
    for metric in (TexelVariance(region="surface"), Reprojection(region="surface")):
        assert value(metric, true, around) < 2  # ground behind the ball would be some 30 levels off


def test_blank_and_blurred_views_agree_and_are_caught_by_the_guard(around: Item) -> None:
    true = around.truth["views"]
    blank = true.mean((0, 2, 3), keepdim=True).expand_as(true)
    blank = blank[:1].expand_as(true)
    assert value(TexelVariance(), blank, around) == pytest.approx(0, abs=1e-9)
    assert value(Reprojection(), blank, around) == pytest.approx(0, abs=1e-9)
    assert "constant" in reason(TexelVariance(normalised=True), blank, around)
    sharp = [value(Sharpness(), blur(true, sigma), around) for sigma in (0, 0.5, 1, 2, 4)]
    assert sharp == sorted(sharp, reverse=True)
    assert sharp[3] < 0.6 * sharp[0]
    assert value(Sharpness(), blank, around) == 0


def test_low_contrast_helps_only_where_it_is_said_to(around: Item, passing: Item) -> None:
    for item, plain, normalised in (
        (around, TexelVariance(), TexelVariance(normalised=True)),
        (passing, WarpingError(), WarpingError(over="variance")),
    ):
        full = grain(item.truth["views"], 0.05)
        pale = 0.4 * full + 0.3
        assert value(plain, pale, item) < 0.5 * value(plain, full, item)
        assert value(normalised, pale, item) == pytest.approx(value(normalised, full, item), rel=0.01)


def test_nothing_to_compare_between_views_is_null_with_a_reason(around: Item) -> None:
    true = around.truth["views"]
    alone = replace(around, truth={k: v if k.startswith("held_") else v[:1] for k, v in around.truth.items()})
    level = {**truth([(0, 0), (180, 0)], 64), **truth([(90, 0)], 64, "held_")}
    opposite = replace(around, truth=level)
    empty = without(around, mask=0 * around.truth["mask"], held_mask=0 * around.truth["held_mask"])
    for metric in VIEWS:
        assert "two views" in reason(metric, true[:1], alone) or "one view" in reason(metric, true[:1], alone)
        assert "0.0%" in reason(metric, level["views"], opposite)
        assert "see" in reason(metric, true, empty)
        assert "6 of 64x64" in reason(metric, true[:4], around)
        assert "32x32" in reason(metric, true[..., ::2, ::2].contiguous(), around)
        assert "no depth" in reason(metric, true, without(around, "depth"))
    assert "no held_position" in reason(TexelVariance(), true, without(around, "held_position"))
    assert "no mask" in reason(Sharpness(), true, without(around, "mask"))


# --- clips --------------------------------------------------------------------------------------------------------


def slide(shift: int, size: int = 48, frames: int = 2) -> Item:
    """A square that slides over a resting picture by whole pixels, both textured; all of it by hand."""
    texture = torch.rand(2, 3, size, 3 * size, generator=torch.Generator().manual_seed(5))
    views, ids, flow, visible = [], [], [], []
    for t in range(frames):
        left = 6 + shift * t
        inner = torch.zeros(1, size, size, dtype=torch.bool)
        inner[:, 12:36, left : left + 20] = True
        moved = texture[1].roll(shift * t, -1)[..., :size]
        views.append(torch.where(inner, moved, texture[0][..., :size]))
        ids.append(inner.long())
        nothing = torch.zeros(1, size, size)
        flow.append(torch.cat([inner * float(shift), nothing]))
        covered = torch.zeros_like(inner)
        covered[:, 12:36, left + shift : left + shift + 20] = True
        visible.append((inner | ~covered).float())
    known = {
        "views": torch.stack(views),
        "object": torch.stack(ids),
        "flow": torch.stack(flow[:-1]),
        "visible": torch.stack(visible[:-1]),
    }
    return Item(id="x", family="frames", prompts=("a",), world=True, surface=Plain(size), truth=known)


def test_whole_pixel_motion_has_no_error_and_hidden_pixels_do_not_count() -> None:
    item = slide(3)
    true = item.truth["views"]
    assert value(WarpingError(), true, item) == pytest.approx(0, abs=1e-9)
    hidden = true.clone()
    gone = item.truth["visible"][0] < 0.5
    assert int(gone.sum()) == 3 * 24
    hidden[0] = torch.where(gone, torch.rand(3, 48, 48), hidden[0])
    assert value(WarpingError(), hidden, item) == pytest.approx(0, abs=1e-9)
    blind = without(item, visible=torch.ones_like(item.truth["visible"]), object=0 * item.truth["object"])
    assert value(WarpingError(), hidden, blind) > 0.1


def test_warping_error_by_loops() -> None:
    item = slide(2, frames=3)
    clip = (item.truth["views"] + 0.1 * noise(item.truth["views"])).clamp(0, 1).mul(255).round().div(255)
    image, ids = clip.double().numpy(), item.truth["object"][:, 0].numpy()
    flow, seen = item.truth["flow"][:, 0].numpy().astype(int), item.truth["visible"][:, 0].numpy()

    def near_edge(t: int, y: int, x: int) -> bool:
        """Within two pixels of a boundary: a 4-neighbour of some pixel of the 3x3 block belongs elsewhere."""
        for b, a in ((b, a) for b in range(y - 1, y + 2) for a in range(x - 1, x + 2) if 0 <= b < 48 and 0 <= a < 48):
            for d, c in ((b + 1, a), (b - 1, a), (b, a + 1), (b, a - 1)):
                if 0 <= d < 48 and 0 <= c < 48 and ids[t, d, c] != ids[t, b, a]:
                    return True
        return False

    means, share = [], []
    for t in (0, 1):
        squares = []
        for y, x in ((y, x) for y in range(48) for x in range(48)):
            there = x + flow[t, y, x]
            if not seen[t, y, x] or near_edge(t, y, x) or not (1 <= there <= 46 and 1 <= y <= 46):
                continue
            if not near_edge(t + 1, y, there):
                squares += [(image[t + 1, c, y, there] - image[t, c, y, x]) ** 2 for c in range(3)]
        means.append(np.mean(squares))
        share.append(len(squares) / 3 / 48**2)
    score = WarpingError()(made(clip), item)
    assert score.value == pytest.approx(1000 * np.mean(means), rel=1e-6)
    assert score.coverage == pytest.approx(np.mean(share))


def test_true_clip_is_the_reference_and_wrong_motion_is_worse(passing: Item) -> None:
    true = passing.truth["views"]
    assert value(WarpingError(over="truth"), true, passing) == pytest.approx(1)
    assert value(WarpingError(gap=3, over="truth"), true, passing) == pytest.approx(1)
    frozen, backwards = true[:1].expand_as(true), true.flip(0)
    for wrong in (frozen, backwards, true[[0, 2, 1, 4, 3, 5]]):
        assert value(WarpingError(over="truth"), wrong, passing) > 5


def test_slow_drift_shows_over_long_gaps(passing: Item) -> None:
    true = 0.6 * passing.truth["views"]
    drift = true + torch.linspace(0, 0.3, 6)[:, None, None, None]
    short, long = (value(WarpingError(gap=g, over="truth"), drift, passing) for g in (1, 4))
    assert long > 4 * short


def test_blurred_clips_win_unguarded_and_lose_sharpness(passing: Item) -> None:
    true = passing.truth["views"]
    soft = blur(true, 2)
    assert value(WarpingError(), soft, passing) < value(WarpingError(), true, passing)
    assert value(Sharpness(), soft, passing) < 0.1 * value(Sharpness(), true, passing)


def test_clips_that_cannot_be_followed_are_null_with_a_reason(passing: Item) -> None:
    true = passing.truth["views"]
    assert "no two that are 6 apart" in reason(WarpingError(gap=6), true, passing)
    hidden = without(passing, visible=0 * passing.truth["visible"])
    assert "0.0%" in reason(WarpingError(), true, hidden)
    still = without(passing, flow=0 * passing.truth["flow"], visible=torch.ones_like(passing.truth["visible"]))
    frozen = true[:1].expand_as(true)
    assert "undefined" in reason(WarpingError(over="truth"), true, without(still, views=frozen))
    assert "constant" in reason(WarpingError(over="variance"), torch.full_like(true, 0.5), passing)
    assert "no flow" in reason(WarpingError(), true, without(passing, "flow"))
    assert "no views" in reason(WarpingError(over="truth"), true, without(passing, "views"))
    assert "4 frames" in reason(WarpingError(), true[:4], passing)
    assert "one frame" in reason(FrameClip(), true[:1], passing)
    assert value(WarpingError(), true, without(passing, "depth", "object")) > 0  # edges are then not left out


def test_frame_clip_by_numpy(passing: Item) -> None:
    true, provider = passing.truth["views"], clip(None, None)
    seen = np.concatenate([provider.image(frame[None]).double().numpy() for frame in true])
    table = 100 * seen @ seen.T
    assert value(FrameClip(), true, passing) == pytest.approx(np.diag(table, 1).mean(), rel=1e-6)
    pairs = [table[i, j] for j in range(6) for i in range(j)]
    assert value(FrameClip(pairs="all"), true, passing) == pytest.approx(np.mean(pairs), rel=1e-6)
    assert value(FrameClip(), true[:1].expand_as(true), passing) == pytest.approx(100, abs=1e-3)
    torn = torch.stack([moving(size=64, seed=k, fineness=3).truth["views"][k] for k in range(6)])
    assert value(FrameClip(), torn, passing) < value(FrameClip(), true, passing)


@pytest.mark.parametrize("backbone", ["statistics", "reference"])
def test_edit_strength_exposes_handing_the_source_back(backbone: str, passing: Item) -> None:
    metric, source = EditStrength(backbone=backbone), moving(size=64, seed=9, fineness=3).truth["views"]
    item, true = replace(passing, conditions={"video": source}), passing.truth["views"]
    assert value(metric, source, item) == pytest.approx(0, abs=1e-6)
    assert value(metric, true, item) == pytest.approx(1)
    halfway = [value(metric, source + share * (true - source), item) for share in (0, 0.25, 0.5, 1)]
    assert halfway == sorted(halfway)
    assert "no source" in reason(metric, true, passing)
    assert "nothing to edit" in reason(metric, true, replace(passing, conditions={"video": true}))
    assert "unlike" in reason(metric, true[:3], item)


# --- channels -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def picture() -> Item:
    return decomposed()


def test_true_channels_are_at_the_floor_of_eight_bits(picture: Item) -> None:
    true = taken_apart(picture)
    for scaled in (True, False):
        assert value(ChannelReconstruction(scaled=scaled), true, picture) < 0.006
        assert value(AlbedoError(scaled=scaled), true, picture) < 1e-3
    assert value(NormalError(), true, picture) < 0.3


def test_the_picture_for_its_albedo_reconstructs_and_is_wrong(picture: Item) -> None:
    """The trivial answer: A = I, S white (1.25). Consistent with itself, so only the albedo error sees it."""
    trivial = taken_apart(picture, albedo=picture.truth["views"][0], shading=torch.ones(1, 1, 1).expand(1, 96, 96))
    assert value(ChannelReconstruction(), trivial, picture) < 0.006
    assert value(ChannelReconstruction(scaled=False), trivial, picture) == pytest.approx(0.25, abs=0.01)
    flat = taken_apart(picture, albedo=torch.full((3, 96, 96), 0.7))
    errors = [value(AlbedoError(), a, picture) for a in (taken_apart(picture), trivial, flat)]
    assert errors[1] > 500 * errors[0]
    region = picture.truth["surface"][0, 0] > 0
    y = picture.truth["albedo"][0][:, region].double().numpy()
    assert errors[2] == pytest.approx(100 * np.mean((y - y.mean()) ** 2), rel=1e-5)
    x = picture.truth["linear"][0][:, region].double().numpy().ravel()
    scale, *_ = np.linalg.lstsq(x[:, None], y.ravel(), rcond=None)
    assert errors[1] == pytest.approx(100 * np.mean((scale * x - y.ravel()) ** 2), rel=0.01)


def test_one_factor_is_forgiven_and_three_are_not(picture: Item) -> None:
    albedo = picture.truth["albedo"][0]
    dim = taken_apart(picture, albedo=linear_to_srgb(0.5 * albedo))
    cast = taken_apart(picture, albedo=linear_to_srgb(albedo * torch.tensor([1.0, 0.8, 0.6])[:, None, None]))
    for metric, plain in (
        (AlbedoError(), AlbedoError(scaled=False)),
        (ChannelReconstruction(), ChannelReconstruction(scaled=False)),
    ):
        true = value(metric, taken_apart(picture), picture)
        assert value(metric, dim, picture) < 2 * true
        assert value(plain, dim, picture) > 20 * true
        assert value(metric, cast, picture) > 20 * true
    assert value(ChannelReconstruction(scaled=False), dim, picture) == pytest.approx(0.5, abs=0.01)


def test_black_channels_are_wrong_and_not_undefined(picture: Item) -> None:
    black = taken_apart(picture, albedo=torch.zeros(3, 96, 96))
    assert value(ChannelReconstruction(), black, picture) == pytest.approx(1)
    region = picture.truth["surface"][0, 0] > 0
    power = float(picture.truth["albedo"][0][:, region].double().square().mean())
    assert value(AlbedoError(), black, picture) == pytest.approx(100 * power, rel=1e-5)


@pytest.mark.parametrize("degrees", [5.0, 30.0, 90.0, 150.0])
def test_normals_turned_by_an_angle_are_off_by_it(picture: Item, degrees: float) -> None:
    true = picture.truth["normal"][0].double()
    side = torch.linalg.cross(true, torch.tensor([0.3, -0.5, 0.8]).double()[:, None, None].expand_as(true), dim=0)
    side = torch.nn.functional.normalize(side, dim=0)
    turned = np.cos(degrees * pi / 180) * true + np.sin(degrees * pi / 180) * side
    for statistic in ("mean", "median", "rms"):
        found = value(NormalError(statistic=statistic), taken_apart(picture, normal=(turned + 1) / 2), picture)
        assert found == pytest.approx(degrees, abs=0.3)


def test_constant_normals_on_a_ball_are_forty_five_degrees_off() -> None:
    """Seen from afar, the mean angle to the viewer over a ball's disc is the integral of t sin 2t: 45 degrees."""
    y, x = np.mgrid[0:200, 0:200] / 99.5 - 1
    inner = x**2 + y**2 < 0.9999
    ball = np.stack([x, y, -np.sqrt(np.where(inner, 1 - x**2 - y**2, 1))]) * inner
    known = {"normal": torch.from_numpy(ball)[None].float(), "surface": torch.from_numpy(inner)[None, None].float()}
    item = Item(id="x", family="channels", prompts=("a",), world=True, surface=Plain(200, NAMES), truth=known)
    for towards, degrees in ((-1.0, 45), (1.0, 135), (0.0, 90)):  # the viewer, away, nowhere
        normal = torch.tensor([0.0, 0.0, towards])[:, None, None].expand(3, 200, 200)
        images = torch.stack([torch.zeros(3, 200, 200), (normal + 1) / 2, torch.zeros(3, 200, 200)])
        assert value(NormalError(), images, item) == pytest.approx(degrees, abs=0.2)


@pytest.mark.parametrize("channel", NAMES)
def test_channels_get_worse_with_noise_and_the_sky_does_not_count(picture: Item, channel: str) -> None:
    true = taken_apart(picture).views
    known = picture.truth["surface"][0] > 0
    ladder: dict[Metric, list[float]] = {m: [] for m in PICTURES}
    for level in (0, 0.02, 0.05, 0.1, 0.2):
        views = true.clone()
        where = NAMES.index(channel)
        views[where] = (views[where] + level * noise(views[where])).clamp(0, 1)
        dirty = torch.where(known, views, torch.rand(views.shape, generator=torch.Generator().manual_seed(1)))
        for metric, found in ladder.items():
            found.append(value(metric, views, picture))
            assert value(metric, dirty, picture) == found[-1]
    for metric, found in ladder.items():
        touched = isinstance(metric, NormalError) == (channel == "normal")
        touched &= not (isinstance(metric, AlbedoError) and channel == "shading")
        assert found == sorted(found)
        assert (found[-1] > 2 * found[0]) == touched, (metric, found)


def test_channels_that_are_not_there_are_null_with_a_reason(picture: Item) -> None:
    true, two = taken_apart(picture), taken_apart(picture).views[:2]
    unnamed, lacking = replace(picture, surface=Plain(96)), replace(picture, surface=Plain(96, ("depth", "normal")))
    sky = without(picture, surface=0 * picture.truth["surface"])
    for metric in PICTURES:
        for item, views in ((unnamed, true), (picture, two), (sky, true)):
            assert reason(metric, views, item)
    for metric in PICTURES[:3]:
        assert "albedo" in reason(metric, two, lacking)
    assert "no picture" in reason(ChannelReconstruction(), true, replace(picture, conditions={}))
    assert "no albedo" in reason(AlbedoError(), true, without(picture, "albedo"))
    assert "no normals" in reason(NormalError(), true, without(picture, "normal"))
    for name in ("albedo", "normal"):
        small = without(picture, **{name: picture.truth[name][..., ::2, ::2]})
        assert "another size" in reason(AlbedoError() if name == "albedo" else NormalError(), true, small)


# --- edges, text, quality, variety --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["geometry", "frames", "channels"])
def test_geometry_edges_are_found_where_they_are(family: str) -> None:
    item = {"geometry": orbit, "frames": moving, "channels": decomposed}[family](fineness=0.7)
    true = taken_apart(item).views if family == "channels" else item.truth["views"]
    metric = EdgeAlignment()
    grey, rough = torch.full_like(true, 0.5), (0.5 + 0.2 * noise(true)).clamp(0, 1)
    assert value(metric, true, item) > 0.6
    assert value(metric, grey, item) == 0
    assert abs(value(metric, rough, item)) < 0.1
    moved = [value(metric, true.roll((s, s), (-1, -2)), item) for s in (0, 2, 4, 8)]
    assert spearmanr([0, 2, 4, 8], moved).statistic < -0.7
    assert moved[-1] < 0.5 * moved[0]


def test_no_geometry_edges_is_null_with_a_reason(around: Item) -> None:
    flat = truth([(0.0, 60.0)], 96, ball=False)
    item = Item(id="x", family="geometry", prompts=("a",), world=True, surface=Plain(96), truth=flat)
    assert "no edges" in reason(EdgeAlignment(), flat["views"], item)
    assert "no depth" in reason(EdgeAlignment(), around.truth["views"], without(around, "depth"))
    assert "no normals" in reason(EdgeAlignment(), around.truth["views"], replace(around, family="channels"))


def test_clip_text_reads_each_view_with_its_prompt(around: Item) -> None:
    true, provider = around.truth["views"], clip("reference", None)
    seen = torch.cat([provider.image(v[None]) for v in true])
    texts = ("a red ball", "a blue cube", "a sea", "a hill", "a sky", "a cone")
    for prompts in (("a ball",), texts):
        expected = 100 * float((seen * provider.text(prompts)).sum(1).mean())
        found = value(ClipText(backbone="reference"), true, replace(around, prompts=prompts))
        assert found == pytest.approx(expected, rel=1e-4)
    assert "5 prompts for 6" in reason(ClipText(backbone="reference"), true, replace(around, prompts=texts[:5]))
    plain = true.mean((2, 3), keepdim=True).expand_as(true)
    assert value(ClipText(backbone="reference", margin=True), plain, around) == pytest.approx(0, abs=0.05)


def test_text_quality_and_variety_of_channels_look_at_the_picture_they_make(picture: Item) -> None:
    true = taken_apart(picture)
    as_view = replace(picture, family="frames")
    for metric in (ClipText(backbone="reference"), Sharpness()):
        again = value(metric, picture.conditions["image"], as_view)
        assert value(metric, true, picture) == pytest.approx(again, rel=0.03, abs=1), "abs: cosines near 0, x100"
        # without a shading the channels are looked at one by one
        bare = replace(picture, surface=Plain(96, ("albedo", "normal", "depth")))
        assert value(metric, true, bare) == value(metric, true, replace(bare, family="frames"))


def test_variety_compares_the_same_view_of_other_items() -> None:
    metric = Variety(backbone="statistics", others=2)
    items = {name: orbit(size=48, count=5, seed=k) for k, name in enumerate("dacb")}
    scores = metric.group({n: made(i.truth["views"]) for n, i in items.items()}, items)
    views = {n: (i.truth["views"] * 255).round() / 255 for n, i in items.items()}
    provider, shown = perceptual("statistics"), [0, 1, 2, 3]  # 4 of 5, evenly spaced
    pairs = [(a, b) for a in "abcd" for b in "abcd" if a < b]
    expected = [float(provider.distance(views[a][k : k + 1], views[b][k : k + 1])) for a, b in pairs for k in shown]
    assert np.mean([one.value for one in scores.values()]) == pytest.approx(np.mean(expected), rel=1e-5)
    same = metric.group({n: made(views["a"]) for n in "ab"}, dict.fromkeys("ab", items["a"]))
    assert [s.value for s in same.values()] == [0, 0]
    unlike = {"a": made(views["a"]), "b": made(views["b"][:4])}
    assert [s.value for s in metric.group(unlike, items).values()] == [None, None]
    tiny = metric.group({"a": made(views["a"][..., :8])}, items)
    assert "smaller" in (tiny["a"].reason or "")


# --- the reference world ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "floors"),
    [
        (WorldMeshes(), {TexelVariance(): 7, Reprojection(): 4}),
        (WorldViews(), {TexelVariance(): 7, Reprojection(): 4}),
        (WorldViews(views=6), {TexelVariance(): 7, Reprojection(): 4}),
        (WorldVideos(frames=6), {WarpingError(): 0.3, WarpingError(gap=3): 1.2}),
        (WorldChannels(), {ChannelReconstruction(): 0.01, AlbedoError(): 0.01, NormalError(): 0.4}),
    ],
    ids=["meshes", "views", "views6", "videos", "channels"],
)
def test_truth_of_the_world_is_at_the_floor_and_another_scene_is_not(dataset: Any, floors: dict[Metric, float]) -> None:
    items = dataset.items()[:2]
    for item, other in (items, items[::-1]):
        true = item.truth["views"]
        for metric, floor in floors.items():
            assert metric(made(true), item).coverage > 0.1
            assert value(metric, true, item) < floor
            mixed = true.clone()
            mixed[::2] = other.truth["views"][::2]
            wrong = other.truth["views"] if item.family == "channels" else mixed
            assert value(metric, wrong, item) > 6 * value(metric, true, item)
        if isinstance(dataset, WorldVideos):
            assert value(EditStrength(backbone="statistics"), true, item) == pytest.approx(1)
            assert value(EditStrength(backbone="statistics"), item.conditions["video"], item) == 0
        assert value(EdgeAlignment(), true, item) > 0.4
        assert value(EdgeAlignment(), true, item) > value(EdgeAlignment(), blur(true, 4), item)


# --- all of them --------------------------------------------------------------------------------------------------


def everything() -> list[Metric]:
    edit = EditStrength(backbone="statistics")
    return [*VIEWS, *CLIPS, *PICTURES, EdgeAlignment(), FrameClip(), edit, ClipText(), Sharpness()]


def test_floats_and_stored_images_score_alike(around: Item, passing: Item, picture: Item) -> None:
    edited = replace(passing, conditions={"video": moving(size=64, seed=9).truth["views"]})
    for item in (around, edited, picture):
        views = taken_apart(picture).views if item is picture else item.truth["views"]
        stored = (views * 255).round().to(torch.uint8).float() / 255
        for metric in everything():
            if item.family in metric.families:
                assert metric(made(views), item) == metric(made(stored), item)
                assert metric(made(views), item).value is not None


def test_views_out_of_range_are_refused(around: Item) -> None:
    for bad in (torch.full((6, 3, 64, 64), 2.0), torch.full((6, 3, 64, 64), torch.nan), torch.zeros(6, 1, 64, 64)):
        with pytest.raises(SyncbenchError, match="views must"):
            Reprojection()(made(bad), around)


def test_fingerprints_and_units_tell_unlike_numbers_apart() -> None:
    found: list[Any] = [*everything(), FrameClip(pairs="all"), ChannelReconstruction(scaled=False)]
    assert len({m.fingerprint() for m in found}) == len(found)
    assert all(len(m.fingerprint()) < 400 and "\n" not in m.fingerprint() for m in found)
    assert [m.unit for m in (WarpingError(), WarpingError(over="truth"))] == ["x1e-3", "ratio"]


def test_the_scene_is_what_it_says() -> None:
    """The oracle's own oracle: positions lie on the ball or the ground, normals are theirs."""
    seen = shoot(camera(70, 20, 64), 64)
    ball, ground = seen["mask"][..., 0] > 0, (seen["surface"] - seen["mask"])[..., 0] > 0
    assert np.allclose(np.linalg.norm(seen["position"][ball] - BALL, axis=1), 0.5)
    assert np.allclose(seen["position"][ground][:, 2], 0)
    assert (seen["normal"][ball | ground][:, 2] < 0.25).all()  # towards the camera, nearly
