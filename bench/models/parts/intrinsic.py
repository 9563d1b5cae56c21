"""IntrinsicDiffusion's parts: features of a picture and learned texts, which differ from channel to channel.

Luo, Ceylan, Yoon, Zhao, Philip, Frühstück, Li, Richardt, Wang, SIGGRAPH 2024 (code read at f3ab117, Apache-2.0). One
file holds a ControlNet under diffusers' names and, as `controlnet_cond_embedding.*`, the network that reads the picture
for it: convolutions that all channels share, as in CRefNet, then a Swin V2 transformer for each channel. A file of
PyTorch's holds a text embedding for each channel, which ControlNet and UNet read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...errors import SyncbenchError, quoted
from .conditioners import Request, Rows, Silent, asked_channels, needed
from .filled import Filled
from .fingerprint import Fingerprint, Part
from .library import library_class
from .placement import Placement
from .weights import Loadable, first_line

CONTROL = Fingerprint("IntrinsicDiffusion's ControlNet", {"": Part(("ControlNetModel",), fields={
    "conditioning_model_type": "swinv2",
    "conditioning_channels": 3,
    "controlnet_conditioning_channel_order": "rgb",
})})  # fmt: skip
READER = "controlnet_cond_embedding."
RENAMED = {
    ".block.": ".resnets.",
    ".nin_shortcut.": ".conv_shortcut.",
    ".downsample.": ".downsamplers.0.",
    ".mlp.fc1.": ".mlp.0.",
    ".mlp.fc2.": ".mlp.3.",
}
"""Parts of names in the file, and those of diffusers' residual blocks and torchvision's Swin V2."""
MULTIPLE = 64
"""Sides of pictures are multiples of it: 8 pixels to a cell of features, 8 cells to a window of the transformers."""
CELL, WINDOW, HEADS, DEPTH, GROUPS = 8, 8, 8, 4, 40


class PictureReader(nn.Module):
    """Features of pictures for each of several channels, `width` numbers to 8 x 8 pixels.

    Along a side of 64 pixels there is one window, which torchvision does not shift and upstream does.
    """

    def __init__(self, width: int, names: Sequence[str]) -> None:
        super().__init__()
        block = import_module("diffusers.models.unets.unet_2d_blocks").DownEncoderBlock2D
        widths = [width // 8 * share for share in (1, 1, 2, 4, 8)]
        down = [
            block(wide, wider, num_layers=2, resnet_groups=GROUPS, add_downsample=wider < width, downsample_padding=0)
            for wide, wider in pairwise(widths)
        ]
        for layer in (layer for part in down for layer in part.resnets):
            layer.nonlinearity = nn.LeakyReLU(0.2)
        conv = nn.Conv2d(3, widths[0], 3, padding=1)
        self.encoder = nn.ModuleDict({"conv_in": conv, "down": nn.ModuleList(down)})
        self.domain_transformers = nn.ModuleDict({name: ChannelTransformer(width) for name in names})

    def forward(self, picture: Float[Tensor, "1 3 H W"], names: Sequence[str]) -> Float[Tensor, "names width h w"]:
        """The features of one picture for each of the channels that `names` lists."""
        shared = self.encoder["conv_in"](picture)
        for part in cast(nn.ModuleList, self.encoder["down"]):
            shared = part(shared)
        return torch.cat([self.domain_transformers[name](shared) for name in names])


class ChannelTransformer(nn.Module):
    """Two groups of Swin V2's blocks with a norm before the first and after each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        block = import_module("torchvision.models.swin_transformer").SwinTransformerBlockV2

        def group() -> nn.ModuleDict:
            shifts = [number % 2 * WINDOW // 2 for number in range(DEPTH)]
            return nn.ModuleDict(
                {"blocks": nn.Sequential(*(block(width, HEADS, [WINDOW, WINDOW], [by, by]) for by in shifts))}
            )

        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(width)})
        self.layers = nn.ModuleList(group() for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, x: Float[Tensor, "n width h w"]) -> Float[Tensor, "n width h w"]:
        """The features after all blocks."""
        x = self.patch_embed["norm"](x.permute(0, 2, 3, 1))
        for group, norm in zip(self.layers, self.norms, strict=True):
            x = norm(cast(nn.ModuleDict, group)["blocks"](x))
        return x.permute(0, 3, 1, 2).contiguous()


