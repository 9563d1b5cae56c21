"""Metrics on planted truth: identity, ladders of corruption, symmetries, nulls with reasons, traps."""

import json
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from syncbench.bench.backbones.clip import clip
from syncbench.bench.backbones.judge import judge
from syncbench.bench.backbones.perceptual import perceptual
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Artifact, Cost, GroupMetric, Item, Metric, SyncbenchError
from syncbench.bench.world import PANORAMA_CAPTIONS, landscape, render
from syncbench.metrics.clip_text import ClipText
from syncbench.metrics.disagreement import Disagreement
from syncbench.metrics.intra_lpips import IntraLpips
from syncbench.metrics.intra_style import IntraStyle
from syncbench.metrics.network_evaluations import NetworkEvaluations
from syncbench.metrics.overlap_sharpness import OverlapSharpness
from syncbench.metrics.peak_memory import PeakMemory
from syncbench.metrics.seam_phase import SeamPhase
from syncbench.metrics.seam_ratio import SeamRatio
from syncbench.metrics.seconds import Seconds
from syncbench.metrics.sharpness import Sharpness
from syncbench.metrics.straddle_lpips import StraddleLpips
from syncbench.metrics.strips.borders import windows_per_column
from syncbench.metrics.variety import Variety
from torch import Tensor

ROOM = Path(import_module("syncbench").__file__ or "").parent / "metrics"
WINDOW, WIDTH = 64, 256


def strip(width: int = WIDTH, wrap: bool = False, window: int = WINDOW) -> Item:
    surface = Strip(height=64, width=width, window_width=window, wrap=wrap)
    return Item(id="x", family="overlap", prompts=("a b",), world=True, surface=surface)


def scene(k: int, width: int = WIDTH) -> Tensor:
    """A true panorama, drawn in one piece."""
    drawn = render(landscape(PANORAMA_CAPTIONS[k % len(PANORAMA_CAPTIONS)], 100 + k), width, 64)
    return torch.from_numpy(drawn).permute(2, 0, 1).contiguous()


