"""Folders of IntrinsicDiffusion in the published layout, with random weights.

The network that reads the picture is of the published size, since its code has no other. It is written here once more,
from its formulas and with the published names of tensors: every token may attend to every other one, but for a mask.
"""

import json
import math
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from . import coupled_replicas as coupled

LABELS = ("albedo", "shading", "surface normal")
WIDTHS = (320, 64, 64, 64)
UNET: dict[str, Any] = {
    **coupled.SD2,
    **{"block_out_channels": WIDTHS, "layers_per_block": 1, "attention_head_dim": [5, 2, 2, 2], "sample_size": 96},
}
"""Stable Diffusion 2.1's network, but for widths and depths."""
SCHEDULER: dict[str, Any] = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.17.0.dev0",
    **{"beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False},
    **{"clip_sample_range": 1.0, "dynamic_thresholding_ratio": 0.995, "num_train_timesteps": 1000},
    **{"prediction_type": "v_prediction", "sample_max_value": 1.0, "set_alpha_to_one": False},
    **{"skip_prk_steps": True, "steps_offset": 1, "thresholding": False, "trained_betas": None},
    "variance_type": "fixed_small",
}
"""As the base had it first, at 48d8ac4; its later file adds zero terminal SNR and trailing times."""
OWN: dict[str, Any] = {"conditioning_model_type": "swinv2", "conditioning_model_config": None}
"""Fields of the ControlNet's configuration that diffusers' class does not have."""


