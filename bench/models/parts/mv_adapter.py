"""MV-Adapter's parts: attention along rows of all views beside a UNet's own, and a map of each view's camera.

Huang et al., ICCV 2025, arXiv 2412.03632 (code read at 4277e00). One file holds both: the layers beside those of the
UNet, as `LAYER.processor.to_q_mv.weight` and so on, and a T2I-Adapter of six channels, as `adapter.*`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...errors import SyncbenchError, quoted
from ..interface import Call
from .attention import layers
from .cameras import looked_at
from .conditioners import Request, Rows, Silent, needed
from .files import tensor_names
from .filled import Filled
from .joint import decoupled
from .library import library_class
from .network import Couples
from .placement import Placement
from .weights import Loadable
from .wrappers import Wrapper

PARTS = {"to_q_mv": "to_q", "to_k_mv": "to_k", "to_v_mv": "to_v", "to_out_mv": "to_out"}
"""Names of a layer's parts in the file, and their names in diffusers' class of attention layers."""
NAME = re.compile(rf"(.+)\.processor\.({'|'.join(PARTS)})\.(.+)")
ENCODER = "adapter."


@dataclass(frozen=True)
class Branches:
    """Attention layers that are added to those of a network, with the weights of a file."""

    network: Loadable
    file: Path
    placement: Placement

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the network's layers to which they are added, in the network's order."""
        return tuple(layers(self.network.module))

    @cached_property
    def weights(self) -> Filled:
        """All added layers in order, as one network that is loaded on first use."""
        # Its processors change from call to call, which a compiled layer would not see.
        return Filled(self.file, replace(self.placement, compile=False), self._make, self._renamed, {})

    @property
    def module(self) -> Any:
        """All added layers in order, placed and frozen."""
        return self.weights.module

    @cached_property
    def layers(self) -> Mapping[str, Any]:
        """The added layers, by the names of the network's layers to which they are added."""
        return dict(zip(self.names, self.module, strict=True))

    def _make(self) -> nn.Module:
        make = import_module("diffusers.models.attention_processor").Attention
        beside = layers(self.network.module).values()
        return nn.ModuleList(
            make(layer.query_dim, heads=layer.heads, dim_head=layer.inner_dim // layer.heads) for layer in beside
        )

    def _renamed(self, name: str) -> str:
        found = NAME.fullmatch(name)
        if found is None:
            return ""
        # A layer that the network has not keeps its name, and is refused by it.
        place = self.names.index(found[1]) if found[1] in self.names else found[1]
        return f"{place}.{PARTS[found[2]]}.{found[3]}"


@dataclass(frozen=True)
class Decoupled(Wrapper):
    """A network to each of whose self-attentions another attention is added, along rows of pixels (MV-Adapter).

    Where views are denoised together, a row spans all views of a pass, else one view. `branches` are the added layers.
    """

    branches: Branches

    @property
    def couples(self) -> Couples | None:
        """`rows`: views that attend to each other along their rows of pixels."""
        return "rows"

    def load(self) -> None:
        """Load the network and the added layers, if they are not loaded yet."""
        self.inner.load()
        _ = self.branches.module

    def __call__(self, x: Tensor, call: Call, rows: Rows, **more: Any) -> Tensor:
        """The inner network's raw output, one row per row of `x`."""
        views, size = call.views if call.together else 1, (x.shape[-2], x.shape[-1])
        with decoupled(self.module(call.together), self.branches.module, self.branches.layers, views, size):
            return self.inner(x, call, rows, **more)


def camera_encoder(file: Path, placement: Placement, widths: Sequence[int]) -> Filled:
    """The T2I-Adapter of maps of six channels for a UNet of these widths: three as in XL, else four."""
    xl = len(widths) == 3
    config: dict[str, Any] = {"in_channels": 6, "channels": [*widths, *widths[2:]][:4], "num_res_blocks": 2}
    config |= {"downscale_factor": 16, "adapter_type": "full_adapter_xl"} if xl else {"downscale_factor": 8}
    return Filled(
        file,
        placement,
        lambda: library_class("diffusers", "T2IAdapter")(**config),
        lambda name: name if name.startswith(ENCODER) else "",
        config,
    )


def check_file(file: Path, kind: str) -> None:
    """Raise SyncbenchError, with cause and cure, for a file that is not MV-Adapter's for views from text."""
    names = tensor_names(file)
    other = sorted(name for name in names if not name.startswith(ENCODER) and not NAME.fullmatch(name))
    if any("_ref." in name for name in other):
        raise SyncbenchError(
            f"{quoted(file)} is an MV-Adapter that reads a picture (i2mv, ig2mv), which is not served: take {kind}"
        )
    if other or not any(map(NAME.fullmatch, names)) or not any(name.startswith(ENCODER) for name in names):
        which = f" has a tensor '{quoted(other[0], 80)}'" if other else " lacks its layers"
        raise SyncbenchError(f"{quoted(file)} is no MV-Adapter: it{which}; take {kind}")


@dataclass(frozen=True)
class Rays(Silent):
    """Condition `camera` as a map of six channels in [0, 1] for each view, under the name `camera`; see `ray_numbers`.

    Cameras are orthographic, so that a map is the same everywhere.
    """

    size: int
    """Pixels along a side of a view."""
    takes: frozenset[str] = frozenset({"camera"})
    needs: frozenset[str] = frozenset({"camera"})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The maps (views, 6, size, size), given and dropped alike."""
        numbers = (ray_numbers(needed(request, "camera")) + 1) / 2
        rows = {"camera": numbers.clamp(0, 1)[:, :, None, None].expand(-1, -1, self.size, self.size)}
        return rows, rows


def ray_numbers(to_world: Float[Tensor, "n 16"]) -> Float[Tensor, "n 6"]:
    """The viewing direction, and that from the centre to the camera, of camera-to-world matrices given row by row.

    The centre is the point that all cameras look at. The first view is the front: the world is turned about its upright
    axis, z, until its camera stands in direction -y, where the network was trained with the front. A first camera right
    above or below the centre turns nothing.
    """
    poses = to_world.reshape(-1, 4, 4).double()
    sight = poses[:, :3, 2]
    place = poses[:, :3, 3] - looked_at(poses[:, :3, 3], sight)
    place = place / place.norm(dim=1, keepdim=True).clamp_min(1e-6)
    front = place[0, :2].norm()
    x, y = torch.where(front > 1e-3, place[0, :2] / front.clamp_min(1e-6), place.new_tensor([0.0, -1.0]))
    turned = [torch.stack([x * v[:, 1] - y * v[:, 0], -x * v[:, 0] - y * v[:, 1], v[:, 2]], 1) for v in (sight, place)]
    return torch.cat(turned, 1).to(to_world)
