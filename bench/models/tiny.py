"""Random diffusers networks built from configuration under a fixed seed: no download, the published classes.

The configurations of `sd15`, `sd21` and `sdxl` are those of the published checkpoints (block types, attention layout,
conditioning, schedule, prediction type); `reference` is a small network, wider than the shipped reference model's.
`widths="tiny"` shrinks channels and depths for tests; `full` keeps the sizes, for timing.
"""

import hashlib
from functools import cached_property
from importlib import import_module
from typing import Any, Literal

import torch

from .parts.codec import Autoencoder
from .parts.composed import Composed, Parts
from .parts.denoiser import Precision, digest
from .parts.hollow import building
from .parts.levels import Discrete
from .parts.network import UNet
from .parts.texts import Text
from .parts.weights import Held

Kind = Literal["sd15", "sd21", "sdxl", "reference"]
Widths = Literal["tiny", "full"]

_ATTENDED, _PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
_SD: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": (_ATTENDED, _ATTENDED, _ATTENDED, _PLAIN),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "sample_size": 64,
}
UNETS: dict[Kind, dict[str, Any]] = {
    "sd15": _SD,
    "sd21": _SD
    | {
        "cross_attention_dim": 1024,
        "attention_head_dim": (5, 10, 20, 20),
        "use_linear_projection": True,
        "sample_size": 96,
    },
    "sdxl": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": (_PLAIN, _ATTENDED, _ATTENDED),
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 6 * 256 + 1280,
        "sample_size": 128,
    },
    "reference": {
        "block_out_channels": (64, 128, 128),
        "down_block_types": (_ATTENDED,) * 3,
        "layers_per_block": 1,
        "cross_attention_dim": 128,
        "attention_head_dim": 4,
        "norm_num_groups": 16,
        "sample_size": 16,
    },
}
TINY: dict[Kind, dict[str, Any]] = {
    "sd15": {"block_out_channels": (8, 16, 16, 16), "attention_head_dim": 2, "cross_attention_dim": 32},
    "sd21": {"block_out_channels": (8, 16, 16, 16), "attention_head_dim": (2, 4, 4, 4), "cross_attention_dim": 32},
    "sdxl": {
        "block_out_channels": (8, 16, 16),
        "attention_head_dim": (2, 4, 4),
        "transformer_layers_per_block": (1, 2, 2),
        "cross_attention_dim": 64,
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + 32,
    },
    "reference": {"block_out_channels": (8, 16, 16), "attention_head_dim": 2, "cross_attention_dim": 32},
}
TEXTS: dict[Kind, dict[str, int]] = {
    "sd15": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    "sd21": {"hidden_size": 1024, "num_hidden_layers": 23, "num_attention_heads": 16},
    "sdxl": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    "reference": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
}
SCHEDULE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
}


