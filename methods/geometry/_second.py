"""Second checkpoints that methods use beside the model: whether they are here, inpainting, a small decoder (TAESD).

The last one of each kind stays loaded from sample to sample.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ...bench.errors import SyncbenchError
from ...bench.models.inpainting import Inpainting
from ...bench.models.interface import Model
from ...bench.models.parts.codec import Autoencoder
from ...bench.models.parts.placement import Placement
from ...bench.models.parts.weights import find

Decode = Callable[[Tensor], Tensor]
"""Latents (n, c, h, w) -> pictures (n, 3, H, W) in [0, 1]; differentiable."""
WHAT = "small decoder"
TINY = "AutoencoderTiny"
SECOND = "sd2-community/stable-diffusion-2-inpainting"
"""A copy of TEXTure's inpainting checkpoint."""


def inpainting(path: str, model: Model) -> Any:
    """The inpainting checkpoint in a folder or the hub's cache, on the model's device; the model pays for its calls.

    Raises SyncbenchError for one whose latents are not those of the model.
    """
    second = _inpainting(path, str(model.device), str(getattr(model, "precision", model.dtype)).removeprefix("torch."))
    if (second.factor, second.channels) != (model.factor, model.channels):
        raise SyncbenchError(
            f"{path} paints latents of {second.channels} channels and {second.factor} pixels a cell, "
            f"and model {model.id} has {model.channels} and {model.factor}: name one of its family"
        )
    second.cost = model.cost
    return second


@lru_cache(maxsize=1)
def _inpainting(path: str, device: str, dtype: str) -> Any:
    return Inpainting(path=path, device=device, dtype=dtype)  # type: ignore[arg-type]


def tiny_decoder(path: str, model: Model) -> Decode:
    """The decoder of an AutoencoderTiny in a folder or the hub's cache, on the model's device; the model counts.

    Raises SyncbenchError for one whose latents are not those of the model.
    """
    codec = _tiny(path, model.device, model.dtype)
    if (codec.factor, codec.channels) != (model.factor, model.channels):
        raise SyncbenchError(
            f"{path} decodes latents of {codec.channels} channels with {codec.factor} pixels to a cell, and model "
            f"{model.id} has {model.channels} and {model.factor}: name a small decoder of its family"
        )

    def decode(latents: Tensor) -> Tensor:
        model.cost.decodes += len(latents)
        return codec.decode(latents)

    return decode


@lru_cache(maxsize=1)
def _tiny(path: str, device: torch.device, dtype: torch.dtype) -> Autoencoder:
    return Autoencoder(find(path, Placement.of(device, dtype, dtype, {}), what=WHAT).weights(TINY))


def revision_of(path: str, what: str) -> str:
    """12 hex digits of a checkpoint's weights; empty where none is named or it is not on this machine."""
    if not path:
        return ""
    try:
        return find(path, Placement.of(torch.device("cpu"), torch.float32, torch.float32, {}), what=what).revision()
    except SyncbenchError:
        return ""
