"""An artifact's canvas in 8 bits, its window-sized crops, and the crops' features, each computed once per artifact."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from ...bench.types import Artifact, Item, SyncbenchError

INPUT = "rgb8 [0,1]"
"""How every metric sees an image: rounded to 8 bits once, so that floats and PNG files score alike."""
NO_CANVAS = "the artifact has no canvas"
BUDGET = 2**31
"""Bytes of features kept at a time; features beyond it are computed again when asked for."""

_kept: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""Canvas (by identity) to its version and its pixels and features. An entry goes when its canvas does."""


class Embedder(Protocol):
    """Anything that turns images in [0, 1] into tensors, one row per image."""

    fingerprint: str

    def embed(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of images (n, 3, h, w), tensors with n rows each."""
        ...


@dataclass(frozen=True)
class Box:
    """A rectangle of the canvas, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, image: Float[Tensor, "3 H W"]) -> Float[Tensor, "3 h w"]:
        """The pixels of `image` inside the box."""
        return image[:, self.top : self.top + self.height, self.left : self.left + self.width]


def canvas_pixels(artifact: Artifact) -> Float[Tensor, "3 H W"] | None:
    """The artifact's canvas rounded to 8 bits, as float32 in [0, 1] on the CPU; None where it has no canvas.

    Raises SyncbenchError for a canvas that is not RGB in [0, 1].
    """
    canvas = artifact.canvas
    if canvas is None:
        return None
    store = _store(canvas)
    if "pixels" not in store:
        if canvas.ndim != 3 or canvas.shape[0] != 3 or not canvas.is_floating_point():
            raise SyncbenchError(f"a canvas must be a float tensor (3, H, W), not {canvas.dtype} {tuple(canvas.shape)}")
        low, high = float(canvas.min()), float(canvas.max())
        if not (low >= 0 and high <= 1):  # also catches NaN
            raise SyncbenchError(f"a canvas must lie in [0, 1], not in [{low:g}, {high:g}]: clamp it")
        levels = (canvas.detach().float().cpu() * 255).round()
        # one memory layout, so that sums run in one order
        store["pixels"] = (levels / 255).contiguous()
    return store["pixels"]


def window_boxes(image: Float[Tensor, "3 H W"], item: Item) -> list[Box]:
    """Non-overlapping boxes of the item's window size, row by row from the top left; the rest is left out."""
    height, width = item.surface.window
    tops = range(0, image.shape[1] - height + 1, height)
    lefts = range(0, image.shape[2] - width + 1, width)
    return [Box(top, left, height, width) for top in tops for left in lefts]


def covered_fraction(image: Float[Tensor, "3 H W"], boxes: list[Box]) -> float:
    """Fraction of the image inside the (disjoint) boxes."""
    return sum(box.height * box.width for box in boxes) / (image.shape[1] * image.shape[2])


def crop_features(artifact: Artifact, boxes: list[Box], embedder: Embedder) -> list[tuple[Tensor, ...]]:
    """Features of each crop on `metric_device`. Crops are embedded one by one, so no batch size can change a number.

    Raises ValueError for an artifact without a canvas.
    """
    image = canvas_pixels(artifact)
    if image is None or artifact.canvas is None:
        raise ValueError(NO_CANVAS)
    store = _store(artifact.canvas)
    rows: list[tuple[Tensor, ...]] = []
    for box in boxes:
        key = (embedder.fingerprint, box)
        value = store.get(key)
        if value is None:
            with torch.no_grad(), torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
                value = embedder.embed(box.cut(image)[None].to(metric_device()))
            if _size() + _bytes(value) <= BUDGET:
                store[key] = value
        rows.append(value)
    return rows


def metric_device() -> str:
    """The device on which metrics run their networks: `cuda` where there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _store(canvas: Tensor) -> dict[Any, Any]:
    """Pixels and features kept for a canvas; empty at first, and again after it was changed in place."""
    if canvas not in _kept or _kept[canvas][0] != canvas._version:
        _kept[canvas] = (canvas._version, {})
    return _kept[canvas][1]


def _bytes(value: Any) -> int:
    return sum(t.nbytes for t in value) if isinstance(value, tuple) else 0


def _size() -> int:
    return sum(_bytes(value) for canvas in list(_kept) for value in _kept[canvas][1].values())
