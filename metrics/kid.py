"""KID, kernel inception distance from the true views

1000 times the squared maximum mean discrepancy, with the kernel (x . y / d + 1)^3 of d features, between the images
that a method made and the true images of the items: window-sized crops, or at most 4 views, or the one picture that
channels make. It may lie a little below 0; lower is better.

Binkowski, Sutherland, Arbel, Gretton, Demystifying MMD GANs, ICLR 2018, arXiv 1801.01401, with torchmetrics' kernel on
the 2048 features of the FID Inception network through torch-fidelity (`pip install 'syncbench[kid]'`, `syncbench fetch
inception`), or on items of the reference world those of the bundled judge, whose scale is its own. Images of one item
are never compared with each other, made or true, since they are not independent draws: the estimate is then unbiased
(Gretton et al., JMLR 2012, Lemma 6, by items), and 0 for outputs that equal the truth, where the usual estimate
(`usual`, torchmetrics' with all images in one subset) is far below 0. Published values subsample 100 times 1,000.

With `against=DIR` the samples of `independent` in a results folder take the place of the true images: what the same
model makes of each view alone, the reference of TexFusion (Cao et al., ICCV 2023, arXiv 2310.13772). The preset `cmmd`
has the kernel exp(-|x - y|^2 / 200) and CLIP's unit embeddings (Jayasumana et al., CVPR 2024, arXiv 2401.09603), whose
own estimate compares images of one item, too.

The distance belongs to a set of images. Each item's value is its jackknife pseudo-value, n U - (n - 1) U_i of U over
all items and U_i without it, so that intervals over items are those of the distance; one value means nothing alone.

Traps. A few dozen images make a noisy estimate: read the interval. The distance knows neither which view belongs to
which item nor whether views agree: it is a guard of quality, not of consistency. Resizing and JPEG move it as much as
methods do. Real photographs as references need as many of one kind as there are outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics.image.kid import poly_kernel

from ..bench.backbones.inception import Embedding, embedding, unit_embedding
from ..bench.backbones.judge import judge_refusal
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import INPUT, NO_CANVAS, canvas_pixels, metric_device, window_boxes
from .views.pictures import evenly_spaced, judged_images
from .views.samples import ALONE, samples_alone, samples_digest

MOST = 4
"""Largest number of views of an item that are compared."""
WIDTH = 10.0
"""Standard deviation of the Gaussian kernel, as in CMMD."""
EMPTY = torch.zeros(0, 3, 1, 1)
FEWEST = 2
"""Smallest number of items."""


@dataclass(frozen=True, kw_only=True)
class Kid:
    """Maximum mean discrepancy between generated and true images, times 1000."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "quality"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "x1e-3"
    families: ClassVar[tuple[Family, ...]] = ("channels", "overlap", "geometry", "prior", "frames")

    presets: ClassVar[dict[str, dict[str, Any]]] = {"usual": {"usual": True}, "cmmd": {"kernel": "gaussian"}}

    usual: bool = False
    """Whether images of one item are compared too, as in the estimate that assumes independent images."""
    kernel: Literal["polynomial", "gaussian"] = "polynomial"
    """`polynomial` with Inception's features, or `gaussian` with those of CLIP ViT-L/14 at 336 px (CMMD)."""
    against: str = ""
    """Results folder whose samples of `independent` are compared with; empty: the true images."""
    backbone: Literal["inception", "reference"] | None = None
    """`inception` or `reference`, the judge; None takes the published weights if they are on the machine."""
    folder: str | None = None
    """Folder of a judge that the backbone `reference` loads; None takes the bundled judge."""

    def __post_init__(self) -> None:
        if self.kernel == "gaussian" and self.backbone == "inception":
            raise ValueError("the gaussian kernel is for CLIP's embeddings: leave `backbone` open, or say reference")

    def provider(self) -> Embedding:
        """The network whose features are compared."""
        if self.kernel == "gaussian":
            return unit_embedding(self.backbone, self.folder, metric_device())
        return embedding(self.backbone, self.folder, metric_device())

    def fingerprint(self) -> str:
        """One line that names the backbone, its weights and the images."""
        provider = self.provider()
        images = f"window crops or {MOST} views against the true ones"
        if self.against:
            images = f"{MOST} views against those of {ALONE} {samples_digest(self.against)}"
        images += ", all at once" if self.usual else " of other items"
        name = "kid" if self.kernel == "polynomial" else "cmmd"
        return f"{name}{provider.name}, {images}, {provider.fingerprint}, {INPUT}"

    def group(self, artifacts: Mapping[str, Artifact], items: Mapping[str, Item]) -> dict[str, Score]:
        """The pseudo-value by item id; coverage is the fraction of the items that have true images."""
        provider = self.provider()
        weights = "inception" if self.kernel == "polynomial" else "clip-l14-336"
        scores: dict[str, Score] = {}
        sides: dict[str, tuple[Tensor, Tensor]] = {}
        alone = samples_alone(self.against, items) if self.against else None
        for name in sorted(artifacts):
            refusal = judge_refusal(provider.name, self.folder, items[name], weights)
            both = refusal or _both(artifacts[name], items[name], None if alone is None else alone.get(name, EMPTY))
            if isinstance(both, str):
                scores[name] = Score.none(both)
            else:
                sides[name] = provider.embed(both[0]), provider.embed(both[1])
        if len(sides) < FEWEST:
            return scores | dict.fromkeys(sides, Score.none("a set of images needs at least 2 items with true ones"))
        made, true = (torch.cat(parts).double() for parts in zip(*sides.values(), strict=True))
        here, there = (torch.arange(len(sides)).repeat_interleave(torch.tensor(n)) for n in _counts(sides))
        kernel = poly_kernel if self.kernel == "polynomial" else _gaussian
        kernels = tuple(kernel(a, b) for a, b in ((made, made), (true, true), (made, true)))
        whole = self._distance(kernels, here, there)
        n, share = len(sides), len(sides) / len(artifacts)
        for number, name in enumerate(sides):
            value = whole
            if n > FEWEST:
                value = n * whole - (n - 1) * self._distance(kernels, here, there, without=number)
            scores[name] = Score(value=1000 * value, coverage=share)
        return scores

    def _distance(self, kernels: tuple[Tensor, ...], made: Tensor, true: Tensor, without: int = -1) -> float:
        """The discrepancy from kernels made-made, true-true and made-true, and the item's number of each image."""
        total = 0.0
        for kernel, a, b, factor in zip(kernels, (made, true, made), (made, true, true), (1, 1, -2), strict=True):
            compared = (a[:, None] != without) & (b[None] != without)
            if not self.usual:
                compared &= a[:, None] != b[None]
            elif factor > 0:
                compared &= ~torch.eye(len(a), dtype=torch.bool)
            total += factor * float(kernel[compared].mean())
        return total


