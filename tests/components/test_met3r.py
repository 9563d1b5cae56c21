"""MEt3R through a stand-in with the published interface: what it is given, what is made of its answers, and nulls."""

import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType
from urllib.request import urlopen

import pytest
import torch
from syncbench.bench.types import Artifact
from syncbench.metrics import met3r
from syncbench.metrics.met3r import Met3r, squares
from torch import Tensor

from ..analytic import made, orbit
from .test_metrics_views import reason

SEEN: list[Tensor] = []


class MEt3R(torch.nn.Module):
    """The constructor and call of the package; the score is the mean difference in red over the half that overlaps."""

    overlap = 0.5

    def __init__(
        self,
        img_size: int | None = 256,
        use_norm: bool | None = True,
        backbone: str = "mast3r",
        feature_backbone: str | None = "dino16",
        feature_backbone_weights: str | None = "mhamilton723/FeatUp",
        upsampler: str | None = "featup",
        distance: str = "cosine",
        freeze: bool = True,
        rasterizer_kwargs: dict[str, object] | None = None,
    ) -> None:
        super().__init__()
        assert (img_size, use_norm, backbone, feature_backbone) == (256, True, "mast3r", "dino16")
        assert (upsampler, distance, freeze) == ("featup", "cosine", True)

    def forward(
        self,
        images: Tensor,
        return_overlap_mask: bool = False,
        return_score_map: bool = False,
        return_projections: bool = False,
    ) -> tuple[Tensor, ...]:
        assert images.shape == (1, 2, 3, 256, 256)
        assert not torch.is_grad_enabled()
        SEEN.append(images)
        mask = torch.zeros(1, 256, 256)
        mask[:, : int(256 * self.overlap)] = 1
        gap = (images[:, 0, 0] - images[:, 1, 0]).clamp(min=0)  # unlike the other way round
        outputs = [(gap * mask).sum((1, 2)) / (mask.sum((1, 2)) + 1e-5)]
        return (*outputs, mask) if return_overlap_mask else (*outputs,)


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    module = ModuleType("met3r")
    module.MEt3R = type("MEt3R", (MEt3R,), {})  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "met3r", module)
    SEEN.clear()
    met3r._network.cache_clear()
    yield module
    met3r._network.cache_clear()


def greys(*levels: float, height: int = 64, width: int = 64) -> Artifact:
    return made(torch.tensor(levels, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, height, width).clone())


def test_neighbours_are_compared_both_ways_in_the_published_range() -> None:
    score = Met3r()(greys(0, 1, 0.6), orbit(size=16))
    # in [-1, 1] the differences are 2 and 0.8; the stand-in sees each one way round only
    assert score.value == pytest.approx((0 + 2 + 0.8 + 0) / 4, abs=1e-5)
    assert score.coverage == pytest.approx(0.5)
    assert SEEN[0][0, :, 0, 0, 0].tolist() == pytest.approx([-1, 1], abs=1e-5)
    assert len(SEEN) == 4
    assert Met3r().lacks() is None


def test_pairs_without_overlap_do_not_count_as_perfect(package: ModuleType) -> None:
    package.MEt3R.overlap = 0.0
    assert "no neighbouring views that overlap by 5%" in reason(Met3r(), greys(0, 1), orbit(size=16))
    package.MEt3R.overlap = 0.04
    assert "overlap" in reason(Met3r(), greys(0, 1), orbit(size=16))
    assert Met3r(least=0.0)(greys(0, 1), orbit(size=16)).value == pytest.approx(1.0, abs=1e-4)


def test_the_middle_of_a_view_is_compared_at_256_px() -> None:
    wide = torch.zeros(1, 3, 64, 96)
    wide[..., 48:] = 1
    square = squares(wide)
    assert square.shape == (1, 3, 256, 256)
    assert float(square.min()) >= -1
    assert float(square.max()) <= 1
    assert float(square[..., :120].max()) == pytest.approx(-1, abs=0.01)
    assert float(square[..., 136:].min()) == pytest.approx(1, abs=0.01)
    assert squares(torch.rand(1, 3, 33, 57)).shape == (1, 3, 256, 256)


def test_a_single_view_has_no_neighbour() -> None:
    assert "one view" in reason(Met3r(), greys(0.5), orbit(size=16))


def test_without_the_package_there_is_a_reason_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "met3r")
    if find_spec("met3r"):
        pytest.skip("the package is here")
    assert "pip install git+https://github.com/mohammadasim98/met3r" in reason(Met3r(), greys(0, 1), orbit(size=16))
    assert "not installed" in str(Met3r().lacks())
    assert "not installed" in Met3r().fingerprint()


def test_a_package_that_lacks_what_it_needs_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'pytorch3d'", name="pytorch3d")

    monkeypatch.setattr(met3r, "import_module", broken)
    assert "cannot be imported (No module named 'pytorch3d')" in str(Met3r().lacks())


def test_missing_weights_are_not_downloaded(package: ModuleType) -> None:
    class Fetching(MEt3R):
        def __init__(self, **options: object) -> None:
            super().__init__()
            urlopen("https://example.com/weights.ckpt")

    package.MEt3R = Fetching  # pyright: ignore[reportAttributeAccessIssue]
    resolve = socket.getaddrinfo
    said = reason(Met3r(), greys(0, 1), orbit(size=16))
    assert "weights cannot be loaded from this machine (URLError)" in said
    assert "from met3r import MEt3R; MEt3R()" in said
    assert socket.getaddrinfo is resolve
