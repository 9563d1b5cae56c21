"""Denoising networks: how one is called, the inputs that it reads by name, and what it denoises together.

Its input has rows (passes * views, c, h, w); every pass holds all views of the call in order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from ...errors import SyncbenchError
from ..interface import Call
from .conditioners import Rows
from .hollow import building
from .library import library_class, quiet
from .weights import Loadable, Weights, first_line

Couples = Literal["views", "rows", "frames", "channels", "tiles"]
"""The kind of views that a network can denoise together."""
OFFERS: dict[Couples, frozenset[str]] = {
    "views": frozenset({"joint"}),
    "rows": frozenset({"joint", "rows"}),
    "frames": frozenset({"joint", "time"}),
    "channels": frozenset({"joint", "channels"}),
    "tiles": frozenset({"joint", "poses"}),
}
"""Capabilities of a model whose network denoises such views together; see `Model.capabilities`."""


class Network(Protocol):
    """A denoising network."""

    @property
    def couples(self) -> Couples | None:
        """The kind of views that it can denoise together; None if none."""
        ...

    @property
    def always(self) -> bool:
        """Whether it denoises views together in every call, not only where the call says `together`."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """The innermost network's configuration."""
        ...

    def module(self, together: bool = False) -> nn.Module:
        """The module with the attention layers that methods may hook, in calls that are `together` or not."""
        ...

    def load(self) -> None:
        """Load the weights that are not loaded yet."""
        ...

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The network's raw output, one row per row of `x`; `more` are arguments of the innermost network."""
        ...


@dataclass(frozen=True)
class Bare:
    """One network with the weights of a folder, which denoises each view by itself."""

    weights: Loadable

    @property
    def couples(self) -> Couples | None:
        """None: each view is denoised by itself."""
        return None

    @property
    def always(self) -> bool:
        """False: views are never denoised together."""
        return False

    @property
    def config(self) -> Mapping[str, Any]:
        """The network's configuration."""
        return self.weights.config

    def module(self, together: bool = False) -> Any:
        """The network."""
        return self.weights.module

    def load(self) -> None:
        """Load the network, if it is not loaded yet."""
        _ = self.weights.module


@dataclass(frozen=True)
class UNet(Bare):
    """A `UNet2DConditionModel`: Stable Diffusion 1.x, 2.x, XL, and whatever was made of them.

    Reads rows `text`; `class_labels`; `pooled` (XL's, with the size of the view itself, uncropped); `image_embeds`
    (an IP-Adapter's).
    """

    factor: int = 8
    """Pixels along a side of a latent cell; the sizes that XL reads are pixels."""

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The network's raw output, one row per row of `x`."""
        unet = self.module()
        return unet(x.to(unet.dtype), call.level.t, **self.inputs(x, rows), **cast(more, unet.dtype)).sample

    def inputs(self, x: Tensor, rows: Rows) -> dict[str, Any]:
        """Arguments that the network and its ControlNets read beside picture and time."""
        dtype = self.module().dtype
        found: dict[str, Any] = {"encoder_hidden_states": rows["text"].to(dtype)}
        if "class_labels" in rows:
            found["class_labels"] = rows["class_labels"].to(dtype)
        if "pooled" in rows:
            height, width = (side * self.factor for side in x.shape[-2:])
            sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=x.dtype, device=x.device)
            found["added_cond_kwargs"] = {
                "text_embeds": rows["pooled"].to(dtype),
                "time_ids": sizes.expand(len(x), -1),
            }
        if "image_embeds" in rows:
            found.setdefault("added_cond_kwargs", {})["image_embeds"] = [rows["image_embeds"].to(dtype)]
        return found


@dataclass(frozen=True)
class MotionUNet:
    """A `UNet2DConditionModel` and temporal layers (AnimateDiff), which are used where views are denoised together."""

    image: UNet
    adapter: Weights
    couples: Couples | None = "frames"
    always: bool = False

    @property
    def config(self) -> Mapping[str, Any]:
        """The picture network's configuration."""
        return self.image.config

    @cached_property
    def clip(self) -> Any:
        """The network of whole clips: the picture network's layers and the temporal ones."""
        plain, adapter = self.image.module(), self.adapter.module
        # its layers are drawn before they get their weights; what is drawn later must not depend on that
        with quiet(), building(plain.device), torch.random.fork_rng(devices=[]):
            try:
                made = library_class("diffusers", "UNetMotionModel").from_unet2d(plain, adapter)
            except ValueError as error:
                raise SyncbenchError(
                    f"the motion adapter was made for another network: {first_line(error)}; take one of its family"
                ) from error
            # diffusers leaves some of the picture network's layers (XL's `add_embedding`) as they were drawn at random
            made.load_state_dict(plain.state_dict(), strict=False)
            return self.adapter.folder.placement.put(made)

    @property
    def frames(self) -> int:
        """The longest clip it was trained for."""
        return int(self.adapter.config.get("motion_max_seq_length", 32))

    def module(self, together: bool = False) -> Any:
        """The network of clips where `together`, else the picture network."""
        return self.clip if together else self.image.module()

    def load(self) -> None:
        """Load the picture network and the temporal layers, if they are not loaded yet."""
        _ = self.clip

    def inputs(self, x: Tensor, rows: Rows) -> dict[str, Any]:
        """Arguments that the network and its ControlNets read beside picture and time."""
        return self.image.inputs(x, rows)

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The raw output, one row per row of `x`; where `call.together`, the views of a call are frames in order."""
        if not call.together:
            return self.image(x, call, rows, **more)
        clip = self.clip
        frames = x.to(clip.dtype).unflatten(0, (-1, call.views)).transpose(1, 2)
        given = self.image.inputs(x, rows)
        if "added_cond_kwargs" in given:  # XL's network repeats these for every frame, but not the text
            given["added_cond_kwargs"] = {k: v[:: call.views] for k, v in given["added_cond_kwargs"].items()}
        found = clip(frames, call.level.t, **given, **cast(more, clip.dtype)).sample
        return found.transpose(1, 2).flatten(0, 1)


def cast(more: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Arguments of a network, with floating-point tensors in its precision."""

    def one(value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.to(dtype)
        return [one(part) for part in value] if isinstance(value, list | tuple) else value

    return {name: one(value) for name, value in more.items()}
