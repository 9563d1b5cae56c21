"""Published picture checkpoints: their configurations, tiny replicas of them, and folders as they are published.

Configurations are those of the published files. A replica keeps channels, block types, embeddings, kinds of values and
schedulers, and shrinks widths and depths only.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import load_file, save_file
from syncbench.bench.models.tiny import _tokenizer as clip_tokenizer  # pyright: ignore[reportPrivateUsage]
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

Json = dict[str, Any]
_ATTENDED, _PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
SD15: Json = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": [_ATTENDED] * 3 + [_PLAIN],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
SD2: Json = SD15 | {
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
XL: Json = {
    "sample_size": 128,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": [_PLAIN, _ATTENDED, _ATTENDED],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [320, 640, 1280],
    "layers_per_block": 2,
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD3: Json = {
    "sample_size": 128,
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 24,
    "attention_head_dim": 64,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048,
    "pos_embed_max_size": 192,
}
SD35: Json = SD3 | {"pos_embed_max_size": 384, "qk_norm": "rms_norm", "dual_attention_layers": list(range(13))}
FLUX: Json = {
    "patch_size": 1,
    "in_channels": 64,
    "num_layers": 19,
    "num_single_layers": 38,
    "attention_head_dim": 128,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 768,
    "guidance_embeds": True,
    "axes_dims_rope": [16, 56, 56],
}
PIXART: Json = {
    "sample_size": 128,
    "patch_size": 2,
    "in_channels": 4,
    "out_channels": 8,
    "num_layers": 28,
    "attention_head_dim": 72,
    "num_attention_heads": 16,
    "cross_attention_dim": 1152,
    "caption_channels": 4096,
    "interpolation_scale": 2,
    "use_additional_conditions": False,
    "norm_type": "ada_norm_single",
}
CONTROL: Json = {
    name: SD15[name]
    for name in (
        "down_block_types",
        "block_out_channels",
        "layers_per_block",
        "cross_attention_dim",
        "attention_head_dim",
    )
}
CONTROL_XL: Json = {name: XL[name] for name in XL if name not in ("sample_size", "up_block_types", "out_channels")}
VAE: Json = {
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}
VAE_XL: Json = VAE | {"scaling_factor": 0.13025, "force_upcast": True, "sample_size": 1024}
VAE16: Json = VAE | {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False, "sample_size": 1024}
VAE_SD3: Json = VAE16 | {"scaling_factor": 1.5305, "shift_factor": 0.0609}
VAE_FLUX: Json = VAE16 | {"scaling_factor": 0.3611, "shift_factor": 0.1159}

STRUCTURES: dict[str, tuple[str, Json, int, int]] = {
    "SD 1.5": ("UNet2DConditionModel", SD15, 859_520_964, 686),
    "InstructPix2Pix": ("UNet2DConditionModel", SD15 | {"in_channels": 8}, 859_532_484, 686),
    "SD 1.5 inpainting": ("UNet2DConditionModel", SD15 | {"in_channels": 9}, 859_535_364, 686),
    "SD 2": ("UNet2DConditionModel", SD2, 865_910_724, 686),
    "SD 2 depth": ("UNet2DConditionModel", SD2 | {"in_channels": 5}, 865_913_604, 686),
    "SD XL": ("UNet2DConditionModel", XL, 2_567_463_684, 1680),
    "ControlNet SD 1.5": ("ControlNetModel", CONTROL, 361_279_120, 340),
    "ControlNet SD XL": ("ControlNetModel", CONTROL_XL, 1_251_014_160, 844),
    "SD 3": ("SD3Transformer2DModel", SD3, 2_028_328_000, 683),
    "SD 3.5 medium": ("SD3Transformer2DModel", SD35, 2_243_171_520, 909),
    "FLUX dev": ("FluxTransformer2DModel", FLUX, 11_901_408_320, 1160),
    "FLUX schnell": ("FluxTransformer2DModel", FLUX | {"guidance_embeds": False}, 11_891_178_560, 1156),
    "PixArt-Sigma": ("PixArtTransformer2DModel", PIXART, 610_856_096, 603),
    "SD codec": ("AutoencoderKL", VAE, 83_653_863, 248),
    "SD 3 codec": ("AutoencoderKL", VAE_SD3, 83_819_683, 244),
}
"""Class, published configuration, parameters and tensors."""

_SCALED: Json = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "trained_betas": None,
}
PNDM: Json = _SCALED | {"_class_name": "PNDMScheduler", "skip_prk_steps": True}
SCHEDULERS: dict[str, Json] = {
    "sd15": PNDM,
    "inpainting": PNDM,
    "sd2_depth": PNDM | {"prediction_type": "epsilon"},
    "xl": _SCALED
    | {"_class_name": "EulerDiscreteScheduler", "prediction_type": "epsilon", "timestep_spacing": "leading"}
    | {"interpolation_type": "linear", "sample_max_value": 1.0, "skip_prk_steps": True, "use_karras_sigmas": False},
    # no timestep_spacing, and keys that were left over from DPM-Solver
    "instruct_pix2pix": _SCALED
    | {"_class_name": "EulerAncestralDiscreteScheduler", "prediction_type": "epsilon"}
    | {"algorithm_type": "dpmsolver++", "lower_order_final": True, "solver_order": 2, "solver_type": "midpoint"},
    "sd3": {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0},
    "flux": {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}
    | {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}
    | {"base_image_seq_len": 256, "max_image_seq_len": 4096},
    "schnell": {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 1.0}
    | {"use_dynamic_shifting": False, "base_shift": 0.5, "max_shift": 1.15},
    "pixart": {"_class_name": "DPMSolverMultistepScheduler", "num_train_timesteps": 1000, "beta_schedule": "linear"}
    | {"beta_start": 0.0001, "beta_end": 0.02, "prediction_type": "epsilon", "algorithm_type": "dpmsolver++"}
    | {"solver_order": 2, "thresholding": False, "trained_betas": None},
}
"""Scheduler files as they are published, with the keys that no class knows any more."""

_TINY: Json = {"layers_per_block": 1, "norm_num_groups": 8, "cross_attention_dim": 32}
_TINY_UNET: Json = _TINY | {"block_out_channels": [32, 64, 64, 64]}
TINY: dict[str, Json] = {
    "SD 1.5": _TINY_UNET,
    "InstructPix2Pix": _TINY_UNET,
    "SD 1.5 inpainting": _TINY_UNET,
    "SD 2 depth": _TINY_UNET | {"attention_head_dim": [2, 4, 4, 4]},
    "SD XL": _TINY
    | {"block_out_channels": [32, 64, 64], "attention_head_dim": [2, 4, 4], "transformer_layers_per_block": [1, 1, 2]}
    | {"cross_attention_dim": 80, "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 96},
    "SD 3": {"num_layers": 2, "attention_head_dim": 8, "num_attention_heads": 2, "caption_projection_dim": 16}
    | {"joint_attention_dim": 96, "pooled_projection_dim": 64},
    "FLUX dev": {"num_layers": 1, "num_single_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2}
    | {"joint_attention_dim": 32, "pooled_projection_dim": 32, "axes_dims_rope": [4, 6, 6]},
    "PixArt-Sigma": {"num_layers": 2, "attention_head_dim": 8, "num_attention_heads": 2, "cross_attention_dim": 16}
    | {"caption_channels": 32},
}
TINY |= {
    "SD 3.5 medium": TINY["SD 3"] | {"dual_attention_layers": [0]},
    "FLUX schnell": TINY["FLUX dev"],
    "ControlNet SD 1.5": _TINY_UNET | {"conditioning_embedding_out_channels": [4, 8, 8, 8]},
    "ControlNet SD XL": TINY["SD XL"] | {"conditioning_embedding_out_channels": [4, 8, 8, 8]},
}
_TINY_VAE: Json = {"block_out_channels": [8, 8, 8, 8], "norm_num_groups": 4, "layers_per_block": 1}


def made(name: str, seed: int = 0) -> Any:
    """A tiny network of the published structure, with weights that no layer starts at zero."""
    kind, config, *_ = STRUCTURES[name]
    torch.manual_seed(seed)
    net = getattr(diffusers, kind)(**config | TINY[name])
    for parameter in net.parameters():
        if parameter.ndim > 1 and not parameter.any():  # as ControlNets start, and the last layers of transformers
            torch.nn.init.normal_(parameter, std=0.1)
    if hasattr(net, "controlnet_cond_embedding"):  # so that hints weigh as much as the noise
        for parameter in net.controlnet_cond_embedding.parameters():
            parameter.data *= 4
    return net.eval()


def codec(config: Json) -> Any:
    """A tiny codec."""
    torch.manual_seed(1)
    return diffusers.AutoencoderKL(**config | _TINY_VAE).eval()


def clip(projected: bool = False, gelu: bool = False, seed: int = 2, width: int = 32) -> Any:
    """A tiny CLIP text encoder, with or without its projection."""
    words = len(clip_tokenizer())
    size = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    ends = {"bos_token_id": words - 2, "eos_token_id": words - 1, "pad_token_id": words - 1}
    config = CLIPTextConfig(
        vocab_size=words, projection_dim=width, hidden_act="gelu" if gelu else "quick_gelu", **size, **ends
    )
    torch.manual_seed(seed)
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def t5(width: int) -> Any:
    """A tiny T5 encoder of version 1.1, whose feed-forward layers are gated."""
    torch.manual_seed(3)
    config = T5Config(
        vocab_size=len(t5_tokenizer()), d_model=width, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return T5EncoderModel(config).eval()


@cache
def t5_tokenizer() -> Any:
    """A T5 tokenizer whose pieces are letters."""
    marks = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    letters = [(chr(code), -3.0) for code in range(33, 127)]
    return T5Tokenizer(vocab=[*marks, *letters], extra_ids=0, model_max_length=512)


def _scheduler(name: str) -> Any:
    config = SCHEDULERS[name]
    return getattr(diffusers, config["_class_name"]).from_config(config)


def _sd(name: str, unet: str, pipeline: str, gelu: bool = False) -> Any:
    parts: Json = {
        "vae": codec(VAE),
        "text_encoder": clip(gelu=gelu),
        "tokenizer": clip_tokenizer("!" if gelu else "<|endoftext|>"),
    }
    parts |= {"unet": made(unet), "scheduler": _scheduler(name), "feature_extractor": None}
    if pipeline == "StableDiffusionDepth2ImgPipeline":
        return diffusers.StableDiffusionDepth2ImgPipeline(**parts, depth_estimator=None)
    return getattr(diffusers, pipeline)(**parts, safety_checker=None, requires_safety_checker=False)


def pipeline(name: str) -> Any:
    """A tiny pipeline of the published structure: sd15, xl, sd2_depth, instruct_pix2pix, sd3, sd35, flux, ..."""
    if name == "sd15":
        return _sd(name, "SD 1.5", "StableDiffusionPipeline")
    if name == "instruct_pix2pix":
        return _sd(name, "InstructPix2Pix", "StableDiffusionInstructPix2PixPipeline")
    if name == "inpainting":
        pipe = _sd(name, "SD 1.5 inpainting", "StableDiffusionInpaintPipeline")
        pipe.vae.quant_conv.bias.data[4:] = -100.0  # the library draws the masked picture's latent: without spread
        pipe.vae.quant_conv.weight.data[4:] = 0.0
        return pipe
    if name == "sd2_depth":
        return _sd(name, "SD 2 depth", "StableDiffusionDepth2ImgPipeline", gelu=True)
    if name == "xl":
        return diffusers.StableDiffusionXLPipeline(
            vae=codec(VAE_XL), text_encoder=clip(), text_encoder_2=clip(True, True, 4, 48), tokenizer=clip_tokenizer(),
            tokenizer_2=clip_tokenizer("!"), unet=made("SD XL"), scheduler=_scheduler(name), add_watermarker=False,
        )  # fmt: skip
    if name in ("sd3", "sd35"):
        # 3.5 is made without T5, whose tokens are zeros then
        return diffusers.StableDiffusion3Pipeline(
            vae=codec(VAE_SD3), text_encoder=clip(True), text_encoder_2=clip(True, True, 4), tokenizer=clip_tokenizer(),
            tokenizer_2=clip_tokenizer("!"), text_encoder_3=t5(96) if name == "sd3" else None,
            tokenizer_3=t5_tokenizer() if name == "sd3" else None, scheduler=_scheduler("sd3"),
            transformer=made("SD 3" if name == "sd3" else "SD 3.5 medium"),
        )  # fmt: skip
    if name in ("flux", "schnell"):
        return diffusers.FluxPipeline(
            vae=codec(VAE_FLUX), text_encoder=clip(), text_encoder_2=t5(32), tokenizer=clip_tokenizer(),
            tokenizer_2=t5_tokenizer(), scheduler=_scheduler(name),
            transformer=made("FLUX dev" if name == "flux" else "FLUX schnell"),
        )  # fmt: skip
    assert name == "pixart"
    return diffusers.PixArtSigmaPipeline(
        vae=codec(VAE_XL), text_encoder=t5(32), tokenizer=t5_tokenizer(), transformer=made("PixArt-Sigma"),
        scheduler=_scheduler(name),
    )  # fmt: skip


def saved(name: str, folder: Path) -> Path:
    """The folder of a replica in the published layout."""
    pipeline(name).save_pretrained(folder)
    scheduler = SCHEDULERS["sd3" if name == "sd35" else name]
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    for part in ("text_encoder", "text_encoder_2"):
        _prefixed(folder / part / "model.safetensors")
    index = json.loads((folder / "model_index.json").read_text())
    if name in ("sd15", "instruct_pix2pix", "inpainting"):  # listed, and not there
        index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
        index["feature_extractor"] = ["transformers", "CLIPFeatureExtractor"]
    if name == "sd2_depth":
        index["depth_estimator"] = ["transformers", "DPTForDepthEstimation"]
        index["feature_extractor"] = ["transformers", "DPTFeatureExtractor"]
    if name == "pixart":  # by the old name of its class
        index["transformer"] = ["diffusers", "Transformer2DModel"]
        config = json.loads((folder / "transformer" / "config.json").read_text())
        (folder / "transformer" / "config.json").write_text(
            json.dumps(config | {"_class_name": "Transformer2DModel", "double_self_attention": False})
        )
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def original(pipe: Any) -> dict[str, Tensor]:
    """A pipeline's weights by the names of Stable Diffusion's first code, as files of one piece have them."""
    found = {f"model.diffusion_model.{k}": v for k, v in _original_unet(pipe.unet).items()}
    found |= {f"first_stage_model.{k}": v for k, v in _original_codec(pipe.vae).items()}
    clip = {k.removeprefix("text_model."): v for k, v in pipe.text_encoder.state_dict().items()}
    two = getattr(pipe, "text_encoder_2", None)
    prefix = "conditioner.embedders.0" if two is not None else "cond_stage_model"
    found |= {f"{prefix}.transformer.text_model.{name}": value for name, value in clip.items()}
    if two is not None:
        found |= {f"conditioner.embedders.1.model.{k}": v for k, v in _open_clip(two).items()}
    return {name: value.clone().contiguous() for name, value in found.items()}


_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def _original_unet(unet: Any) -> dict[str, Tensor]:
    layers, levels = unet.config.layers_per_block, len(unet.config.block_out_channels)
    places = {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}
    places |= {f"time_embedding.linear_{i}": f"time_embed.{2 * i - 2}" for i in (1, 2)}
    places |= {f"add_embedding.linear_{i}": f"label_emb.0.{2 * i - 2}" for i in (1, 2)}
    places |= {"mid_block.resnets.0": "middle_block.0", "mid_block.resnets.1": "middle_block.2"}
    places |= {"mid_block.attentions.0": "middle_block.1"}
    for level in range(levels):
        for i in range(layers + 1):
            down, up = 1 + level * (layers + 1) + i, level * (layers + 1) + i
            places[f"down_blocks.{level}.resnets.{i}"] = f"input_blocks.{down}.0"
            places[f"down_blocks.{level}.attentions.{i}"] = f"input_blocks.{down}.1"
            places[f"up_blocks.{level}.resnets.{i}"] = f"output_blocks.{up}.0"
            places[f"up_blocks.{level}.attentions.{i}"] = f"output_blocks.{up}.1"
        places[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{(level + 1) * (layers + 1)}.0.op"
        attended = "Attn" in unet.config.up_block_types[level]
        places[f"up_blocks.{level}.upsamplers.0.conv"] = (
            f"output_blocks.{level * (layers + 1) + layers}.{2 if attended else 1}.conv"
        )
    return _placed(unet.state_dict(), places, _RESNET)


def _original_codec(vae: Any) -> dict[str, Tensor]:
    levels = len(vae.config.block_out_channels)
    places: dict[str, str] = {}
    for side in ("encoder", "decoder"):
        places |= {f"{side}.mid_block.resnets.{i}": f"{side}.mid.block_{i + 1}" for i in (0, 1)}
        places |= {f"{side}.mid_block.attentions.0": f"{side}.mid.attn_1", f"{side}.conv_norm_out": f"{side}.norm_out"}
    for i in range(levels):
        for j in range(3):
            places[f"encoder.down_blocks.{i}.resnets.{j}"] = f"encoder.down.{i}.block.{j}"
            places[f"decoder.up_blocks.{i}.resnets.{j}"] = f"decoder.up.{levels - 1 - i}.block.{j}"
        places[f"encoder.down_blocks.{i}.downsamplers.0"] = f"encoder.down.{i}.downsample"
        places[f"decoder.up_blocks.{i}.upsamplers.0"] = f"decoder.up.{levels - 1 - i}.upsample"
    inside = {"conv_shortcut": "nin_shortcut", "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v"}
    found = _placed(vae.state_dict(), places, inside | {"to_out.0": "proj_out"})
    return {k: v[..., None, None] if "attn_1" in k and v.ndim == 2 else v for k, v in found.items()}


def _open_clip(encoder: Any) -> dict[str, Tensor]:
    weights = {k.removeprefix("text_model."): v for k, v in encoder.state_dict().items()}
    found = {
        "positional_embedding": weights["embeddings.position_embedding.weight"],
        "token_embedding.weight": weights["embeddings.token_embedding.weight"],
        "text_projection": weights["text_projection.weight"].T,
    }
    found |= {f"ln_final.{end}": weights[f"final_layer_norm.{end}"] for end in ("weight", "bias")}
    for i in range(encoder.config.num_hidden_layers):
        old, new = f"encoder.layers.{i}", f"transformer.resblocks.{i}"
        for end in ("weight", "bias"):
            found[f"{new}.attn.in_proj_{end}"] = torch.cat([weights[f"{old}.self_attn.{n}_proj.{end}"] for n in "qkv"])
            pairs = {"self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2"}
            pairs |= {"mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
            found |= {f"{new}.{b}.{end}": weights[f"{old}.{a}.{end}"] for a, b in pairs.items()}
    return found


def _placed(weights: dict[str, Tensor], places: dict[str, str], inside: dict[str, str]) -> dict[str, Tensor]:
    """Other names: the longest beginning of `places` that fits, then the parts of a layer."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        start = max((place for place in places if name.startswith(f"{place}.")), key=len, default="")
        rest = name.removeprefix(f"{start}.") if start else name
        known = (
            next((old for old in inside if rest.startswith(f"{old}.")), "") if "transformer_blocks" not in rest else ""
        )
        rest = inside[known] + rest.removeprefix(known) if known else rest
        found[f"{places[start]}.{rest}" if start else rest] = value
    return found


def _prefixed(path: Path) -> None:
    """The names that tensors of CLIP's text encoder have in published files."""
    if not path.exists():
        return
    found = load_file(path)
    if any(name.startswith(("text_model.", "encoder.block")) for name in found):  # so already, or T5's
        return
    renamed = {
        name if name.startswith("text_projection") else f"text_model.{name}": value for name, value in found.items()
    }
    renamed["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(renamed, path, {"format": "pt"})
