"""Tiny folders of the published checkpoints of clips and views, in the published layout, with random weights.

Configurations are the published ones but for widths, depths and the width of the text.
"""

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors.torch import load_file, save_file
from syncbench.bench.models.tiny import Tiny

WIDTHS = (32, 64, 64, 64)
SMALL: dict[str, Any] = {"block_out_channels": WIDTHS, "norm_num_groups": 8, "layers_per_block": 1}
SD2: dict[str, Any] = {
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "use_linear_projection": True,
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "sample_size": 64,
}
"""Of Stable Diffusion 2's UNet: what differs from the class's defaults."""
PNDM: dict[str, Any] = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    **{"beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000},
    **{"set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None},
    "clip_sample": False,
}
"""Stable Diffusion 1.5's file."""
DDIM: dict[str, Any] = {
    "_class_name": "DDIMScheduler",
    **{"beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000},
    **{"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, "prediction_type": "epsilon"},
    "trained_betas": None,
}
"""MVDream's, and ModelScope's."""
ANCESTRAL: dict[str, Any] = {
    "_class_name": "EulerAncestralDiscreteScheduler",
    "_diffusers_version": "0.17.1",
    **{"beta_end": 0.012, "beta_schedule": "linear", "beta_start": 0.00085, "clip_sample": False},
    **{"num_train_timesteps": 1000, "prediction_type": "v_prediction", "set_alpha_to_one": False},
    **{"skip_prk_steps": True, "steps_offset": 1, "trained_betas": None},
}
"""Zero123++'s, with the keys that its class does not know."""
KARRAS: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    **{"beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False},
    **{"interpolation_type": "linear", "num_train_timesteps": 1000, "prediction_type": "v_prediction"},
    **{"set_alpha_to_one": False, "sigma_max": 700.0, "sigma_min": 0.002, "skip_prk_steps": True, "steps_offset": 1},
    **{"timestep_spacing": "leading", "timestep_type": "continuous", "trained_betas": None, "use_karras_sigmas": True},
}
"""Stable Video Diffusion's."""
UNIPC: dict[str, Any] = {
    "_class_name": "UniPCMultistepScheduler",
    **{"beta_end": 0.02, "beta_schedule": "linear", "beta_start": 0.0001, "flow_shift": 3.0},
    **{"num_train_timesteps": 1000, "prediction_type": "flow_prediction", "solver_order": 2, "solver_type": "bh2"},
    **{"steps_offset": 0, "timestep_spacing": "linspace", "use_flow_sigmas": True, "use_karras_sigmas": False},
}
"""Wan's."""
MVDREAM: dict[str, Any] = {
    "_class_name": "MultiViewUNetModel",
    **{"attention_resolutions": [4, 2, 1], "camera_dim": 16, "channel_mult": [1, 2, 4, 4], "context_dim": 1024},
    **{"image_size": 32, "in_channels": 4, "model_channels": 320, "num_head_channels": 64, "num_res_blocks": 2},
    **{"out_channels": 4, "transformer_depth": 1},
}
"""MVDream's `unet/config.json`."""
ADAPTERS: dict[str, dict[str, Any]] = {
    "v1-4": {"motion_max_seq_length": 24, "use_motion_mid_block": False},
    "v1-5-2": {"motion_max_seq_length": 32, "use_motion_mid_block": True},
    "v1-5-3": {"motion_max_seq_length": 32, "use_motion_mid_block": False},
    "sdxl-beta": {
        "block_out_channels": (320, 640, 1280),
        "motion_max_seq_length": 32,
        "use_motion_mid_block": False,
    },
}
"""AnimateDiff's, but for what is the class's default."""
WAN: dict[str, Any] = {
    **{"patch_size": [1, 2, 2], "num_attention_heads": 12, "attention_head_dim": 128, "in_channels": 16},
    **{"out_channels": 16, "text_dim": 4096, "freq_dim": 256, "ffn_dim": 8960, "num_layers": 30},
    **{"cross_attn_norm": True, "qk_norm": "rms_norm_across_heads", "eps": 1e-6, "rope_max_seq_len": 1024},
}
"""Wan 2.1 1.3B's transformer."""
SVD_VAE: dict[str, Any] = {
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    **{"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent_channels": 4},
}


def seeded(make: Any, **options: Any) -> Any:
    """A network with weights of its own seed, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(len(str(options)))
        return make(**options).eval()


def written(folder: Path, pipeline: str, parts: dict[str, Any], scheduler: dict[str, Any], **index: Any) -> Path:
    """A pipeline's folder: networks, tokenizers and processors saved, the scheduler's file as it is."""
    listed: dict[str, Any] = {"_class_name": pipeline, "_diffusers_version": "0.24.0"}
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        library = type(part).__module__.split(".")[0]
        listed[name] = [library, type(part).__name__]
    (folder / "scheduler").mkdir(parents=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    listed["scheduler"] = ["diffusers", scheduler["_class_name"]]
    (folder / "model_index.json").write_text(json.dumps({**listed, **index}))
    prefix_text(folder / "text_encoder")
    return folder


def prefix_text(folder: Path) -> None:
    """CLIP's text weights under the published names, `text_model.`, with the published stale tensor."""
    file = folder / "model.safetensors"
    if not file.exists() or "clip" not in (folder / "config.json").read_text().lower():
        return
    flat = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in load_file(file).items()}
    places = flat["text_model.embeddings.position_embedding.weight"].shape[0]
    flat["text_model.embeddings.position_ids"] = torch.arange(places)[None]
    save_file(flat, file, {"format": "pt"})


def words(kind: str) -> dict[str, Any]:
    """Text encoder, tokenizer and codec of Stable Diffusion 1.5 or 2, tiny."""
    pipe = Tiny(kind=kind, device="cpu").pipeline  # type: ignore[arg-type]
    return {"text_encoder": pipe.text_encoder, "tokenizer": pipe.tokenizer, "vae": pipe.vae}


def tower(width: int = 32) -> Any:
    """A vision tower with a projection."""
    config = transformers.CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, projection_dim=width,
        image_size=224, patch_size=56,
    )  # fmt: skip
    return seeded(transformers.CLIPVisionModelWithProjection, config=config)


def motion(folder: Path, name: str = "v1-5-2") -> Path:
    """An adapter for `sd15`, or with the name of XL's for `sdxl`."""
    widths = WIDTHS[:3] if name == "sdxl-beta" else WIDTHS
    facts = {**ADAPTERS[name], "block_out_channels": widths, "motion_layers_per_block": 2 if widths[3:] == () else 1}
    adapter = seeded(diffusers.MotionAdapter, **facts, motion_norm_num_groups=8, motion_num_attention_heads=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        for layer in adapter.modules():  # their last layers start at zero, where they would change nothing
            if hasattr(layer, "proj_out"):
                torch.nn.init.normal_(layer.proj_out.weight, std=0.1)
    adapter.save_pretrained(folder)
    return folder


def sd15(folder: Path) -> Path:
    """Stable Diffusion 1.5."""
    types = {name: SD2[name] for name in ("down_block_types", "up_block_types", "sample_size")}
    unet = seeded(diffusers.UNet2DConditionModel, **types, **SMALL, attention_head_dim=8, cross_attention_dim=32)
    parts = {"unet": unet, **words("sd15")}
    return written(folder, "StableDiffusionPipeline", parts, PNDM, safety_checker=[None, None])


def sdxl(folder: Path) -> Path:
    """Stable Diffusion XL, of the widths of `motion`."""
    pipe = Tiny(kind="sdxl", device="cpu").pipeline
    config = {**pipe.unet.config, "block_out_channels": WIDTHS[:3], "norm_num_groups": 8}
    pipe.unet = seeded(diffusers.UNet2DConditionModel, **{k: v for k, v in config.items() if not k.startswith("_")})
    pipe.save_pretrained(folder)
    return folder


def control(folder: Path) -> Path:
    """A depth ControlNet for `sd15`."""
    types = {"down_block_types": SD2["down_block_types"], "attention_head_dim": 8, "cross_attention_dim": 32}
    net = seeded(diffusers.ControlNetModel, **types, **SMALL)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for layer in (*net.controlnet_down_blocks, net.controlnet_mid_block):
            torch.nn.init.normal_(layer.weight, std=0.1)
    net.save_pretrained(folder)
    return folder


def mvdream(folder: Path, stock: bool = False) -> Path:
    """MVDream's folder, with the network under its original names or as a stock class."""
    camera = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 16}
    heads = {"attention_head_dim": [1, 2, 4, 4]}
    widths = {**SMALL, "block_out_channels": (32, 64, 128, 128), "norm_num_groups": 32}
    unet = seeded(diffusers.UNet2DConditionModel, **{**SD2, **widths, **camera, **heads, "cross_attention_dim": 32})
    written(folder, "MVDreamPipeline", {"unet": unet, **words("sd21")}, DDIM, feature_extractor=[None, None])
    if not stock:
        index = json.loads((folder / "model_index.json").read_text())
        index["unet"] = ["mv_unet", "MultiViewUNetModel"]
        (folder / "model_index.json").write_text(json.dumps(index))
        small = {"context_dim": 32, "model_channels": 32, "num_head_channels": 32, "num_res_blocks": 1}
        (folder / "unet" / "config.json").write_text(json.dumps({**MVDREAM, **small}))
        (folder / "unet" / "mv_unet.py").write_text("raise SystemExit('code of a folder was run')\n")
        file = folder / "unet" / "diffusion_pytorch_model.safetensors"
        save_file(original_names(load_file(file), 1), file, {"format": "pt"})
    return folder


def imagedream(folder: Path) -> Path:
    """ImageDream's folder: MVDream's, with layers that read a picture's tokens, and a vision tower."""
    mvdream(folder)
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps({**config, "ip_dim": 16, "ip_weight": 1.0}))
    draw = torch.Generator().manual_seed(29)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw) / shape[-1] ** 0.5

    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    for name in [name for name in weights if name.endswith("attn2.to_k.weight")]:
        for part in ("k", "v"):
            weights[name.replace("to_k.", f"to_{part}_ip.")] = drawn(*weights[name].shape)
    weights |= {f"image_embed.{name}": value for name, value in resampler(32, 32, drawn).items()}
    save_file(weights, file, {"format": "pt"})
    encoder = tower()
    encoder.save_pretrained(folder / "image_encoder")
    transformers.CLIPImageProcessor().save_pretrained(folder / "feature_extractor")
    index = json.loads((folder / "model_index.json").read_text())
    index["image_encoder"] = ["transformers", "CLIPVisionModelWithProjection"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def resampler(reads: int, width: int, drawn: Any, inner: int = 64, depth: int = 4) -> dict[str, torch.Tensor]:
    """What makes 16 tokens of an encoder's patches, under its published names."""
    found = {"latents": drawn(1, 16, inner), "proj_in.weight": drawn(inner, reads), "proj_in.bias": drawn(inner)}
    found |= {"proj_out.weight": drawn(width, inner), "proj_out.bias": drawn(width)}
    found |= {"norm_out.weight": 1 + drawn(width), "norm_out.bias": drawn(width)}
    for i in range(depth):
        for norm in ("0.norm1", "0.norm2", "1.0"):
            found |= {f"layers.{i}.{norm}.weight": 1 + drawn(inner), f"layers.{i}.{norm}.bias": drawn(inner)}
        found[f"layers.{i}.0.to_q.weight"] = drawn(64, inner)
        found[f"layers.{i}.0.to_kv.weight"] = drawn(128, inner)
        found[f"layers.{i}.0.to_out.weight"] = drawn(inner, 64)
        found[f"layers.{i}.1.1.weight"] = drawn(4 * inner, inner)
        found[f"layers.{i}.1.3.weight"] = drawn(inner, 4 * inner)
    return found


def original_names(weights: dict[str, Any], layers: int) -> dict[str, Any]:
    """The names of the latent diffusion code for a UNet of four levels, written from the layout of its blocks."""
    resnet = {
        "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
        "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
    }  # fmt: skip
    blocks = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "class_embedding.linear_1": "camera_embed.0", "class_embedding.linear_2": "camera_embed.2",
        "conv_norm_out": "out.0", "conv_out": "out.2", "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1", "mid_block.resnets.1": "middle_block.2",
    }  # fmt: skip
    for level in range(4):
        for j in range(layers):
            at = 1 + level * (layers + 1) + j
            blocks[f"down_blocks.{level}.resnets.{j}"] = f"input_blocks.{at}.0"
            blocks[f"down_blocks.{level}.attentions.{j}"] = f"input_blocks.{at}.1"
        blocks[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{(level + 1) * (layers + 1)}.0.op"
        for j in range(layers + 1):
            at = level * (layers + 1) + j
            blocks[f"up_blocks.{level}.resnets.{j}"] = f"output_blocks.{at}.0"
            blocks[f"up_blocks.{level}.attentions.{j}"] = f"output_blocks.{at}.1"
        place = 1 if level == 0 else 2  # the lowest level has no attention before it
        blocks[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{level * (layers + 1) + layers}.{place}.conv"
    found = {}
    for name, value in weights.items():
        old = max((b for b in blocks if name.startswith(f"{b}.")), key=len)
        rest = name[len(old) + 1 :]
        if ".resnets." in f".{old}.":
            part, _, end = rest.partition(".")
            rest = f"{resnet[part]}.{end}"
        found[f"{blocks[old]}.{rest}"] = value
    return found


def svd(folder: Path, frames: int = 25) -> Path:
    """Stable Video Diffusion."""
    unet = seeded(
        diffusers.UNetSpatioTemporalConditionModel,
        **{"block_out_channels": WIDTHS, "layers_per_block": 1, "num_attention_heads": [4, 8, 8, 8]},
        **{"cross_attention_dim": 32, "sample_size": 96, "num_frames": frames},
        **{"addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 768},
    )
    narrow = {"block_out_channels": [32] * 4, "layers_per_block": 1}
    vae = seeded(diffusers.AutoencoderKLTemporalDecoder, **{**SVD_VAE, **narrow}, sample_size=768)
    parts = {"unet": unet, "vae": vae, "image_encoder": tower(), "feature_extractor": transformers.CLIPImageProcessor()}
    return written(folder, "StableVideoDiffusionPipeline", parts, KARRAS)


def zero123plus(folder: Path) -> Path:
    """Zero123++."""
    unet = seeded(
        diffusers.UNet2DConditionModel,
        **{**SD2, **SMALL, "cross_attention_dim": 32, "attention_head_dim": [4, 8, 8, 8]},
    )
    wide = {"image_mean": [0.5] * 3, "image_std": [0.8] * 3, "resample": 2}
    large = transformers.CLIPImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, **wide)
    parts = {"unet": unet, **words("sd21"), "vision_encoder": tower()}
    parts |= {"feature_extractor_clip": transformers.CLIPImageProcessor(), "feature_extractor_vae": large}
    ramp = [0.003018 + i / 77 for i in range(77)]
    return written(
        folder, "Zero123PlusPipeline", parts, ANCESTRAL, ramping_coefficients=ramp, safety_checker=[None] * 2
    )


def modelscope(folder: Path) -> Path:
    """ModelScope's."""
    unet = seeded(
        diffusers.UNet3DConditionModel, **{**SMALL, "attention_head_dim": 8, "cross_attention_dim": 32}, sample_size=32
    )
    return written(folder, "TextToVideoSDPipeline", {"unet": unet, **words("sd21")}, DDIM)


def wan(folder: Path) -> Path:
    """Wan 2.1."""
    small = {"num_attention_heads": 2, "attention_head_dim": 16, "ffn_dim": 64, "num_layers": 2, "text_dim": 32}
    net = seeded(diffusers.WanTransformer3DModel, **{**WAN, **small})
    vae = seeded(diffusers.AutoencoderKLWan, base_dim=8, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    text = transformers.UMT5Config(
        vocab_size=300, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
    )  # fmt: skip
    parts = {"transformer": net, "vae": vae, "text_encoder": seeded(transformers.UMT5EncoderModel, config=text)}
    parts["tokenizer"] = pieces()
    return written(folder, "WanPipeline", parts, UNIPC)


def pieces() -> Any:
    """T5's tokenizer with a vocabulary of letters."""
    letters = [*"▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,.-"]
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((letter, -1.0) for letter in letters)]
    return transformers.T5TokenizerFast(vocab=vocab, extra_ids=0, model_max_length=512)


REPLICAS: dict[str, Any] = {
    **{
        "sd_animatediff": sd15,
        "sd_mvdream": mvdream,
        "sd_imagedream": imagedream,
        "svd": svd,
        "sd_zero123plus": zero123plus,
    },
    **{"modelscope": modelscope, "wan": wan, "motion": motion, "control": control},
}
