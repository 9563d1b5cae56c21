"""Small random models with every capability that methods ask for, named as `coupled.py:Coupled`, `coupled.py:Timed`."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import MotionAdapter
from syncbench.bench.models.parts.composed import Parts
from syncbench.bench.models.parts.network import MotionUNet, UNet
from syncbench.bench.models.parts.wrappers import Joint
from syncbench.bench.models.tiny import Tiny


class Coupled(Tiny):
    """Denoised together, its views attend to each other."""

    id = "coupled"

    def parts(self) -> Parts:
        """Tiny's, with attention over all views."""
        found = super().parts()
        return replace(found, network=Joint(found.network))

    @property
    def capabilities(self) -> frozenset[str]:
        """Everything."""
        offers = {"text", "attention", "joint", "camera", "image", "video", "poses", "time", "channels", "rows"}
        return frozenset(offers | {"albedo", "shading"})

    def refuse(self, inputs: dict[str, object]) -> None:
        """Nothing."""


class Timed(Coupled):
    """Denoised together, its views are frames, which meet in layers along time alone, as in AnimateDiff."""

    id = "timed"

    def parts(self) -> Parts:
        """Tiny's, with temporal layers drawn at random between its own."""
        found = Tiny.parts(self)
        assert isinstance(found.network, UNet)
        return replace(found, network=MotionUNet(found.network, self._adapter(found.network)))

    def _adapter(self, image: UNet) -> Any:
        config = image.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            made: Any = MotionAdapter(
                block_out_channels=tuple(config["block_out_channels"]),
                motion_layers_per_block=config["layers_per_block"],
                motion_num_attention_heads=2,
                motion_norm_num_groups=4,
            )
            for name, layer in made.named_modules():
                if name.endswith("proj_out"):
                    torch.nn.init.normal_(layer.weight, std=0.5)
        put = SimpleNamespace(put=lambda module: module.to(image.module().dtype).eval().requires_grad_(False))
        return SimpleNamespace(module=made, config={}, folder=SimpleNamespace(placement=put))
