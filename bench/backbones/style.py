"""Gram matrices of early convolutions, for Style loss (Gatys, Ecker, Bethge, CVPR 2016, arXiv 1508.06576)."""

from abc import ABC, abstractmethod
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from warnings import catch_warnings, simplefilter

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import vgg19

from ..types import SyncbenchError
from .judge import Judge, judge
from .published import VGG19, checkpoint, file_sha256, required, state

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CONVOLUTIONS = (0, 2, 5, 7, 10)
"""Indices of conv1_1, conv1_2, conv2_1, conv2_2, conv3_1 in torchvision's VGG19 `features`."""


def style(which: str | None = None, folder: str | Path | None = None, device: torch.device | str = "cpu") -> "Style":
    """The style distance `which` on `device`: `vgg` or `reference`; None takes `vgg` if VGG19's weights are fetched.

    `folder` is that of the judge for `reference` (None: the bundled judge). Raises SyncbenchError for an unknown name
    or missing weights.
    """
    if which is None:
        which = "vgg" if folder is None and checkpoint(VGG19) else "reference"
    if which == "vgg":
        path = required(VGG19, instead="reference")
        return _vgg(path, path.stat().st_mtime_ns, str(device))
    if which == "reference":
        return ReferenceStyle(judge(folder, device))
    raise SyncbenchError(f"unknown style backbone {which!r}: choose one of vgg, reference")


class Style(ABC):
    """Gram matrices of several layers, and their distance."""

    name: str
    fingerprint: str
    minimum = 16

    @abstractmethod
    def layers(self, images: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Activations (n, c, h, w) of each layer, before its non-linearity."""

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """Gram matrices (n, c, c) of images in [0, 1]: F F^T / (c h w), one per layer."""
        return tuple(gram(layer) for layer in self.layers(images))

    def compare(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Float[Tensor, " n"]:
        """Mean squared difference of Gram matrices, summed over layers."""
        return torch.stack([(x - y).square().mean((1, 2)) for x, y in zip(a, b, strict=True)]).sum(0)

    def distance(self, a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """Style loss of images in [0, 1]. Differentiable."""
        return self.compare(self.embed(a), self.embed(b))


class VggStyle(Style):
    """VGG19, conv1_1 to conv3_1 before ReLU, ImageNet-normalised input."""

    name = "style[vgg]"

    def __init__(self, features: nn.Module, weights: str) -> None:
        self._layers = list(features.eval().requires_grad_(False).children())[: CONVOLUTIONS[-1] + 1]
        self.fingerprint = (
            f"torchvision {version('torchvision')} vgg19 {weights} conv1_1-3_1 pre-relu, imagenet norm, no resize"
        )

    def layers(self, images: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Outputs of the five convolutions, each (n, c, h, w)."""
        mean, std = (images.new_tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
        x = (images - mean) / std
        outputs: list[Tensor] = []
        for i, layer in enumerate(self._layers):
            # torchvision's ReLU works in place and would overwrite what was just kept
            x = F.relu(x) if isinstance(layer, nn.ReLU) else layer(x)
            if i in CONVOLUTIONS:
                outputs.append(x)
        return outputs


class ReferenceStyle(Style):
    """The judge's three stem convolutions (batch-normalised, before ReLU) and its first two residual stages."""

    name = "style[reference]"

    def __init__(self, judge: Judge) -> None:
        self._judge, self._tower = judge, judge.tower
        self.fingerprint = f"syncbench judge {judge.revision} 5 layers, judge's norm, no resize"

    def layers(self, images: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Activations at 1/2 (three times), 1/4 and 1/8 of the resolution."""
        net = self._tower
        first = net.bn1(net.conv1(self._judge.normalised(images)))
        second = net.bn2(net.conv2(F.relu(first)))
        third = net.bn3(net.conv3(F.relu(second)))
        one = net.layer1(net.avgpool(F.relu(third)))
        return [first, second, third, one, net.layer2(one)]


def gram(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c c"]:
    """The Gram matrix F F^T / (c h w) of activations F (c, h w)."""
    n, c, h, w = x.shape
    flat = x.reshape(n, c, h * w)
    return flat @ flat.transpose(1, 2) / (c * h * w)


@lru_cache(maxsize=2)
def _vgg(path: Path, stamp: int, device: str) -> VggStyle:
    with catch_warnings():
        simplefilter("ignore")
        network = vgg19(weights=None).features
    weights = {k.removeprefix("features."): v for k, v in state(path).items() if k.startswith("features.")}
    network.load_state_dict(weights)
    return VggStyle(network.to(device), file_sha256(path, stamp)[:12])
