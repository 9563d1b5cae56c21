"""The bundled judge: a small image-text network in open_clip's format, trained on real renders only."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor

from ..types import Item, SyncbenchError
from .published import digest

BUNDLED = Path(__file__).resolve().parents[1] / "models" / "weights" / "judge"
WEIGHTS = "open_clip_model.safetensors"
CONFIG = "open_clip_config.json"


@dataclass(frozen=True, eq=False)
class Judge:
    """An open_clip model with its own preprocessing and tokenizer, frozen and in evaluation mode."""

    model: Any
    preprocess: Any
    """PIL image to (3, size, size)."""
    tokenizer: Callable[[list[str]], Tensor]
    revision: str
    """12 hex digits of the folder's weights, configuration and vocabulary."""

    @property
    def tower(self) -> ModifiedResNet:
        """The convolutional image tower. Raises SyncbenchError when the judge has another kind."""
        if not isinstance(self.model.visual, ModifiedResNet):
            raise SyncbenchError("the judge's image tower is not a ModifiedResNet: use one with convolutional stages")
        return self.model.visual

    def normalised(self, images: Tensor) -> Tensor:
        """Images in [0, 1] with the judge's own channel means and deviations taken out."""
        mean, std = (images.new_tensor(getattr(self.tower, f"image_{name}")) for name in ("mean", "std"))
        return (images - mean[:, None, None]) / std[:, None, None]


def judge(folder: str | Path | None = None, device: torch.device | str = "cpu") -> Judge:
    """The judge in `folder` (default: the bundled one) on `device`. Raises SyncbenchError when it is not there."""
    place = Path(folder) if folder is not None else BUNDLED
    for name in (CONFIG, WEIGHTS):
        if not (place / name).is_file():
            cure = "reinstall syncbench" if folder is None else "point to a folder in open_clip's local-dir format"
            raise SyncbenchError(f"the judge's weights are missing ({place / name} does not exist): {cure}")
    return _load(str(place.resolve()), str(device), revision(place))


def judge_refusal(name: str, folder: str | Path | None, item: Item, weights: str) -> str | None:
    """Why the bundled judge has no say about an item, with the command that fetches `weights`; None where it has.

    `name` is a backbone's, such as `lpips[reference]`; published weights and a judge in a `folder` judge anything.
    """
    if item.world or folder is not None or not name.endswith("[reference]"):
        return None
    return (
        "the bundled judge knows the reference world only, and the item is not of it: "
        f"`syncbench fetch {weights}` brings the published weights"
    )


def revision(folder: Path) -> str:
    """12 hex digits of every JSON, text and safetensors file of a folder; the same digits mean the same function."""
    seen = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".json", ".txt", ".safetensors"}:
            seen.update(f"{path.name} {digest(path, path.stat().st_mtime_ns)}\n".encode())
    return seen.hexdigest()[:12]


@lru_cache(maxsize=4)
def _load(folder: str, device: str, revision: str) -> Judge:
    logging.getLogger("open_clip").setLevel(logging.WARNING)
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}", device=device)
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise SyncbenchError(f"open_clip cannot read the judge in {folder}: {error}") from error
    model.eval().requires_grad_(False)
    return Judge(model, preprocess, tokenizer, revision)
