"""UNets that read a picture and a text: IP-Adapter's layers in a network's cross-attention.

Ye, Zhang, Liu, Han, Yang 2023, arXiv 2308.06721. One file holds them: `image_proj.*` makes tokens of a vision tower's
embedding, `ip_adapter.N.to_k_ip.weight` and so on read them in cross-attention layer (N - 1) / 2.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import SyncbenchError, quoted
from .attention import cross_attention, layers
from .described import value_of
from .files import tensor_shapes
from .filled import read_tensors
from .fingerprint import Fingerprint, Part
from .hollow import building
from .library import quiet
from .weights import Folder, Placement, Weights, first_line

PROJECTION, LAYERS = "image_proj.", "ip_adapter."
PLACES = ("models", "sdxl_models")
"""Folders of the published repository, for Stable Diffusion 1.x and XL; either may have an `image_encoder`."""
KIND = ("transformers", "CLIPVisionModelWithProjection")
TOWER = Fingerprint("image encoder of an IP-Adapter", {"": Part(KIND[1:], KIND[0])})


@dataclass(frozen=True)
class ImagePrompted:
    """A UNet with the layers of an IP-Adapter's file, whose attention is multiplied by `scale`."""

    unet: Weights
    file: Path
    placement: Placement
    scale: float = 1.0

    @property
    def config(self) -> dict[str, Any]:
        """The UNet's configuration."""
        return self.unet.config

    @cached_property
    def module(self) -> Any:
        """The network, placed and frozen. Raises SyncbenchError where the file was made for another one."""
        network, meta = self.unet.read(), self.placement.device.type == "meta"
        weights = hollow_tensors(self.file) if meta else read_tensors(self.file, lambda name: name)
        state = {
            part: {name.removeprefix(start): value for name, value in weights.items() if name.startswith(start)}
            for part, start in (("image_proj", PROJECTION), ("ip_adapter", LAYERS))
        }
        cross, own = layers(network, cross_attention), sum(name.endswith("to_k_ip.weight") for name in weights)
        if own != len(cross):
            raise SyncbenchError(
                f"{quoted(self.file)} was made for a network of {own} cross-attention layers, and that of "
                f"{quoted(self.unet.folder.path)} has {len(cross)}: take an adapter for the base"
            )
        with quiet(), building(self.placement.device):
            try:
                network._load_ip_adapter_weights([state], low_cpu_mem_usage=False)
            except Exception as error:  # what does not fit shows as almost any type
                raise SyncbenchError(
                    f"cannot add {quoted(self.file)} to the network of {quoted(self.unet.folder.path)}: "
                    f"{first_line(error)}"
                ) from error
        for layer in cross.values():
            layer.processor.scale = [self.scale]
        return self.placement.put(network)


def hollow_tensors(file: Path) -> dict[str, Tensor]:
    """Tensors on the device `meta`, with the names and shapes of those in a safetensors file."""
    return {name: torch.empty(shape, device="meta") for name, shape in tensor_shapes(file).items()}


def reads_patches(file: Path) -> bool:
    """Whether the adapter of a file (`plus`) reads the tokens of a vision tower, not its one embedding."""
    return f"{PROJECTION}latents" in tensor_shapes(file)


def check_image_prompt(file: Path, width: int) -> int:
    """The length of the embedding, or of each token, that the adapter of a file reads.

    Raises SyncbenchError for one that is no IP-Adapter, or was made beside text of another width.
    """
    shapes = tensor_shapes(file)
    first, patches = shapes.get(f"{PROJECTION}proj.weight"), shapes.get(f"{PROJECTION}proj_in.weight")
    own, reads = shapes.get(f"{LAYERS}1.to_k_ip.weight"), first or patches
    if not reads or not own:
        raise SyncbenchError(
            f"{quoted(file)} is no IP-Adapter, or one for faces, which is not served: set model.weights to another file"
        )
    if own[-1] != width:
        raise SyncbenchError(
            f"{quoted(file)} was made for a network that reads text of width {own[-1]}, and the base reads {width}: "
            "set model.weights to the file for the base"
        )
    return reads[-1]


def image_encoder(adapter: Folder, file: Path, reads: int) -> Folder:
    """The vision tower in an adapter's folder that gives as many numbers as the file reads. SyncbenchError if none."""
    field = "hidden_size" if reads_patches(file) else "projection_dim"
    found: dict[str, Any] = {}
    for place in PLACES:
        tower = replace(adapter, path=adapter.path / place / "image_encoder")
        if (tower.path / "config.json").exists():
            found[f"{place}/image_encoder"] = value_of(*KIND, TOWER.check(tower)[""], field)
            if found[f"{place}/image_encoder"] == reads:
                return tower
    known = ", ".join(f"{place} gives {quoted(size, 40)}" for place, size in found.items()) or "there is none"
    raise SyncbenchError(
        f"{quoted(file)} reads pictures as {reads} numbers, and no image encoder in {quoted(adapter.path)} gives these "
        f"({known}): fetch or copy the one beside it"
    )
