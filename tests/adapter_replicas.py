"""Tiny folders of what is added to Stable Diffusion, in the published layout, with random weights."""

from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import save_file

from .coupled_replicas import PNDM, SD2, SMALL, WIDTHS, resampler, sd15, sdxl, seeded, tower, words, written


def sd21(folder: Path) -> Path:
    """Stable Diffusion 2.1 base."""
    small = {"cross_attention_dim": 32, "attention_head_dim": [4, 8, 8, 8]}
    unet = seeded(diffusers.UNet2DConditionModel, **{**SD2, **SMALL, **small})
    parts = {"unet": unet, **words("sd21")}
    return written(folder, "StableDiffusionPipeline", parts, PNDM, safety_checker=[None, None])


BASES = {"sd15": sd15, "sdxl": sdxl, "sd21": sd21}


def t2i(folder: Path, hint: str, kind: str) -> Path:
    """A T2I-Adapter for a base: of edges it reads one channel, of depth three."""
    shape: dict[str, Any] = {"channels": [*WIDTHS], "in_channels": 1 if hint == "canny" else 3, "num_res_blocks": 2}
    shape |= {"downscale_factor": 16, "adapter_type": "full_adapter_xl"} if kind == "sdxl" else {"downscale_factor": 8}
    seeded(diffusers.T2IAdapter, **shape).save_pretrained(folder)
    return folder


def ip_adapter(folder: Path, base: Path, kind: str) -> Path:
    """IP-Adapter's folder: its image encoder, and the files for `base`."""
    unet: Any = diffusers.UNet2DConditionModel.from_pretrained(base / "unet")
    encoder = tower()
    encoder.save_pretrained(folder / "models" / "image_encoder")
    config, width = encoder.config, unet.config.cross_attention_dim
    draw = torch.Generator().manual_seed(23)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw) / shape[-1] ** 0.5

    layers = [name for name in unet.attn_processors if "attn2" in name]
    read: dict[str, torch.Tensor] = {}
    for i, name in enumerate(layers):
        out = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
        read |= {f"ip_adapter.{2 * i + 1}.to_{part}_ip.weight": drawn(out, width) for part in "kv"}
    made = {"proj.weight": drawn(4 * width, config.projection_dim), "proj.bias": drawn(4 * width)}
    made |= {"norm.weight": 1 + drawn(width), "norm.bias": drawn(width)}
    place = folder / ("sdxl_models" if kind == "sdxl" else "models")
    place.mkdir(exist_ok=True)
    name = "ip-adapter_sdxl_vit-h" if kind == "sdxl" else "ip-adapter_sd15"
    save_file({f"image_proj.{k}": v for k, v in made.items()} | read, place / f"{name}.safetensors")
    if kind == "sd15":
        made = {f"image_proj.{k}": v for k, v in resampler(config.hidden_size, width, drawn).items()}
        save_file(made | read, place / "ip-adapter-plus_sd15.safetensors")
    return folder


def camera_encoder(kind: str) -> Any:
    """The T2I-Adapter in MV-Adapter's file, of a base's widths."""
    shape: dict[str, Any] = {"channels": [*WIDTHS], "in_channels": 6, "num_res_blocks": 2}
    shape |= {"downscale_factor": 16, "adapter_type": "full_adapter_xl"} if kind == "sdxl" else {"downscale_factor": 8}
    return seeded(diffusers.T2IAdapter, **shape)


def mv_adapter(folder: Path, base: Path, kind: str) -> Path:
    """MV-Adapter's folder with its file for text, whose layers are those of `base`.

    Training starts with layers of the base's weights and outputs of zero; here none is zero or the base's own.
    """
    unet = diffusers.UNet2DConditionModel.from_pretrained(base / "unet")
    draw = torch.Generator().manual_seed(17)
    weights = dict(camera_encoder(kind).state_dict())
    for name, value in unet.state_dict().items():
        layer, found, part = name.partition(".attn1.")
        if not found:
            continue
        out = part.startswith("to_out")
        part = part.replace("to_out", "to_out_mv") if out else part.replace(".", "_mv.")
        spread = 1 / value.shape[-1] ** 0.5
        weights[f"{layer}.attn1.processor.{part}"] = torch.randn(value.shape, generator=draw) * spread
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / f"mvadapter_t2mv_{kind}.safetensors")
    return folder
