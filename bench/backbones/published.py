"""Published weights that are on this machine. Nothing here downloads, and only `state` imports torch."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SyncbenchError
from ..fetch import torch_hub

if TYPE_CHECKING:
    from torch import Tensor

VGG16 = "vgg16-397923af.pth"
"""torchvision's ImageNet VGG16, the trunk of `lpips`. File names end in the first digits of their SHA-256."""
VGG19 = "vgg19-dcbb9e9d.pth"
"""torchvision's ImageNet VGG19, the network of Intra-Style-L."""
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
"""The FID Inception network as torch-fidelity has it."""
CLIPS = {
    "ViT-B-16": "timm/vit_base_patch16_clip_224.openai",
    "ViT-B-32": "timm/vit_base_patch32_clip_224.openai",
    "ViT-L-14": "timm/vit_large_patch14_clip_224.openai",
    "ViT-L-14-336": "timm/vit_large_patch14_clip_336.openai",
}
"""Hub repositories whose cached copies are used, by name of the CLIP, in order of preference."""
RAFT_LARGE = "raft_large_C_T_SKHT_V2-ff5fadd5.pth"
"""torchvision's large RAFT, trained on Chairs, Things, Sintel, KITTI and HD1K."""
RAFT_SMALL = "raft_small_C_T_V2-01064c6d.pth"
"""torchvision's small RAFT, trained on Chairs and Things."""


FETCHED = {
    VGG16: "lpips",
    VGG19: "vgg19",
    INCEPTION: "inception",
    "ViT-B-16": "clip",
    "ViT-B-32": "clip-b32",
    "ViT-L-14": "clip-l14",
    "ViT-L-14-336": "clip-l14-336",
    RAFT_LARGE: "raft",
    RAFT_SMALL: "raft-small",
}
"""Names by which `syncbench fetch` brings each file or CLIP."""


def checkpoint(name: str) -> Path | None:
    """Torch hub's copy of the file `name`; None where there is none. Raises SyncbenchError where it is damaged."""
    path = torch_hub.hub_folder() / name
    if not path.is_file():
        return None
    prefix = Path(name).stem.rsplit("-", 1)[1]
    if not file_sha256(path, path.stat().st_mtime_ns).startswith(prefix):
        raise SyncbenchError(
            f"{path} is damaged (its SHA-256 does not begin with {prefix}): delete it and fetch it again"
        )
    return path


def required(name: str, instead: str) -> Path:
    """Torch hub's copy of the file `name`. Raises SyncbenchError, which names the backbone `instead`, without one."""
    path = checkpoint(name)
    if path is None:
        raise SyncbenchError(
            f"{name} is not in {torch_hub.hub_folder()}: syncbench fetch {FETCHED[name]} brings it, or use "
            f"backbone={instead}"
        )
    return path


@lru_cache(maxsize=64)
def file_sha256(path: Path, stamp: int = 0) -> str:
    """SHA-256 of a file, kept in memory by path and `stamp`, its modification time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth file by name, read without executing code that it may hold."""
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)
