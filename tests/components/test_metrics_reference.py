"""Metrics against the packages they wrap and against plain loops written from the formulas."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import lpips
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.ndimage import laplace
from syncbench.bench.backbones import perceptual as perceptual_module
from syncbench.bench.backbones.clip import clip
from syncbench.bench.backbones.perceptual import perceptual, unit_channels
from syncbench.bench.backbones.style import CONVOLUTIONS, VggStyle
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Artifact, Item, SyncbenchError
from syncbench.metrics.intra_lpips import IntraLpips
from syncbench.metrics.intra_style import IntraStyle
from syncbench.metrics.overlap_sharpness import OverlapSharpness
from syncbench.metrics.seam_phase import SeamPhase
from syncbench.metrics.seam_ratio import SeamRatio
from syncbench.metrics.sharpness import Sharpness
from syncbench.metrics.straddle_lpips import StraddleLpips
from torch import Tensor
from torchvision.models import vgg


def levels(seed: int, *shape: int) -> Tensor:
    """Smooth-ish random images of 8-bit values in [0, 1]."""
    noise = torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.avg_pool2d(noise, 3, 1, 1) * 255).round() / 255


def strip(width: int, window: int = 32, height: int = 32, wrap: bool = False) -> Item:
    surface = Strip(height=height, width=width, window_width=window, wrap=wrap)
    return Item(id="x", family="overlap", prompts=("a",), world=True, surface=surface)


def made(canvas: Tensor, borders: list[int] | None = None) -> Artifact:
    return Artifact(views=torch.zeros(1, 3, 8, 8), canvas=canvas, notes={"borders": borders} if borders else {})


# --- the packages -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package() -> lpips.LPIPS:
    """The package's LPIPS: its own heads, a random trunk."""
    torch.manual_seed(1)
    return lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False).eval()


