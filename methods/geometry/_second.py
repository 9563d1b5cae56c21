"""Second checkpoints that methods use beside the model: whether they are here, and a small decoder (TAESD)."""

from collections.abc import Callable

import torch
from torch import Tensor

from ...bench.errors import SyncbenchError
from ...bench.models.interface import Model
from ...bench.models.parts.codec import Autoencoder
from ...bench.models.parts.placement import Placement
from ...bench.models.parts.weights import find

Decode = Callable[[Tensor], Tensor]
"""Latents (n, c, h, w) -> pictures (n, 3, H, W) in [0, 1]; differentiable."""
WHAT = "small decoder"
TINY = "AutoencoderTiny"


def tiny_decoder(path: str, model: Model) -> Decode:
    """The decoder of an AutoencoderTiny in a folder or the hub's cache, on the model's device.

    Raises SyncbenchError for one whose latents are not those of the model.
    """
    codec = Autoencoder(find(path, Placement.of(model.device, model.dtype, model.dtype, {}), what=WHAT).weights(TINY))
    if (codec.factor, codec.channels) != (model.factor, model.channels):
        raise SyncbenchError(
            f"{path} decodes latents of {codec.channels} channels with {codec.factor} pixels to a cell, and model "
            f"{model.id} has {model.channels} and {model.factor}: name a small decoder of its family"
        )
    return codec.decode


def revision_of(path: str, what: str) -> str:
    """12 hex digits of a checkpoint's weights; empty where none is named or it is not on this machine."""
    if not path:
        return ""
    try:
        return find(path, Placement.of(torch.device("cpu"), torch.float32, torch.float32, {}), what=what).revision()
    except SyncbenchError:
        return ""
