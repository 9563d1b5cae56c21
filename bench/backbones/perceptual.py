"""Perceptual distances of images of one size: LPIPS on published weights or on the bundled judge, or image statistics.

`lpips[vgg]` is Zhang, Isola, Efros, Shechtman, Wang, CVPR 2018, arXiv 1801.03924, through the authors' package
`lpips` (version 0.1 heads). `lpips[reference]` has its form, on the judge's features and without learned heads, so its
scale is its own. Unlike backbones give unlike numbers, so every number has the backbone's name and fingerprint.
"""

from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Protocol
from warnings import catch_warnings, simplefilter

import lpips
import torch
from jaxtyping import Float
from torch import Tensor

from ..types import SyncbenchError
from .judge import Judge, judge
from .published import VGG16, checkpoint, file_sha256, required, state
from .statistics import Statistics

CHOICES = ("vgg", "reference", "statistics")


class Perceptual(Protocol):
    """A distance in two steps: embed each image once, then compare embeddings."""

    name: str
    """`lpips[vgg]`, `lpips[reference]` or `statistics`."""
    fingerprint: str
    """Package version, network, weight hash, input range."""
    minimum: int
    """Smallest side in pixels of an image that the network accepts."""

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """Feature maps of images in [0, 1], one per layer, ready to be compared."""
        ...

    def compare(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Float[Tensor, " n"]:
        """Distances (n,) between n embedded images and n others."""
        ...

    def distance(self, a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """Distance of images in [0, 1]; 0 for equal ones. Differentiable."""
        ...


def perceptual(
    which: str | None = None, folder: str | Path | None = None, device: torch.device | str = "cpu"
) -> Perceptual:
    """The distance `which` on `device`: `vgg`, `reference` or `statistics`.

    None takes `vgg` if its weights are fetched, else `reference`. `folder` is that of the judge for `reference` (None:
    the bundled judge). Nothing is downloaded. Raises SyncbenchError for an unknown name or missing weights.
    """
    if which is None:
        which = "vgg" if folder is None and checkpoint(VGG16) else "reference"
    if which == "vgg":
        path = required(VGG16, instead="reference")
        return _vgg(path, path.stat().st_mtime_ns, str(device))
    if which == "reference":
        return ReferenceLpips(judge(folder, device))
    if which == "statistics":
        return Statistics()
    raise SyncbenchError(f"unknown perceptual backbone {which!r}: choose one of {', '.join(CHOICES)}")


@lru_cache(maxsize=2)
def _vgg(path: Path, stamp: int, device: str) -> "PackageLpips":
    return PackageLpips(vgg_lpips(state(path)).to(device), f"trunk {file_sha256(path, stamp)[:12]}")


def vgg_lpips(features: dict[str, Tensor]) -> lpips.LPIPS:
    """The package's LPIPS with version 0.1 heads on a torchvision VGG16 state dict (`features.N.weight`, ...)."""
    with catch_warnings():
        simplefilter("ignore")  # torchvision's notice about how the package asks for weights
        module = lpips.LPIPS(net="vgg", version="0.1", pnet_rand=True, verbose=False)
    trunk = module.net.state_dict()
    module.net.load_state_dict({key: features[key.replace(key.split(".")[0], "features", 1)] for key in trunk})
    return module


class PackageLpips:
    """The distance of the `lpips` package, split into embedding and comparison; equal to the package's `forward`."""

    name = "lpips[vgg]"
    minimum = 16

    def __init__(self, module: lpips.LPIPS, weights: str) -> None:
        self._module = module.eval().requires_grad_(False)
        self.fingerprint = f"lpips {version('lpips')} vgg heads 0.1 {weights}, rgb [-1,1], no resize"

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """Unit-normalised activations of five layers."""
        # The package takes [-1, 1]; [0, 1] would pass silently and lower every value.
        outputs = self._module.net.forward(self._module.scaling_layer(2 * _images(images, self) - 1))
        return tuple(unit_channels(layer) for layer in outputs)

    @torch.no_grad()
    def package(self, a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Tensor:
        """The package's own distance of images in [-1, 1]."""
        return self._module(a, b)

    def compare(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Float[Tensor, " n"]:
        """Squared differences weighed by the learned heads, averaged over positions, summed over layers."""
        heads = self._module.lins
        maps = [head((x - y).square()) for head, x, y in zip(heads, a, b, strict=True)]
        return torch.stack([m.mean((1, 2, 3)) for m in maps]).sum(0)

    def distance(self, a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """LPIPS of images in [0, 1]."""
        return self.compare(self.embed(a), self.embed(b))


class ReferenceLpips:
    """LPIPS without learned heads on the judge's convolutional features.

    d = mean over layers of mean over positions of |u_l(a) - u_l(b)|^2, u_l the channel-normalised activation
    (the "baseline" variant of the LPIPS paper). Range [0, 2].
    """

    name = "lpips[reference]"
    minimum = 16

    def __init__(self, judge: Judge) -> None:
        self._judge, self._tower = judge, judge.tower
        self.fingerprint = f"syncbench judge {judge.revision} 5 layers, no heads, rgb [0,1], no resize"

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """Unit-normalised activations at 1/2 (twice), 1/4, 1/8 and 1/16 of the resolution."""
        net = self._tower
        first = net.act1(net.bn1(net.conv1(self._judge.normalised(_images(images, self)))))
        stem = net.act3(net.bn3(net.conv3(net.act2(net.bn2(net.conv2(first))))))
        one = net.layer1(net.avgpool(stem))
        two = net.layer2(one)
        return tuple(unit_channels(layer) for layer in (first, stem, one, two, net.layer3(two)))

    def compare(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Float[Tensor, " n"]:
        """Squared differences summed over channels, averaged over positions and layers."""
        maps = [(x - y).square().sum(1).mean((1, 2)) for x, y in zip(a, b, strict=True)]
        return torch.stack(maps).mean(0)

    def distance(self, a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """Distance of images in [0, 1]."""
        return self.compare(self.embed(a), self.embed(b))


def unit_channels(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """The channels at each position scaled to unit length, as `lpips.normalize_tensor` does but with a finite gradient
    at zero."""
    return x / (x.square().sum(1, keepdim=True) + 1e-20).sqrt()


def _images(images: Tensor, provider: Perceptual) -> Tensor:
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < provider.minimum:
        raise ValueError(
            f"{provider.name} needs images (n, 3, h, w) of at least {provider.minimum} px, not {tuple(images.shape)}"
        )
    return images
