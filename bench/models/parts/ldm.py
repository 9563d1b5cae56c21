"""UNets whose weights keep the names of the original latent diffusion code, read as diffusers' stock class."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import torch

from ...errors import SyncbenchError, quoted
from .hollow import building
from .library import library_class, quiet
from .weights import Folder, first_line

Json = dict[str, Any]
RENAMED = {"camera_embed": "label_emb.0"}
"""Names of MVDream's layers for cameras, and those of the class embedding, in whose place they are."""


@dataclass(frozen=True)
class LdmUNet:
    """The network in a part of a folder whose `config.json` and weights are those of MVDream's own class.

    It is a `UNet2DConditionModel` whose class embedding is a projection of the camera's numbers; code that lies beside
    the weights is never loaded.
    """

    folder: Folder
    part: str = "unet"

    @property
    def config(self) -> Json:
        """Its configuration in diffusers' terms. Raises SyncbenchError where the folder's lacks a number."""
        return stock_config(self.folder.config(self.part), str(self.folder.path / self.part))

    @cached_property
    def module(self) -> Any:
        """The network, placed and frozen. Raises SyncbenchError where weights and configuration do not fit."""
        from safetensors.torch import load_file

        place = self.folder.path / self.part
        if self.folder.placement.device.type == "meta":
            with quiet(), building(self.folder.placement.device):
                hollow = library_class("diffusers", "UNet2DConditionModel")(**self.config)
            return self.folder.placement.put(hollow)
        variant = f".{self.folder.variant}" if self.folder.has_variant(self.part) else ""
        with quiet():
            try:
                weights = load_file(place / f"diffusion_pytorch_model{variant}.safetensors")
                network = self.filled(library_class("diffusers", "UNet2DConditionModel")(**self.config), weights)
            except Exception as error:
                raise SyncbenchError(
                    f"cannot read the network in {quoted(place)} as MVDream's: {first_line(error)}"
                ) from error
        return self.folder.placement.put(network)

    def filled(self, network: Any, weights: Json) -> Any:
        """The stock network with the tensors of the file. Raises where one of them has no place in it."""
        found = stock_weights(weights, self.config)
        network.load_state_dict({name: value.to(torch.float32) for name, value in found.items()})
        return network


def stock_config(ldm: Mapping[str, Any], name: str) -> Json:
    """The `UNet2DConditionModel` configuration that is equal to `ldm`, the configuration of MVDream's own class."""
    try:
        widths = [int(ldm["model_channels"]) * int(m) for m in ldm["channel_mult"]]
        attended = [2**i in ldm["attention_resolutions"] for i in range(len(widths))]
        found: Json = {
            "sample_size": ldm["image_size"],
            "in_channels": ldm["in_channels"],
            "out_channels": ldm["out_channels"],
            "block_out_channels": widths,
            "layers_per_block": ldm["num_res_blocks"],
            "down_block_types": ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attended],
            "up_block_types": ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attended)],
            "transformer_layers_per_block": ldm["transformer_depth"],
            "cross_attention_dim": ldm["context_dim"],
            "class_embed_type": "projection",
            "projection_class_embeddings_input_dim": ldm["camera_dim"],
        }
        wide = int(ldm.get("num_head_channels") or -1)
        # Diffusers calls the number of heads `attention_head_dim`.
        heads = int(ldm["num_heads"]) if wide < 1 else [width // wide for width in widths]
    except (KeyError, TypeError, ValueError) as error:
        raise SyncbenchError(f"{quoted(name)}/config.json is not MVDream's: {first_line(error)}") from error
    return {**found, "attention_head_dim": heads, "use_linear_projection": wide >= 1}


def stock_weights(weights: Mapping[str, Any], config: Json) -> Json:
    """Tensors of original names (`input_blocks...`) under diffusers' names. Raises where a tensor has no such name."""
    names = {name: name.removeprefix("model.diffusion_model.") for name in weights}
    for old, new in RENAMED.items():
        names = {name: short.replace(f"{old}.", f"{new}.", 1) for name, short in names.items()}
    prefixed = {f"model.diffusion_model.{short}": weights[name] for name, short in names.items()}
    found: Json = import_module("diffusers.loaders.single_file_utils").convert_ldm_unet_checkpoint(prefixed, config)
    if len(found) != len(weights):
        raise ValueError(f"{len(weights)} tensors, of which {len(found)} have a place in it")
    return found