class Tiny(Composed):
    """A pipeline of random weights, served by the same code as real checkpoints; its pictures have no meaning."""

    id = "tiny"

    def __init__(
        self,
        *,
        kind: Kind = "sd15",
        widths: Widths = "tiny",
        sample_size: int | None = 8,
        seed: int = 0,
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
    ) -> None:
        """`sample_size` is the native size in latent cells (None: as published); `seed` draws the weights."""
        super().__init__(device, dtype, batch)
        self.kind: Kind = kind
        self._full = widths == "full"
        self._sample_size, self._seed = sample_size, seed

    @property
    def native(self) -> None:
        """None: nothing was trained."""
        return None

    @property
    def revision(self) -> str:
        """12 hex digits of the weights and the configuration."""
        total = hashlib.sha256()
        pipe = self.pipeline
        for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
            part = getattr(pipe, name, None)
            for key, value in part.state_dict().items() if part is not None else ():
                total.update(f"{name}.{key}".encode())
                total.update(value.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().tobytes())
        facts = {"kind": self.kind, "full": self._full, "size": self._sample_size, "dtype": str(self.precision)}
        return digest({"weights": total.hexdigest(), **facts})

    @cached_property
    def pipeline(self) -> Any:
        """The diffusers pipeline, on the device, frozen, in evaluation mode."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            scheduler = self._scheduler()  # has values on every device
            with building(self.device):
                pipe = self._build(scheduler)
        for name, part in pipe.components.items():
            if isinstance(part, torch.nn.Module):
                self.placement.put(part, exact=name != "unet")
        return pipe

    def parts(self) -> Parts:
        """The parts of the pipeline."""
        pipe, two = self.pipeline, self.kind == "sdxl"
        names = ("text_encoder", "text_encoder_2") if two else ("text_encoder",)
        codec = Autoencoder(Held(pipe.vae))
        without: dict[str, Any] = dict.fromkeys(("vae", "unet", "scheduler", "feature_extractor"))
        without |= {} if two else {"safety_checker": None, "requires_safety_checker": False}
        text = Text(
            pipeline=type(pipe).__name__,
            encoders={name: Held(getattr(pipe, name)) for name in names},
            tokenizers={
                name: lambda name=name: getattr(pipe, name)
                for name in (("tokenizer", "tokenizer_2") if two else ("tokenizer",))
            },
            outputs=("text", "", "pooled", "") if two else ("text",),
            zeros=bool(pipe.config.get("force_zeros_for_empty_prompt", False)),
            options={"num_images_per_prompt": 1, "do_classifier_free_guidance": False},
            parts=without,
        )
        return Parts(
            network=UNet(Held(pipe.unet), codec.factor),
            conditioners=(text,),
            codec=codec,
            levels=Discrete({k: v for k, v in pipe.scheduler.config.items() if not k.startswith("_")}),
            window=int(pipe.unet.config.sample_size) * codec.factor,
            folders={},
        )

    def _build(self, scheduler: Any) -> Any:
        diffusers: Any = import_module("diffusers")
        size = {} if self._sample_size is None else {"sample_size": self._sample_size}
        config: dict[str, Any] = (
            UNETS[self.kind] | ({} if self._full else TINY[self.kind] | {"norm_num_groups": 4}) | size
        )
        down: tuple[str, ...] = config["down_block_types"]
        up = tuple(block.replace("Down", "Up") for block in reversed(down))
        parts: dict[str, Any] = {
            "unet": diffusers.UNet2DConditionModel(**config, up_block_types=up),
            "vae": self._codec(),
            "tokenizer": _tokenizer(),
            "text_encoder": self._text_encoder(),
            "scheduler": scheduler,
        }
        if self.kind == "sdxl":
            parts |= {"tokenizer_2": _tokenizer("!"), "text_encoder_2": self._second_text_encoder()}
            return diffusers.StableDiffusionXLPipeline(**parts, add_watermarker=False)
        return diffusers.StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )

    def _codec(self) -> Any:
        diffusers: Any = import_module("diffusers")
        if self.kind == "reference":
            width = 48 if self._full else 8
            return diffusers.AutoencoderTiny(
                encoder_block_out_channels=(width,) * 4,
                decoder_block_out_channels=(width,) * 4,
                num_encoder_blocks=(1, 2, 3, 4),
                num_decoder_blocks=(4, 3, 2, 1),
            )
        return diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512) if self._full else (8, 8, 8, 8),
            norm_num_groups=32 if self._full else 4,
            layers_per_block=2 if self._full else 1,
            latent_channels=4,
            scaling_factor=0.13025 if self.kind == "sdxl" else 0.18215,
            force_upcast=self.kind == "sdxl",
        )

    def _scheduler(self) -> Any:
        diffusers: Any = import_module("diffusers")
        # `from_config`, as a folder's JSON is read: options of one class survive in another's configuration.
        if self.kind == "sd15":
            return diffusers.PNDMScheduler.from_config(SCHEDULE | {"skip_prk_steps": True})
        if self.kind == "sdxl":
            return diffusers.EulerDiscreteScheduler.from_config(SCHEDULE | {"timestep_spacing": "leading"})
        predicted = SCHEDULE | {"prediction_type": "v_prediction"}
        if self.kind == "reference":
            predicted |= {"beta_end": 0.02, "timestep_spacing": "trailing", "set_alpha_to_one": True}
        return diffusers.DDIMScheduler.from_config(predicted)

    def _text_encoder(self) -> Any:
        from transformers import CLIPTextConfig, CLIPTextModel

        tiny = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
        return CLIPTextModel(CLIPTextConfig(**_text_config(TEXTS[self.kind] if self._full else tiny, self.kind)))

    def _second_text_encoder(self) -> Any:
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

        full = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 20, "projection_dim": 1280}
        tiny = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "projection_dim": 32}
        config = _text_config(full if self._full else tiny, self.kind)
        config["hidden_act"] = "gelu"
        return CLIPTextModelWithProjection(CLIPTextConfig(**config))


def _text_config(size: dict[str, int], kind: Kind) -> dict[str, Any]:
    words = len(_tokenizer())
    return {
        "vocab_size": words,
        "intermediate_size": 4 * size["hidden_size"],
        "max_position_embeddings": 77,
        "hidden_act": "gelu" if kind == "sd21" else "quick_gelu",
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
        "pad_token_id": words - 1,
        **size,
    }


def _tokenizer(pad: str = "<|endoftext|>") -> Any:
    """CLIP's byte-level tokenizer without merges: every byte is a token, so any text has one spelling."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    alphabet = sorted(ByteLevel.alphabet())
    words = [*alphabet, *(f"{symbol}</w>" for symbol in alphabet), "<|startoftext|>", "<|endoftext|>"]
    vocab = {word: i for i, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], pad_token=pad, model_max_length=77)