@pytest.fixture(scope="module")
def hub(package: lpips.LPIPS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A torch hub cache that holds the package's trunk under torchvision's names."""
    home = tmp_path_factory.mktemp("hub")
    trunk = {f"features.{key.split('.', 1)[1]}": value for key, value in package.net.state_dict().items()}
    (home / "checkpoints").mkdir()
    path = home / "checkpoints" / "new.pth"
    torch.save(trunk, path)
    path = path.rename(path.with_name(f"vgg16-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.hub, "get_dir", lambda: str(home))
        patch.setattr(perceptual_module, "VGG16", path.name)
        yield path


def test_lpips_equals_the_package(package: lpips.LPIPS, hub: Path) -> None:
    ours = perceptual()
    assert ours.name == "lpips[vgg]"
    assert hub.stem.rsplit("-", 1)[1] in ours.fingerprint
    a, b = levels(0, 3, 3, 64, 48), levels(1, 3, 3, 64, 48)
    with torch.no_grad():
        theirs = package(2 * a - 1, 2 * b - 1).flatten()
        assert (theirs > 0.01).all()
        torch.testing.assert_close(ours.distance(a, b), theirs, rtol=1e-5, atol=1e-5)
        halves = package(2 * a[:1, ..., :24] - 1, 2 * a[:1, ..., 24:] - 1)
    item = Item(
        id="x", family="overlap", prompts=("a",), world=True, surface=Strip(height=64, width=48, window_width=24)
    )
    assert IntraLpips()(made(a[0]), item).value == pytest.approx(float(halves), rel=1e-5, abs=1e-5)


def test_lpips_passes_gradients_of_the_package(package: lpips.LPIPS, hub: Path) -> None:
    a, b = levels(2, 1, 3, 32, 32), levels(3, 1, 3, 32, 32)
    x, y = a.clone().requires_grad_(), a.clone().requires_grad_()
    perceptual("vgg").distance(x, b).sum().backward()
    package(2 * y - 1, 2 * b - 1).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-3, atol=1e-7)


def test_damaged_weights_are_refused(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / hub.name).write_bytes(b"torn")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(SyncbenchError, match="damaged"):
        perceptual()


def test_unit_is_the_package_normalisation_with_a_finite_gradient() -> None:
    x = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(unit_channels(x), lpips.normalize_tensor(x), rtol=1e-6, atol=1e-7)
    zero = torch.zeros(1, 8, 2, 2, requires_grad=True)
    unit_channels(zero).square().sum().backward()
    assert zero.grad is not None
    assert zero.grad.isfinite().all()


def test_gram_features_equal_hooked_convolutions() -> None:
    torch.manual_seed(2)
    network = vgg.make_layers(vgg.cfgs["E"])
    a, b = levels(4, 2, 3, 40, 32), levels(5, 2, 3, 40, 32)
    kept: list[np.ndarray] = []
    for i in CONVOLUTIONS:
        network[i].register_forward_hook(lambda m, x, y: kept.append(y.detach().double().numpy().copy()))
    mean, std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    network(torch.cat([(x - mean[:, None, None]) / std[:, None, None] for x in (a, b)]))
    expected = np.zeros(2)
    for maps in kept:
        _, c, h, w = maps.shape
        grams = np.einsum("nchw,ndhw->ncd", maps, maps) / (c * h * w)
        expected += ((grams[:2] - grams[2:]) ** 2).mean((1, 2))
    found = VggStyle(network, "random").distance(a, b).detach().double().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random judge whose input is smaller than the test images, so that resizing matters."""
    place = tmp_path_factory.mktemp("judge")
    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 16, "head_width": 16}
    text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    preprocess = {"mean": [0.4, 0.5, 0.6], "std": [0.25] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    (place / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    torch.manual_seed(3)
    weights = open_clip.CLIP(**config).state_dict()
    save_file({k: v.contiguous() for k, v in weights.items()}, place / "open_clip_model.safetensors")
    return str(place)


def test_clip_equals_open_clip_on_png_files(folder: str, tmp_path: Path) -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    images = levels(6, 3, 3, 48, 80)
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for image, file in zip(images, files, strict=True):
        Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(file)
    prompts = ["a red house", "blue", "a landscape of green hills"]
    with torch.no_grad():
        seen = model.encode_image(torch.stack([preprocess(Image.open(f)) for f in files]), normalize=True)
        read = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(prompts), normalize=True)
    ours = clip("reference", folder)
    assert "resize shortest bicubic 32" in ours.fingerprint
    torch.testing.assert_close(ours.image(images), seen, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.text(prompts), read, rtol=1e-5, atol=1e-5)
    squeezed = [preprocess(Image.open(f).resize((32, 32), Image.Resampling.BICUBIC)) for f in files]
    with torch.no_grad():
        seen = model.encode_image(torch.stack(squeezed), normalize=True)
    torch.testing.assert_close(ours.squeezed(images), seen, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(ours.squeezed(images), ours.image(images), atol=1e-4)


# --- plain loops --------------------------------------------------------------------------------------------------


def columns(image: np.ndarray, wrap: bool) -> dict[int, float]:
    """g at each column edge, pixel by pixel."""
    channels, height, width = image.shape
    edges = range(0 if wrap else 1, width)
    found = {}
    for x in edges:
        total = sum(abs(image[c, y, x] - image[c, y, x - 1]) for c in range(channels) for y in range(height))
        found[x] = total / (channels * height)
    return found


@pytest.mark.parametrize(("width", "wrap"), [(96, False), (112, False), (128, True)])
def test_seam_ratio_by_loops(width: int, wrap: bool) -> None:
    image = levels(width, 1, 3, 32, width)[0]
    borders = [32, 64, 96, *([80] if width == 112 else [])]  # the last window ends at the right edge
    borders = [b for b in borders if b < width] + ([0] if wrap else [])
    g = columns(image.double().numpy(), wrap)
    seam, free = [], []
    for x, value in g.items():
        gap = min(min(abs(x - b), width - abs(x - b)) if wrap else abs(x - b) for b in borders)
        if gap <= 3:
            seam.append(value)
        if gap >= 7:
            free.append(value)
    score = SeamRatio(reach=3, clear=7)(made(image), strip(width, wrap=wrap))
    assert score.value == pytest.approx(np.mean(seam) / np.mean(free), rel=1e-6)
    assert score.coverage == pytest.approx((len(seam) + len(free)) / len(g))


def test_seam_phase_by_loops() -> None:
    image, width = levels(7, 1, 3, 8, 100)[0], 100
    g = list(columns(image.double().numpy(), False).values())

    def peak(period: int) -> float:
        whole = len(g) // period
        phases = [np.mean([g[k + i * period] for i in range(whole)]) for k in range(period)]
        return float(max(phases) / np.mean(phases))

    artifact, item = made(image, [12, 24, 32]), strip(width, 32, 8)
    assert SeamPhase(statistic="peak")(artifact, item).value == pytest.approx(peak(12), rel=1e-6)
    near = np.median([peak(12 + d) for d in (-3, -2, -1, 1, 2, 3)])
    assert SeamPhase()(artifact, item).value == pytest.approx(peak(12) / near, rel=1e-6)
    part = g[: len(g) // 12 * 12]
    wave = abs(sum(v * np.exp(-2j * np.pi * x / 12) for x, v in enumerate(part))) / sum(part)
    assert SeamPhase(statistic="amplitude")(artifact, item).value == pytest.approx(wave, rel=1e-6)


def test_intra_scores_by_loops(folder: str) -> None:
    image = levels(8, 1, 3, 64, 70)[0]  # two rows of two windows, six columns left over
    item = Item(id="x", family="overlap", prompts=("a",), world=True, surface=_Tiled())
    crops = [image[None, :, y : y + 32, x : x + 32] for y in (0, 32) for x in (0, 32)]
    for metric, scale in (
        (IntraLpips(backbone="reference", folder=folder), 1),
        (IntraLpips(backbone="statistics"), 1),
        (IntraStyle(backbone="reference", folder=folder), 100),
    ):
        provider, total, pairs = metric.provider(), 0.0, 0
        for i in range(4):
            for j in range(i):
                total += float(provider.distance(crops[i], crops[j]))
                pairs += 1
        score = metric(made(image), item)
        assert score.value == pytest.approx(scale * total / pairs, rel=1e-5)
        assert score.coverage == pytest.approx(64 * 64 / (64 * 70))


class _Tiled:
    """A surface whose windows are lower than its canvas."""

    window = (32, 32)


def test_straddle_by_loops() -> None:
    image, provider = levels(9, 1, 3, 32, 208)[0], perceptual("statistics")
    across, inside = [], []
    for s in (64, 128, 144):  # 192 has no room on its right
        parts = [image[None, :, :, x : x + 16] for x in (s - 16, s, s + 16)]
        across.append(float(provider.distance(parts[0], parts[1])))
        inside.append(float(provider.distance(parts[1], parts[2])))
    score = StraddleLpips(backbone="statistics")(made(image), strip(208, 64))
    assert score.value == pytest.approx(sum(across) / sum(inside), rel=1e-5)
    assert score.coverage == 0.75


def test_sharpness_by_scipy() -> None:
    image = levels(10, 1, 3, 40, 96)[0]
    luma = np.einsum("c,chw->hw", (0.299, 0.587, 0.114), image.double().numpy() * 255)
    response = laplace(luma, mode="nearest")
    lefts = [0, 36, 68]  # 4 px clear of the borders at 32 and 64
    tiles = [response[y : y + 16, x : x + 16] for x in lefts for y in (0, 16) if x + 16 <= 96]
    score = Sharpness()(made(image), strip(96, 32, 40))
    assert score.value == pytest.approx(np.mean([t.var() for t in tiles]), rel=1e-6)
    energy = (response**2).mean(0)
    # windows at 0, 20, 40, 60, 64; two columns left out on either side of a change between one and several
    several = [*range(22, 30), *range(42, 50), *range(62, 90)]
    single = [*range(18), *range(34, 38), *range(54, 58), *range(94, 96)]
    score = OverlapSharpness()(made(image, [20, 32, 40, 52, 60, 64, 72, 92]), strip(96, 32, 40))
    assert score.value == pytest.approx(energy[several].mean() / energy[single].mean(), rel=1e-6)
    assert score.coverage == pytest.approx((len(several) + len(single)) / 96)
