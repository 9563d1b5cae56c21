"""The starting point of trainers that continue from the base: its network and text embeddings; see also `noise`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from transformers import CLIPTextModel

from ..models.parts.library import quiet
from ..types import SyncbenchError
from .loop import Plan
from .noise import Noise as Noise
from .tokenizer import LENGTH
from .tokenizer import build as build_tokenizer


def check(base: Path, codec: Path | None = None) -> Path:
    """The codec's folder of a run that starts from the pipeline folder `base`. Raises SyncbenchError for others."""
    codec = codec or base / "vae"
    for folder in (base / "unet", base / "text_encoder", codec):
        if not (folder / "config.json").exists():
            raise SyncbenchError(f"{folder} holds no model: give --set base=FOLDER, a trained pipeline's folder")
    return codec


def network(base: Path) -> Any:
    """The base's UNet in single precision."""
    with quiet():
        return UNet2DConditionModel.from_pretrained(
            base / "unet", torch_dtype=torch.float32, use_safetensors=True, local_files_only=True
        )


def altered(unet: Any, **changes: Any) -> Any:
    """A UNet of the configuration with `changes` that keeps every weight that still fits."""
    made: Any = UNet2DConditionModel.from_config({**unet.config, **changes})
    kept = made.state_dict()
    known = {name: value for name, value in unet.state_dict().items() if name in kept}
    made.load_state_dict(
        {name: value for name, value in known.items() if value.shape == kept[name].shape}, strict=False
    )
    return made


def place(module: Any, plan: Plan, trained: bool, layout: torch.memory_format = torch.channels_last) -> Any:
    """The module on the run's device, with the memory format and attention that are fast there."""
    module.requires_grad_(trained).to(plan.device, memory_format=layout)
    if plan.device == "cpu" and hasattr(module, "set_attn_processor"):  # the fused kernel's backward pass is slower
        module.set_attn_processor(AttnProcessor())
    return module


class Words:
    """Embeddings of captions by the base's frozen text encoder, each caption encoded once."""

    def __init__(self, base: Path, captions: list[str]) -> None:
        tokenizer: Any = build_tokenizer()
        with quiet():
            text: Any = CLIPTextModel.from_pretrained(
                base / "text_encoder", dtype=torch.float32, use_safetensors=True, local_files_only=True
            )
        text.eval()
        rows = tokenizer(["", *captions], padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids
        with torch.no_grad():
            found = torch.cat([text(part).last_hidden_state.half() for part in rows.split(256)])
        self._empty, self._known = found[0], found[1:]

    def __call__(self, pick: Tensor, random: torch.Generator, drop: float = 0.1) -> Tensor:
        """(n, 24, dim) of captions `pick` (n,), a share `drop` of them replaced by the empty one's."""
        lost = torch.rand(len(pick), 1, 1, generator=random) < drop
        return torch.where(lost, self._empty, self._known[pick]).float()

    @property
    def size(self) -> int:
        """Length of the embedding of a token."""
        return self._empty.shape[-1]


def save(module: Any, folder: Path) -> None:
    """Write a diffusers model's folder in half precision; `from_pretrained` of its class reads it."""
    with quiet():
        module.cpu().to(memory_format=torch.contiguous_format).half().save_pretrained(folder, safe_serialization=True)
        module.float()
    config = folder / "config.json"  # where a part was read from is nobody's business
    facts = {name: value for name, value in json.loads(config.read_text()).items() if name != "_name_or_path"}
    config.write_text(json.dumps(facts, indent=2) + "\n")
