"""MEt3R, consistency of features between two views without cameras

1 - cos(F1, F2), averaged over the pixels of a view that both views are found to show: F1 and F2 are DINO features, made
large by FeatUp and drawn into one view through the points that MASt3R gives for the pair. Each view is compared with
the next one, both ways round. Range [0, 2]; lower is better. No camera, geometry or true picture is used.

Asim, Wewer, Wimmer, Schiele, Lenssen, MEt3R: Measuring Multi-View Consistency in Generated Images, CVPR 2025, arXiv
2501.06336, through its package (MIT) with its defaults, on views of 256 px. It must be installed (`pip install
git+https://github.com/mohammadasim98/met3r`, which needs PyTorch3D and FeatUp) and have fetched its weights
(`python -c "from met3r import MEt3R; MEt3R()"`): this metric loads both from this machine and downloads nothing.

Traps. The network sees overlap that is not there: between views of pure noise always, between unlike scenes in 18 % of
the pairs or more (SysCON3D, arXiv 2605.18754), and noise scores 0.25 to 0.35 (the package's README), better than
published videos. In blurred or blank views little can differ. So read it beside `sharpness` and `clip_text`. Nothing
accounts for what hides what. Values depend on how far apart the views are: compare within one set of cameras. Pairs
without overlap would score a perfect 0: they do not count here, and coverage falls.
"""

import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import metric_device
from .views.images import stored_views

SIZE = 256
"""Height and width in pixels of the views that are compared, as published."""
INSTALL = "`pip install git+https://github.com/mohammadasim98/met3r` brings it"
WEIGHTS = "`python -c 'from met3r import MEt3R; MEt3R()'` fetches them"


@dataclass(frozen=True, kw_only=True)
class Met3r:
    """Difference of features between neighbouring views where MASt3R finds that they overlap."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("geometry", "prior")
    estimates: ClassVar[str] = "reprojection"

    least: Annotated[float, Interval(ge=0, le=1)] = 0.05
    """Smallest share of a view's pixels that overlaps with the other view; pairs below it do not count."""

    def fingerprint(self) -> str:
        """One line that names the package, its networks, the pairs and the size."""
        try:
            package = f"met3r {version('met3r')}"
        except PackageNotFoundError:
            package = "met3r not installed"
        pairs = f"neighbours both ways, overlap >= {self.least:g}"
        return f"{package}, mast3r, dino16 by featup, cosine, {pairs}, centre crop {SIZE} (bicubic antialias), rgb8"

    def lacks(self) -> str | None:
        """Why the metric is null on every item of this machine; None where it is not."""
        found = _network(metric_device())
        return found if isinstance(found, str) else None

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean over pairs; coverage is the mean over pairs of the share that overlaps, 0 for pairs left out."""
        if len(artifact.views) < 2:
            return Score.none("there is only one view")
        network = _network(metric_device())
        if isinstance(network, str):
            return Score.none(network)
        views = squares(stored_views(artifact)).to(metric_device())
        scores: list[float] = []
        overlaps: list[float] = []
        with torch.no_grad(), torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
            for a, b in pairwise(views):
                for pair in (torch.stack([a, b]), torch.stack([b, a])):
                    score, overlap, *_ = network(images=pair[None], return_overlap_mask=True)
                    share = float(overlap.float().mean())
                    counts = share > 0 and share >= self.least
                    overlaps.append(share if counts else 0.0)
                    scores += [float(score.mean())] if counts else []
        if not scores:
            return Score.none(f"MASt3R finds no neighbouring views that overlap by {self.least:.0%}")
        return Score(value=sum(scores) / len(scores), coverage=sum(overlaps) / len(overlaps))


def squares(views: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 s s"]:
    """The middles of views in [0, 1], SIZE x SIZE pixels with values in [-1, 1], as the package takes them."""
    high, wide = views.shape[2:]
    scale = SIZE / min(high, wide)
    size = (max(SIZE, round(scale * high)), max(SIZE, round(scale * wide)))
    large = F.interpolate(views, size, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = ((side - SIZE) // 2 for side in size)
    return 2 * large[:, :, top : top + SIZE, left : left + SIZE] - 1


@lru_cache(maxsize=1)
def _network(device: str) -> Any:
    """The package's network, or a sentence (str) that says why there is none."""
    try:
        package = import_module("met3r")
    except ImportError as error:
        if error.name == "met3r":
            return f"met3r is not installed: {INSTALL}"
        return f"met3r cannot be imported ({error}): {INSTALL} and what it needs"
    try:
        with _offline():
            return package.MEt3R(img_size=SIZE, backbone="mast3r", feature_backbone="dino16").to(device).eval()
    except Exception as error:  # from three packages, each of which reports missing files in a way of its own
        return f"MEt3R's weights cannot be loaded from this machine ({type(error).__name__}): {WEIGHTS}"


@contextmanager
def _offline() -> Generator[None]:
    """While this lasts no name of a host is resolved, so that the packages' loaders download nothing."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("metrics download nothing")

    resolve = socket.getaddrinfo
    socket.getaddrinfo = refuse
    try:
        yield
    finally:
        socket.getaddrinfo = resolve
