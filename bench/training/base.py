"""Train the base model: a small latent diffusion UNet with its CLIP text encoder, on the codec's latents."""

# (diffusers and transformers are partly untyped and export lazily.)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel

from .codec import CHANNELS
from .loop import Plan, is_first, launch, train, where
from .noise import Noise, schedule
from .saved import read as saved
from .stream import codec_of, latents
from .tokenizer import LENGTH
from .tokenizer import build as build_tokenizer
from .tokenizer import save as save_tokenizer

SHIPPED = Path(__file__).parents[1] / "models" / "weights" / "reference"


class Base(nn.Module):
    """UNet and text encoder as one module, so that one optimiser and one average hold both."""

    def __init__(self, unet: UNet2DConditionModel, text: CLIPTextModel):
        super().__init__()
        self.unet = unet
        self.text = text


def build(channels: int = CHANNELS, widths: tuple[int, ...] = (64, 80, 96), text: int = 128) -> Base:
    """The architecture for (n, channels, 16, 16) latents; with cross-attention to the text at every resolution."""
    tokenizer: Any = build_tokenizer()
    encoder: Any = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=text,
            intermediate_size=2 * text,
            projection_dim=text,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    # the published initial spread (0.02) leaves words nearly alike for the first thousand steps
    nn.init.normal_(encoder.get_input_embeddings().weight, std=0.3)
    unet: Any = UNet2DConditionModel(
        sample_size=16,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=widths,
        down_block_types=("CrossAttnDownBlock2D",) * len(widths),
        up_block_types=("CrossAttnUpBlock2D",) * len(widths),
        mid_block_type="UNetMidBlock2DCrossAttn",
        layers_per_block=1,
        cross_attention_dim=text,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(unet.conv_out.bias)
    return Base(unet, encoder)


def pipeline(base: Base, codec: AutoencoderTiny) -> StableDiffusionPipeline:
    """A diffusers pipeline of base and codec."""
    parts: Any = StableDiffusionPipeline  # whose annotations know only the parts of the published checkpoints
    return parts(
        vae=codec,
        text_encoder=base.text,
        tokenizer=build_tokenizer(),
        unet=base.unet,
        scheduler=schedule(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def export(base: Base, codec: AutoencoderTiny, folder: Path) -> None:
    """Write the pipeline folder in half precision; the models in memory stay as they are."""
    pipe = pipeline(base, codec)
    pipe.save_pretrained(folder, safe_serialization=True)
    parts = {"vae": codec, "unet": base.unet, "text_encoder": base.text}
    for name, module in parts.items():
        module.half().save_pretrained(folder / name, safe_serialization=True)
        module.float()
    save_tokenizer(folder / "tokenizer")
    # readers take a text encoder's precision from its config: half on disk, single in memory
    config = folder / "text_encoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "dtype": "float32"}, indent=2) + "\n")
    for config in folder.glob("*/config.json"):  # where a part was read from is nobody's business
        facts = {name: value for name, value in json.loads(config.read_text()).items() if name != "_name_or_path"}
        config.write_text(json.dumps(facts, indent=2) + "\n")


def main(
    out: Path,
    steps: int = 15_000,
    minutes: float | None = None,
    resume: bool = True,
    seed: int = 0,
    codec: Path | None = None,
    scenes: int = 20_000,
    size: int = 32,
    rate: float = 8e-4,
    tail: float = 0.25,
    save_every: int = 250,
    processes: int = 2,
    start: Path | None = None,
    device: str = "auto",
    views: int = 0,
    share: float = 0.6,
) -> None:
    """Train on cached latents of ``scenes`` flat renders; leaves a pipeline folder in ``out / "pipeline"``.

    ``views`` pictures of the 3-D world, from all its cameras, make the ``share`` of every batch.
    ``codec`` is the folder of the trained codec (default: the shipped one). One caption in ten is dropped for
    classifier-free guidance; the timesteps of a batch are spread evenly over the schedule. ``start`` is an earlier
    pipeline folder to continue from: the learning rate is constant except in the last ``tail`` of the budget, so that a
    run can be continued later.
    """
    device, processes = where(device, processes)
    codec = codec or SHIPPED / "vae"
    latents(codec, out / "latents.pt", seed + 2, scenes, processes)
    if views:
        latents(codec, out / "views.pt", seed + 4, views, processes, "views")
    plan = Plan(
        out, steps, minutes, resume, seed, rate=rate, save_every=save_every, warmup=200, tail=tail, device=device
    )
    launch(_run, processes, plan, codec, scenes, size // processes, start, views, share)


def _run(
    plan: Plan, codec: Path, scenes: int, size: int, start: Path | None, views: int = 0, share: float = 0.6
) -> None:
    torch.manual_seed(plan.seed)
    z, captions = latents(codec, plan.out / "latents.pt", plan.seed + 2, scenes, 1)
    if views:
        more, said = latents(codec, plan.out / "views.pt", plan.seed + 4, views, 1, "views")
        z, captions = torch.cat([z, more]), [*captions, *said]
    tokenizer: Any = build_tokenizer()
    tokens = tokenizer([*captions, ""], padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids
    tokens, empty = tokens[:-1], tokens[-1]
    base = build(z.shape[1]) if start is None else read(start)
    base.to(plan.device)
    unet: Any = base.unet
    unet.to(memory_format=torch.channels_last)
    if plan.device == "cpu":  # where the fused kernel's backward pass is far slower
        unet.set_attn_processor(AttnProcessor())
    noise = Noise()

    def loss(step: int, random: torch.Generator) -> dict[str, torch.Tensor]:
        pick = torch.randint(scenes, (size,), generator=random)
        if views:
            seen = torch.randint(scenes, len(z), (size,), generator=random)
            pick = torch.where(torch.rand(size, generator=random) < share, seen, pick)
        x = z[pick].float()
        words = torch.where(torch.rand(size, 1, generator=random) < 0.1, empty, tokens[pick])
        t = noise.times(size, random)
        noisy, wanted = noise.mix(x, t, random)
        noisy, wanted = noisy.to(plan.device, memory_format=torch.channels_last), wanted.to(plan.device)
        with plan.half():
            v = unet(noisy, t.to(plan.device), base.text(words.to(plan.device)).last_hidden_state).sample
        error = F.mse_loss(v.float(), wanted, reduction="none").mean((1, 2, 3))
        return {"loss": error.mean(), "noisy_half": error[size // 2 :].mean()}

    train(base, loss, plan).swap()
    if is_first():
        export(base.eval().cpu(), codec_of(codec), plan.out / "pipeline")


def read(folder: Path) -> Base:
    """UNet and text encoder of a pipeline folder, in single precision."""
    how: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=torch.float32, **how)
    return Base(unet, CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", dtype=torch.float32, **how))


def load(state: Path, codec: Path, channels: int = CHANNELS) -> tuple[Base, AutoencoderTiny]:
    """The averaged model of a run's ``state.pt``, finished or not, and the codec."""
    base = build(channels)
    base.load_state_dict(saved(state, {"average": dict})["average"], strict=False)
    return base.eval(), codec_of(codec)


if __name__ == "__main__":
    import typer

    typer.run(main)
