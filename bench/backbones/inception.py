"""Features of whole images, for distances between sets of them: the FID Inception network, or the bundled judge.

The Inception network is that of Heusel et al. 2017 in torch-fidelity's form, which torchmetrics uses too; it resizes to
299 px itself. Nothing is downloaded.
"""

from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from ..types import SyncbenchError
from .clip import Clip, clip
from .published import INCEPTION, checkpoint, file_sha256, required

LARGE = "ViT-L-14-336"
"""The CLIP of CMMD."""
CHOICES = ("inception", "reference")


class Embedding(Protocol):
    """A network that gives each image a vector."""

    name: str
    """`[inception]` or `[reference]`."""
    fingerprint: str

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Features of images in [0, 1], on the CPU."""
        ...


def embedding(
    which: str | None = None, folder: str | Path | None = None, device: torch.device | str = "cpu"
) -> Embedding:
    """The network `which` on `device`: `inception` or `reference`.

    None takes `inception` if torch-fidelity is installed and the weights are fetched, else `reference`. Raises
    SyncbenchError for an unknown name, missing weights and a missing package.
    """
    if which is None:
        which = "inception" if folder is None and find_spec("torch_fidelity") and checkpoint(INCEPTION) else "reference"
    if which == "inception":
        if not find_spec("torch_fidelity"):
            raise SyncbenchError("the backbone inception needs torch-fidelity: pip install 'syncbench[kid]'")
        path = required(INCEPTION, "reference")
        return _inception(path, path.stat().st_mtime_ns, str(device))
    if which == "reference":
        return JudgeEmbedding(clip("reference", folder, device))
    raise SyncbenchError(f"unknown backbone {which!r}: choose one of {', '.join(CHOICES)}")


def unit_embedding(
    which: str | None = None, folder: str | Path | None = None, device: torch.device | str = "cpu"
) -> Embedding:
    """Unit embeddings of images by CLIP ViT-L/14 at 336 px if it is fetched, else (or by name) of the judge."""
    if which is None and folder is None:
        with suppress(SyncbenchError):
            return UnitEmbedding(clip(LARGE, None, device))
    return UnitEmbedding(clip("reference", folder, device))


class UnitEmbedding:
    """CLIP's image embeddings of length 1."""

    def __init__(self, network: Clip) -> None:
        self._network = network
        self.name = f"[{network.name.partition('[')[2] or network.name}"
        self.fingerprint = f"{network.fingerprint}, unit embeddings"

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Embeddings, one image at a time so that no batch size can change a number."""
        return torch.cat([self._network.image(image[None]) for image in images])


class JudgeEmbedding:
    """The judge's image embeddings, as long as their dimension's root so that the kernel has its usual scale."""

    name = "[reference]"

    def __init__(self, judge: Clip) -> None:
        self._judge = judge
        self.fingerprint = f"{judge.fingerprint}, unit embeddings times sqrt(d)"

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Embeddings, one image at a time so that no batch size can change a number."""
        seen = torch.cat([self._judge.image(image[None]) for image in images])
        return seen * seen.shape[1] ** 0.5


class InceptionEmbedding:
    """The 2048 features before the last layer of the FID Inception network."""

    name = "[inception]"

    def __init__(self, network: Any, weights: str, device: str) -> None:
        self._network, self._device = network, device
        self.fingerprint = f"torch-fidelity {version('torch-fidelity')} inception-v3-compat 2048 {weights}"

    @torch.no_grad()
    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Features of the images in 8 bits, one at a time."""
        levels = (images * 255).round().to(torch.uint8)
        return torch.cat([self._network(image[None].to(self._device)).cpu() for image in levels])


@lru_cache(maxsize=2)
def _inception(path: Path, stamp: int, device: str) -> InceptionEmbedding:
    from torchmetrics.image.fid import NoTrainInceptionV3

    network = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(path)).to(device)
    return InceptionEmbedding(network, file_sha256(path, stamp)[:12], device)
