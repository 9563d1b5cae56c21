"""ImageDream's network: MVDream's, with the layers of an IP-Adapter that reads a picture's tokens.

Wang, Shi 2023, arXiv 2312.02201. Its file has original names throughout: `image_embed.*` makes 16 tokens of those of a
vision tower, and `to_k_ip`, `to_v_ip` of every cross-attention read them beside the text, with weight 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .attention import cross_attention, layers
from .ldm import Json, LdmUNet, stock_weights

RESAMPLER = "image_embed."
KEYS, READS = "attn2.to_k.weight", ("to_k_ip", "to_v_ip")


@dataclass(frozen=True)
class ImageDreamUNet(LdmUNet):
    """The network in a part of a folder whose `config.json` and weights are those of ImageDream's own class."""

    def filled(self, network: Any, weights: Json) -> Any:
        """The stock network with the tensors of the file. Raises where one of them has no place in it."""
        short = {name.removeprefix("model.diffusion_model."): value for name, value in weights.items()}
        added = {name: value for name, value in short.items() if name.startswith(RESAMPLER) or _is_read(name)}
        plain = {name: value for name, value in short.items() if name not in added}
        network = super().filled(network, plain)
        places = _places(plain, stock_weights(plain, self.config))
        order = [f"{name}.to_k.weight" for name in layers(network, cross_attention)]
        reads: dict[str, Tensor] = {}
        for name in filter(_is_read, added):
            layer, _, part = name.rpartition(".attn2.")
            number = order.index(places[f"{layer}.{KEYS}"])
            reads[f"{2 * number + 1}.{part}"] = added[name].to(torch.float32)
        if len(reads) != 2 * len(order):
            raise ValueError(f"{len(reads)} tensors read the picture, of {2 * len(order)} layers")
        resampler = {
            name.removeprefix(RESAMPLER): value.to(torch.float32)
            for name, value in added.items()
            if name.startswith(RESAMPLER)
        }
        network._load_ip_adapter_weights([{"image_proj": resampler, "ip_adapter": reads}], low_cpu_mem_usage=False)
        return network


def _is_read(name: str) -> bool:
    return name.endswith(tuple(f".{part}.weight" for part in READS))


def _places(original: Mapping[str, Tensor], stock: Mapping[str, Tensor]) -> dict[str, str]:
    """Names in the stock network by original names: renaming moves tensors and changes none of those of attention."""
    names = {id(value): name for name, value in stock.items()}
    return {name: names[id(value)] for name, value in original.items() if id(value) in names}
