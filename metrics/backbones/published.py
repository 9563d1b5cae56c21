"""Published weights already on this machine. Nothing here downloads."""

import hashlib
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ...bench.types import SyncbenchError

VGG16 = "vgg16-397923af.pth"
"""torchvision's ImageNet VGG16, the trunk of `lpips`. File names end in the first digits of their SHA-256."""
VGG19 = "vgg19-dcbb9e9d.pth"
"""torchvision's ImageNet VGG19, the network of Intra-Style-L."""


def checkpoint(name: str) -> Path | None:
    """The torch hub's copy of `name`, or None. Raises SyncbenchError when the file is not what its name says."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        return None
    prefix = Path(name).stem.rsplit("-", 1)[1]
    if not digest(path, path.stat().st_mtime_ns).startswith(prefix):
        raise SyncbenchError(
            f"{path} is damaged (its SHA-256 does not begin with {prefix}): delete it and fetch it again"
        )
    return path


def required(name: str, instead: str) -> Path:
    """The torch hub's copy of `name`; SyncbenchError naming the alternative `instead` when there is none."""
    path = checkpoint(name)
    if path is None:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise SyncbenchError(f"{name} is not in {folder}: put it there, or use backbone={instead}")
    return path


@lru_cache(maxsize=64)
def digest(path: Path, stamp: int = 0) -> str:
    """SHA-256 of a file. `stamp` (its modification time) makes a replaced file be read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth file, read without executing anything in it."""
    return torch.load(path, map_location="cpu", weights_only=True)