def pasted(k: int) -> Tensor:
    """Windows of unrelated panoramas side by side."""
    return torch.cat([scene(k + 3 * i)[:, :, :WINDOW] for i in range(WIDTH // WINDOW)], -1)


def made(canvas: Tensor | None, **notes: Any) -> Artifact:
    return Artifact(views=torch.zeros(1, 3, 8, 8), canvas=canvas, notes=notes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small random judge in the bundled judge's form, its batch norms set by real renders."""
    place = tmp_path_factory.mktemp("judge")
    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 16}
    text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    (place / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    torch.manual_seed(0)
    model = open_clip.CLIP(**config)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
        model.visual.train()((torch.stack([scene(k, 64) for k in range(16)]) - 0.5) / 0.25)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, place / "open_clip_model.safetensors")
    return str(place)


def everything(folder: str) -> list[Metric]:
    """Every metric of one artifact's pixels."""
    return [
        SeamRatio(clear=8),
        SeamPhase(),
        StraddleLpips(backbone="reference", folder=folder),
        IntraLpips(backbone="reference", folder=folder),
        IntraLpips(backbone="statistics"),
        IntraStyle(backbone="reference", folder=folder),
        ClipText(backbone="reference", folder=folder),
        ClipText(backbone="reference", folder=folder, look="squeezed", margin=True),
        Sharpness(),
        OverlapSharpness(),
    ]


STEMS = sorted(p.stem for p in ROOM.glob("*.py"))


@pytest.mark.parametrize("stem", STEMS)
def test_file_is_a_component(stem: str) -> None:
    module = import_module(f"syncbench.metrics.{stem}")
    own = [
        v for k, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__ and k[0] != "_"
    ]
    assert len(own) == 1
    cls = own[0]
    assert cls.__name__.lower() == stem.replace("_", "")
    assert "Traps." in (module.__doc__ or "")
    assert cls.__dataclass_params__.frozen  # pyright: ignore
    assert all(f.kw_only for f in fields(cls))
    assert cls.direction in {"lower", "higher"} or float(cls.direction.removeprefix("target:")) >= 0
    metric = cls()
    assert isinstance(metric, GroupMetric if hasattr(cls, "group") else Metric)
    for preset in getattr(cls, "presets", {}).values():
        cls(**preset)


def test_fingerprints_tell_unlike_numbers_apart(folder: str) -> None:
    made = [m.fingerprint() for m in [*everything(folder), SeamRatio(borders="declared"), SeamPhase(statistic="peak")]]
    made += [Variety(folder=folder).fingerprint(), Disagreement().fingerprint(), Seconds().fingerprint()]
    assert len(set(made)) == len(made)
    assert all(text and "\n" not in text for text in made)
    weights = judge(folder).revision
    assert sum(weights in text for text in made) == 6  # every metric that looks through the judge names its weights


@pytest.mark.parametrize("k", range(3))
def test_repeating_one_window_is_perfectly_alike_and_without_variety(folder: str, k: int) -> None:
    repeated = scene(k)[:, :, :WINDOW].repeat(1, 1, 4)
    for metric in (IntraLpips(folder=folder), IntraLpips(backbone="statistics"), IntraStyle(folder=folder)):
        assert metric(made(repeated), strip()).value == 0
    same = {"a": made(repeated), "b": made(repeated.clone())}
    scores = Variety(folder=folder).group(same, {"a": strip(), "b": strip()})
    assert [s.value for s in scores.values()] == [0, 0]


def brightness(image: Tensor, level: float) -> Tensor:
    sign = torch.tensor([-1.0, 1, -1, 1]).repeat_interleave(WINDOW)
    return (0.5 * image + 0.25 + level * sign).clamp(0, 1)


def tint(image: Tensor, level: float) -> Tensor:
    shift = torch.tensor([[-1.0, 1, 0, 0.5], [1, -1, 0.5, 0], [0, 0.5, -1, 1]]).repeat_interleave(WINDOW, 1)[:, None]
    return (0.5 * image + 0.25 + level * shift).clamp(0, 1)


def drop(image: Tensor, level: float) -> Tensor:
    parts = image.split(WINDOW, -1)
    return torch.cat([p.roll(int(level) * (i % 2), 1) for i, p in enumerate(parts)], -1)


def blur(image: Tensor, sigma: float) -> Tensor:
    return torch.from_numpy(gaussian_filter(image.numpy(), (0, sigma, sigma), mode="nearest")) if sigma else image


Ladder = tuple[str, Callable[[str], Metric], Callable[[Tensor, float], Tensor], list[float], int]
LADDERS: list[Ladder] = [
    ("seam_ratio", lambda f: SeamRatio(), brightness, [0, 0.02, 0.05, 0.1, 0.2], 1),
    ("seam_ratio", lambda f: SeamRatio(), drop, [0, 2, 4, 6, 8], 1),
    ("straddle", lambda f: StraddleLpips(folder=f), tint, [0, 0.05, 0.1, 0.15, 0.2], 1),
    ("intra_lpips", lambda f: IntraLpips(folder=f), tint, [0, 0.05, 0.1, 0.15, 0.2], 1),
    ("intra_lpips", lambda f: IntraLpips(backbone="statistics"), tint, [0, 0.05, 0.1, 0.15, 0.2], 1),
    ("intra_style", lambda f: IntraStyle(folder=f), tint, [0, 0.05, 0.1, 0.15, 0.2], 1),
    ("sharpness", lambda f: Sharpness(), blur, [0, 0.5, 1, 2, 4], -1),
]


@pytest.mark.parametrize(("name", "build", "corrupt", "levels", "sign"), LADDERS)
def test_ladder_of_corruption_is_climbed(
    name: str, build: Any, corrupt: Any, levels: Any, sign: int, folder: str
) -> None:
    metric, ranks = build(folder), []
    for k in range(8):
        values = [metric(made(corrupt(scene(k), level)), strip()).value for level in levels]
        ranks.append(spearmanr(levels, values).statistic * sign)
    assert np.mean(ranks) >= 0.9, (name, ranks)
    assert min(ranks) >= 0.6, (name, ranks)


def test_seam_phase_sees_weak_periodic_lines_and_nothing_in_real_renders() -> None:
    clean, planted = [], []
    for k in range(12):
        image = scene(k, 512)
        lines = image.clone()
        lines[..., ::16] = (lines[..., ::16] + 0.04).clamp(max=1)
        item = strip(512)
        clean.append(SeamPhase()(made(image, borders=list(range(16, 512, 16))), item).value)
        planted.append(SeamPhase()(made(lines, borders=list(range(16, 512, 16))), item).value)
    assert 0.85 < np.mean(clean) < 1.15
    assert min(np.array(planted) / np.array(clean)) > 1.2


def test_real_renders_have_no_seams_and_pasted_scenes_do(folder: str) -> None:
    real, torn = [made(scene(k)) for k in range(16)], [made(pasted(k)) for k in range(16)]
    for metric, low, high in ((SeamRatio(), 0.9, 1.1), (StraddleLpips(folder=folder), 0.8, 1.25)):
        ours = np.array([metric(a, strip()).value for a in real])
        theirs = np.array([metric(a, strip()).value for a in torn])
        assert low < np.median(ours) < high
        assert (theirs > np.median(ours)).mean() > 0.9
    for metric in (IntraLpips(folder=folder), IntraLpips(backbone="statistics"), IntraStyle(folder=folder)):
        assert all(metric(b, strip()).value > metric(a, strip()).value for a, b in zip(real, torn, strict=True))


def test_order_of_windows_matters_only_where_it_should(folder: str) -> None:
    image = scene(1)
    shuffled = torch.cat([image.split(WINDOW, -1)[i] for i in (2, 0, 3, 1)], -1)
    for metric in (IntraLpips(folder=folder), IntraStyle(folder=folder), ClipText(folder=folder)):
        assert metric(made(shuffled), strip()).value == pytest.approx(metric(made(image), strip()).value, rel=1e-6)
    assert SeamRatio()(made(shuffled), strip()).value > SeamRatio()(made(image), strip()).value  # type: ignore[operator]


def test_mirror_and_wrap_symmetry() -> None:
    image = pasted(0)
    here, there = (SeamRatio()(made(x.contiguous()), strip()).value for x in (image, image.flip(-1)))
    assert here == pytest.approx(there, rel=1e-12)
    item = strip(wrap=True)
    here, there = (SeamRatio()(made(x.contiguous()), item).value for x in (image, image.roll(WINDOW, -1)))
    assert here == pytest.approx(there, rel=1e-12)
    item = strip(WINDOW, wrap=True)  # one window that meets itself: only the wrap seam
    assert SeamRatio()(made(image[..., :WINDOW].contiguous()), item).value is not None


def test_floats_and_png_files_score_alike(folder: str, tmp_path: Path) -> None:
    image = scene(2)
    path = tmp_path / "canvas.png"
    Image.fromarray((image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()).save(path)
    read = torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1).float() / 255
    notes = {"borders": [32, 64, 96, 128, 160, 192, 224]}
    for metric in everything(folder):
        assert metric(made(image, **notes), strip()) == metric(made(read, **notes), strip())


def test_numbers_do_not_depend_on_what_was_scored_before(folder: str) -> None:
    image, metrics = scene(3), everything(folder)
    together = made(image.clone())
    forwards = [m(together, strip()) for m in metrics]
    backwards = [m(together, strip()) for m in reversed(metrics)][::-1]
    alone = [m(made(image.clone()), strip()) for m in metrics]
    assert forwards == backwards == alone


def test_a_canvas_changed_in_place_is_scored_anew(folder: str) -> None:
    artifact, metric = made(scene(4)), IntraLpips(folder=folder)
    before = metric(artifact, strip()).value
    artifact.canvas.copy_(pasted(4))  # type: ignore[union-attr]
    assert metric(artifact, strip()).value == metric(made(pasted(4)), strip()).value != before


def test_batch_size_changes_nothing(folder: str) -> None:
    a, b = torch.stack([scene(k, 64) for k in range(4)]), torch.stack([scene(k + 4, 64) for k in range(4)])
    for which in ("reference", "statistics"):
        provider = perceptual(which, folder)
        whole = provider.distance(a, b)
        single = torch.cat([provider.distance(x[None], y[None]) for x, y in zip(a, b, strict=True)])
        torch.testing.assert_close(whole, single, rtol=1e-4, atol=1e-7)
    look = clip("reference", folder)
    torch.testing.assert_close(look.image(a), torch.cat([look.image(x[None]) for x in a]), rtol=1e-4, atol=1e-6)


def test_off_grid_width_scores_whole_windows_and_says_so(folder: str) -> None:
    wide = scene(5, 300)
    for metric in (IntraLpips(folder=folder), IntraStyle(folder=folder), ClipText(folder=folder)):
        score = metric(made(wide), strip(300))
        assert score.value == metric(made(wide[..., :256].contiguous()), strip()).value
        assert score.coverage == pytest.approx(256 / 300)
    assert SeamRatio()(made(wide), strip(300)).value == pytest.approx(1, abs=0.4)


def test_nothing_to_compare_is_null_with_a_reason(folder: str) -> None:
    grey, short = made(torch.full((3, 64, WIDTH), 0.5)), made(scene(0, 64))
    cases = [(m, made(None), strip()) for m in everything(folder)]
    cases += [(m, short, strip(64)) for m in (SeamRatio(), IntraLpips(folder=folder), StraddleLpips(folder=folder))]
    cases += [(m, grey, strip()) for m in (SeamRatio(), SeamPhase(), StraddleLpips(folder=folder))]
    cases += [
        (SeamRatio(borders="declared"), made(scene(0), borders=list(range(8, WIDTH, 8))), strip()),
        (SeamPhase(), made(scene(0), stride=128), strip()),
        (StraddleLpips(folder=folder), made(scene(0)), strip(window=32)),
        (IntraLpips(folder=folder), made(scene(0)[:, :, :32]), strip(32, window=8)),
        (OverlapSharpness(), made(scene(0)), strip()),
        (OverlapSharpness(), made(scene(0), borders=[64, 128, 192]), strip()),
        (Sharpness(tile=64), made(scene(0)), strip()),
        (
            ClipText(folder=folder, look="squeezed"),
            made(scene(0)),
            Item(id="x", family="overlap", prompts=("a", "b"), world=True, surface=strip().surface),
        ),
        (Disagreement(), made(scene(0)), strip()),
        (Seconds(), made(scene(0)), strip()),
        (PeakMemory(), made(scene(0)), strip()),
    ]
    for metric, artifact, item in cases:
        score = metric(artifact, item)
        assert score.value is None, metric
        assert score.coverage == 0
        assert score.reason
    alone = Variety(folder=folder).group({"a": short, "b": made(None)}, {"a": strip(64), "b": strip()})
    assert [s.value for s in alone.values()] == [None, None]
    assert all(s.reason for s in alone.values())


def test_coverage_lies_in_the_unit_interval(folder: str) -> None:
    notes = {"borders": [48, 64, 96, 112, 144, 160, 192, 208]}
    for metric in everything(folder):
        score = metric(made(scene(6, 272), **notes), strip(272))
        assert score.value is not None, (metric, score.reason)
        assert 0 < score.coverage <= 1
        assert score.reason is None


def test_blank_and_blurred_output_is_caught_by_the_guards() -> None:
    image = scene(7)
    blank = image.mean((1, 2), keepdim=True).expand_as(image).contiguous()
    sharp, soft, flat = (Sharpness()(made(x), strip()).value for x in (image, blur(image, 2), blank))
    assert flat == 0
    assert soft < 0.3 * sharp  # type: ignore[operator]


def test_a_seam_does_not_pass_for_sharpness() -> None:
    image = 0.5 * scene(8) + 0.25
    assert Sharpness()(made(brightness(scene(8), 0.2)), strip()).value == pytest.approx(
        Sharpness()(made(image), strip()).value, rel=0.05
    )


def test_overlap_sharpness_falls_when_only_overlaps_are_blurred() -> None:
    item, stripe = strip(208), torch.zeros(208, dtype=torch.bool)
    borders = [48, 64, 96, 112, 144, 160]  # windows at 0, 48, 96, 144
    for start in (48, 96, 144):
        stripe[start : start + 16] = True
    values = []
    for sigma in (0, 0.5, 1, 2):
        image = torch.where(stripe, blur(scene(9, 208), sigma), scene(9, 208))
        values.append(OverlapSharpness()(made(image, borders=borders), item).value)
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.5 * values[0]


@pytest.mark.parametrize(
    ("width", "stride"), [(256, 0.125), (256, 0.75), (300, 0.5), (272, 0.25), (256, 1.0), (296, 0.3)]
)
def test_coverage_is_recovered_from_borders(width: int, stride: float) -> None:
    canvas = Strip(height=8, width=width, window_width=64).canvas(8 if width % 8 == 0 else 1, stride)
    factor = width // canvas.shape[1]
    found = windows_per_column(width, [b * factor for b in canvas.borders], 64)
    assert torch.equal(found, canvas.count[0].repeat_interleave(factor))


def test_variety_by_hand_and_in_any_order(folder: str) -> None:
    metric = Variety(backbone="reference", folder=folder, others=2)
    artifacts = {name: made(scene(k)) for k, name in enumerate("dacb")}
    items = {name: strip() for name in artifacts}
    scores = metric.group(artifacts, items)
    assert list(scores) == list(artifacts)
    again = metric.group({n: artifacts[n] for n in "abcd"}, items)
    assert all(again[n] == scores[n] for n in "abcd")
    provider = perceptual("reference", folder)
    crops = {n: [c[None] for c in _levels(a.canvas).split(WINDOW, -1)] for n, a in artifacts.items()}

    def mean(names: str) -> float:
        pairs = [(a, b) for a in names for b in names if a < b]
        return float(np.mean([float(provider.distance(x, y)) for a, b in pairs for x in crops[a] for y in crops[b]]))

    assert np.mean([one.value for one in scores.values()]) == pytest.approx(mean("abcd"), rel=1e-4)
    assert scores["a"].value == pytest.approx(4 * mean("abcd") - 3 * mean("bcd"), rel=1e-3)
    both = metric.group({n: artifacts[n] for n in "ab"}, items)
    assert [one.value for one in both.values()] == pytest.approx([mean("ab")] * 2, rel=1e-4)


def _levels(image: Tensor | None) -> Tensor:
    assert image is not None
    return (image * 255).round() / 255


def test_disagreement_is_the_mean_of_the_second_half() -> None:
    artifact = made(scene(0))
    artifact.extras["disagreement"] = torch.tensor([9.0, 9.0, 9.0, 1.0, 2.0, 3.0])
    assert Disagreement()(artifact, strip()).value == pytest.approx(2)
    artifact.extras["disagreement"] = torch.tensor([9.0, 1.0, 3.0])
    assert Disagreement()(artifact, strip()).value == pytest.approx(2)


def test_cost_is_read_as_recorded() -> None:
    artifact = made(None)
    artifact.cost = Cost(evaluations=50, seconds=1.5, peak_mb=12.0)
    costs = [m(artifact, strip()).value for m in (NetworkEvaluations(), Seconds(), PeakMemory())]
    assert costs == [50, 1.5, 12]
    assert NetworkEvaluations()(made(None), strip()).value == 0


def test_clip_text_uses_each_views_own_prompt(folder: str) -> None:
    prompts = ("red sky", "blue sea", "green hills", "grey city")
    item = Item(id="x", family="overlap", prompts=prompts, world=True, surface=strip().surface)
    provider = clip("reference", folder)
    images = provider.image(torch.stack(scene(0).split(WINDOW, -1)))
    expected = 100 * float((images * provider.text(prompts)).sum(1).mean())
    assert ClipText(folder=folder)(made(scene(0)), item).value == pytest.approx(expected, rel=1e-5)


def test_clip_margin_is_what_the_picture_adds_to_its_colour(folder: str) -> None:
    image, plain = scene(1), torch.empty(3, 64, WIDTH)
    for part, flat in zip(image.split(WINDOW, -1), plain.split(WINDOW, -1), strict=True):
        flat[:] = ((part * 255).round() / 255).mean((1, 2), keepdim=True)
    whole, blank = (ClipText(folder=folder)(made(x), strip()).value for x in (image, plain))
    margin = ClipText(folder=folder, margin=True)(made(image), strip()).value
    assert margin == pytest.approx(whole - blank, abs=1e-4)  # type: ignore[operator]
    assert ClipText(folder=folder, margin=True)(made(plain), strip()).value == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    "bad", [torch.full((3, 64, 256), 2.0), torch.full((3, 64, 256), torch.nan), torch.zeros(64, 256)]
)
def test_a_canvas_out_of_range_is_refused(bad: Tensor) -> None:
    with pytest.raises(SyncbenchError, match="canvas must"):
        Sharpness()(made(bad), strip())


def test_unknown_and_missing_backbones_are_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for build in (
        lambda: IntraLpips(backbone="alex").fingerprint(),
        lambda: IntraLpips(backbone="vgg").fingerprint(),
        lambda: IntraStyle(backbone="resnet").fingerprint(),
        lambda: ClipText(backbone="ViT-L-14").fingerprint(),
        lambda: ClipText(folder=str(tmp_path / "nowhere")).fingerprint(),
    ):
        with pytest.raises(SyncbenchError) as caught:
            build()
        assert "\n" not in str(caught.value)
