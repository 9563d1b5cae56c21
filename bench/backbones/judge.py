"""The bundled judge: a small image-text network in open_clip's format, trained on renders of the reference world."""

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
from .published import file_sha256

BUNDLED = Path(__file__).resolve().parents[1] / "models" / "weights" / "judge"
WEIGHTS = "open_clip_model.safetensors"
CONFIG = "open_clip_config.json"
NO_VIEW_WORDS = "the bundled judge knows no view words: `syncbench fetch clip` brings a CLIP that does"


@dataclass(frozen=True, eq=False)
class Judge:
    """An open_clip model with its own preprocessing and tokenizer, frozen and in evaluation mode."""

    model: Any
    preprocess: Any
    """Function from a PIL image to a tensor (3, size, size)."""
    tokenizer: Callable[[list[str]], Tensor]
    revision: str
    """12 hex digits of the folder's weights, configuration and vocabulary."""

    @property
    def tower(self) -> ModifiedResNet:
        """The convolutional image encoder. Raises SyncbenchError where the judge has an encoder of another kind."""
        if not isinstance(self.model.visual, ModifiedResNet):
            raise SyncbenchError("the judge's image tower is not a ModifiedResNet: use one with convolutional stages")
        return self.model.visual

    def normalised(self, images: Tensor) -> Tensor:
        """Images in [0, 1], normalised by the judge's own channel means and standard deviations."""
        mean, std = (images.new_tensor(getattr(self.tower, f"image_{name}")) for name in ("mean", "std"))
        return (images - mean[:, None, None]) / std[:, None, None]


def judge(folder: str | Path | None = None, device: torch.device | str = "cpu") -> Judge:
    """The judge in `folder` (None: the bundled one) on `device`. Raises SyncbenchError where there is none."""
    place = Path(folder) if folder is not None else BUNDLED
    for name in (CONFIG, WEIGHTS):
        if not (place / name).is_file():
            cure = "reinstall syncbench" if folder is None else "point to a folder in open_clip's local-dir format"
            raise SyncbenchError(f"the judge's weights are missing ({place / name} does not exist): {cure}")
    return _load(str(place.resolve()), str(device), revision(place))


def judge_refusal(name: str, folder: str | Path | None, item: Item, weights: str) -> str | None:
    """Why the bundled judge cannot score an item, with the command that fetches `weights`; None where it can.

    `name` is that of a backbone, such as `lpips[reference]`. Published weights, and a judge in a `folder`, score any
    item; the bundled judge scores items of the reference world only.
    """
    if item.world or folder is not None or not name.endswith("[reference]"):
        return None
    return (
        "the bundled judge knows the reference world only, and the item is not of it: "
        f"`syncbench fetch {weights}` brings the published weights"
    )


def revision(folder: Path) -> str:
    """12 hex digits of the hash of a folder's JSON, text and safetensors files: equal for equal networks."""
    seen = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".json", ".txt", ".safetensors"}:
            seen.update(f"{path.name} {file_sha256(path, path.stat().st_mtime_ns)}\n".encode())
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