def _counts(sides: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[list[int], list[int]]:
    """The numbers of made and of true images, by item."""
    return [len(made) for made, _ in sides.values()], [len(true) for _, true in sides.values()]


def _gaussian(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    return torch.exp(-torch.cdist(a, b).square() / (2 * WIDTH**2))


def _both(
    artifact: Artifact, item: Item, alone: Float[Tensor, "m 3 h w"] | None
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "k 3 h w"]] | str:
    """The images of an artifact and those to compare with, or the reason why there are none.

    `alone` are images of single views that take the place of the true ones; None: the true ones.
    """
    if alone is not None:
        if not len(alone):
            return f"the folder has no sample of {ALONE} of this item"
        if item.surface.picture:
            return f"samples of {ALONE} are compared view by view, and this item is one picture"
        return evenly_spaced(judged_images(artifact, item), MOST), evenly_spaced(alone, MOST)
    if item.surface.picture:
        image, true = canvas_pixels(artifact), item.truth.get("canvas")
        if image is None:
            return NO_CANVAS
        if true is None:
            return "the item has no true picture to compare with"
        shown = canvas_pixels(Artifact(views=artifact.views, canvas=true))
        assert shown is not None
        boxes = [window_boxes(one, item) for one in (image, shown)]
        if not all(boxes):
            return "the canvas holds no whole window"
        return torch.stack([box.cut(image) for box in boxes[0]]), torch.stack([box.cut(shown) for box in boxes[1]])
    if "views" not in item.truth:
        return "the item has no true views to compare with"
    made, true = (judged_images(one, item) for one in (artifact, Artifact(views=item.truth["views"])))
    return evenly_spaced(made, MOST), evenly_spaced(true, MOST)