def picture_reader(file: Path, placement: Placement, width: int, names: Sequence[str]) -> Filled:
    """The network that reads the picture, of the ControlNet's file. Raises SyncbenchError for an impossible width."""
    if width % (8 * GROUPS):
        raise SyncbenchError(
            f"{quoted(file.parent)}/config.json: block_out_channels begin with {width}, and IntrinsicDiffusion's are "
            f"multiples of {8 * GROUPS}: copy the file again"
        )

    def renamed(name: str) -> str:
        short = name.removeprefix(READER) if name.startswith(READER) else ""
        for old, new in RENAMED.items():
            short = short.replace(old, new)
        return short

    once = replace(placement, compile=False)  # it is called once a sample
    return Filled(file, once, lambda: PictureReader(width, names), renamed, {}, torchvision_tensors)


def control_net(file: Path, placement: Placement, config: Mapping[str, Any]) -> Filled:
    """The rest of the ControlNet, which is given features in place of a picture."""

    def make() -> nn.Module:
        network = library_class("diffusers", "ControlNetModel").from_config(dict(config))
        network.controlnet_cond_embedding = nn.Identity()
        return network

    return Filled(file, placement, make, lambda name: "" if name.startswith(READER) else name, dict(config))


def torchvision_tensors(weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Tensors of Swin V2's own code as torchvision has them.

    Biases of queries and values, between which keys have none, are one tensor, and pairs of positions stand in a row.
    """
    found = dict(weights)
    for name in weights:
        place, _, part = name.rpartition(".")
        if part == "relative_position_index":
            found[name] = weights[name].flatten()
        if part == "q_bias" and f"{place}.v_bias" in weights:
            queries, values = found.pop(name), found.pop(f"{place}.v_bias")
            found[f"{place}.qkv.bias"] = torch.cat([queries, torch.zeros_like(queries), values])
    return found


def learned_texts(file: Path, names: Sequence[str], width: int) -> dict[str, Float[Tensor, "tokens width"]]:
    """The text embeddings of a file of PyTorch's, by name; it is read without executing code that it may hold.

    Raises SyncbenchError for a file that holds anything else, other names, or a text of another width.
    """
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # every way of being no such file has its own
        raise SyncbenchError(f"cannot read {quoted(file)}: {first_line(error)}; copy it again") from error
    tensors = cast(dict[Any, Any], content) if isinstance(content, dict) else {}
    wanted = {f"prompt_embeds.{name}": name for name in names}
    if tensors.keys() != wanted.keys():
        held = quoted(", ".join(sorted(map(str, tensors))) or "no named tensors", 120)
        raise SyncbenchError(
            f"{quoted(file)} is not IntrinsicDiffusion's prompt adapter: it holds {held}, not {', '.join(wanted)}"
        )
    for key in wanted:
        shape = tuple(tensors[key].shape) if isinstance(tensors[key], Tensor) else ()
        if len(shape) != 3 or (shape[0], shape[2]) != (1, width):
            raise SyncbenchError(
                f"{quoted(file)}: '{key}' has the shape {shape}, and the base reads texts of (1, tokens, {width}): "
                "take the base that it was trained on"
            )
    return {name: tensors[key][0].float() for key, name in wanted.items()}


@dataclass(frozen=True)
class Read(Silent):
    """Features of condition `image` and a learned text, those of the channel that each view is.

    Rows `image` (views, width, h, w), which a ControlNet reads, and `text` (views, tokens, width of the text). Where a
    prompt is no channel, the views are the channels in order. Features depend on neither time nor noise, so they are
    made once a sample.
    """

    reader: Loadable
    texts: Mapping[str, Tensor]
    """The learned text of each channel, by the published name."""
    labels: Mapping[str, str]
    """The published name of each channel, by the suite's."""
    prepared: Callable[[Tensor], Tensor]
    """From pictures (n, 3, h, w) in [0, 1] to what the network reads."""
    takes: frozenset[str] = frozenset({"image"})
    needs: frozenset[str] = frozenset({"image"})
    offers: frozenset[str] = frozenset({"channels"})

    @torch.no_grad()
    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The rows, given and dropped alike. Raises SyncbenchError for sides that are no multiples of 64 pixels."""
        picture = needed(request, "image")[:1]
        high, wide = picture.shape[-2:]
        if high % MULTIPLE or wide % MULTIPLE:
            raise SyncbenchError(
                f"condition `image` has {high}x{wide} pixels, and IntrinsicDiffusion reads sides that are multiples of "
                f"{MULTIPLE}: --set photos.multiple={MULTIPLE}"
            )
        asked = [self.labels[name] for name in asked_channels(request.prompts, list(self.labels))]
        names, network = list(dict.fromkeys(asked)), self.reader.module
        features = network(self.prepared(picture).to(next(network.parameters())), names)
        order = torch.tensor([names.index(one) for one in asked], device=features.device)
        rows = {"image": features[order], "text": torch.stack([self.texts[one] for one in asked])}
        return rows, rows