class Residual(nn.Module):
    def __init__(self, wide: int, wider: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(40, wide, 1e-6), nn.GroupNorm(40, wider, 1e-6)
        self.conv1, self.conv2 = nn.Conv2d(wide, wider, 3, padding=1), nn.Conv2d(wider, wider, 3, padding=1)
        if wide != wider:
            self.nin_shortcut = nn.Conv2d(wide, wider, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.leaky_relu(self.norm1(x), 0.2))
        h = self.conv2(F.leaky_relu(self.norm2(h), 0.2))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_in, self.down, before = nn.Conv2d(3, 40, 3, padding=1), nn.ModuleList(), 40
        for wide in (40, 80, 160, 320):
            level = nn.Module()
            level.block = nn.ModuleList([Residual(before, wide), Residual(wide, wide)])
            if wide < 320:
                level.downsample = nn.Module()
                level.downsample.conv = nn.Conv2d(wide, wide, 3, stride=2)
            self.down.append(level)
            before = wide

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            for block in level.block:
                x = block(x)
            if hasattr(level, "downsample"):
                x = level.downsample.conv(F.pad(x, (0, 1, 0, 1)))
        return x


class Attention(nn.Module):
    """Cosine attention of 8 heads among the tokens of a window of 8 x 8, with a bias by their distance."""

    def __init__(self) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.full((8, 1, 1), math.log(10)))
        self.cpb_mlp = nn.Sequential(nn.Linear(2, 512), nn.ReLU(), nn.Linear(512, 8, bias=False))
        self.qkv, self.proj = nn.Linear(320, 960, bias=False), nn.Linear(320, 320)
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(320)), nn.Parameter(torch.zeros(320))
        far = torch.arange(-7, 8) / 7 * 8
        table = torch.stack(torch.meshgrid(far, far, indexing="ij"), -1)[None]
        self.register_buffer("relative_coords_table", table.sign() * (table.abs() + 1).log2() / 3)
        y, x = torch.arange(64) // 8, torch.arange(64) % 8
        self.register_buffer("relative_position_index", self.number(y[:, None] - y, x[:, None] - x))

    @staticmethod
    def number(down: Tensor, right: Tensor) -> Tensor:
        return 15 * (down + 7) + right + 7

    def forward(self, x: Tensor, shift: int) -> Tensor:
        count, height, width, _ = x.shape
        parts = self.qkv.weight.chunk(3)
        biases = (self.q_bias, torch.zeros(320), self.v_bias)
        q, k, v = (F.linear(x.flatten(1, 2), w, b).unflatten(2, (8, 40)) for w, b in zip(parts, biases, strict=True))
        scores = torch.einsum("bihc,bjhc->bhij", F.normalize(q, dim=-1), F.normalize(k, dim=-1))
        scores = scores * self.logit_scale.clamp(max=math.log(100)).exp()
        row, column = (at.flatten() for at in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
        near = torch.ones(height * width, height * width, dtype=torch.bool)
        for at in (row, column):
            window = (at - shift).div(8, rounding_mode="floor")
            near &= window[:, None] == window
        down, right = (at[:, None] - at for at in (row, column))
        bias = 16 * self.cpb_mlp(self.relative_coords_table).reshape(225, 8).sigmoid()
        scores = scores + bias[self.number(down.clamp(-7, 7), right.clamp(-7, 7))].permute(2, 0, 1)
        shares = scores.masked_fill(~near, -math.inf).softmax(-1)
        found = torch.einsum("bhij,bjhc->bihc", shares, v).reshape(count, height, width, 320)
        return self.proj(found)


class Block(nn.Module):
    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift = shift
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(320), Attention(), nn.LayerNorm(320)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(320, 1280), "fc2": nn.Linear(1280, 320)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.norm1(self.attn(x, self.shift))
        return x + self.norm2(self.mlp["fc2"](F.gelu(self.mlp["fc1"](x))))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(320)})
        self.layers = nn.ModuleList(
            nn.ModuleDict({"blocks": nn.ModuleList(Block(shift) for shift in (0, 4, 0, 4))}) for _ in range(2)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(320) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed["norm"](x.permute(0, 2, 3, 1))
        for group, norm in zip(self.layers, self.norms, strict=True):
            for block in group["blocks"]:  # type: ignore[index]
                x = block(x)
            x = norm(x)
        return x.permute(0, 3, 1, 2)


class Published(nn.Module):
    """The network that reads the picture, with the published names."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.domain_transformers = Encoder(), nn.ParameterDict()
        for label in LABELS:
            self.domain_transformers[label] = Transformer()

    def forward(self, picture: Tensor, labels: list[str]) -> Tensor:
        shared = self.encoder(picture)
        return torch.cat([self.domain_transformers[label](shared) for label in labels])


def stirred(network: Any) -> Any:
    """The network with every weight drawn anew, also those that training begins with as zeros."""
    draw = torch.Generator().manual_seed(5)
    for value in network.parameters():
        value.data.add_(torch.randn(value.shape, generator=draw) * 0.05)
    return network.eval()


def published() -> Published:
    """The network that reads the picture, the same in every call."""
    return stirred(coupled.seeded(Published))


def base(folder: Path) -> Path:
    """The base, small."""
    parts = {**coupled.words("sd21"), "unet": coupled.seeded(diffusers.UNet2DConditionModel, **UNET)}
    return coupled.written(folder, "StableDiffusionPipeline", parts, SCHEDULER)


def control_config() -> dict[str, Any]:
    """The ControlNet's configuration, as the authors' class writes it."""
    same = ("block_out_channels", "layers_per_block", "attention_head_dim", "cross_attention_dim")
    with torch.device("meta"):
        plain = diffusers.ControlNetModel(
            **{name: UNET[name] for name in same},
            down_block_types=UNET["down_block_types"],
            use_linear_projection=True,
        )
    kept = {name: value for name, value in plain.config.items() if not name.startswith("_")}
    return {"_class_name": "ControlNetModel", "_diffusers_version": "0.24.0", **kept, **OWN}


def trained(folder: Path) -> Path:
    """The authors' folder `trained_models`."""
    config = control_config()
    control = stirred(diffusers.ControlNetModel.from_config(dict(config)))
    tensors = {n: v for n, v in control.state_dict().items() if not n.startswith("controlnet_cond_embedding.")}
    own = {f"controlnet_cond_embedding.{name}": value for name, value in published().state_dict().items()}
    (folder / "controlnet").mkdir(parents=True)
    (folder / "controlnet" / "config.json").write_text(json.dumps(config))
    save_file({**tensors, **own}, folder / "controlnet" / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    draw = torch.Generator().manual_seed(6)
    texts = {f"prompt_embeds.{label}": torch.randn(1, 77, 1024, generator=draw) for label in LABELS}
    (folder / "prompt_adapter").mkdir()
    torch.save(texts, folder / "prompt_adapter" / "prompt_adapter.pt")
    return folder
