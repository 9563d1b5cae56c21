"""The parts of a Stable Diffusion folder: 1.x, 2.x, XL and checkpoints fine-tuned from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .codec import Autoencoder
from .fingerprint import CLIP, CLIP_TOKENIZER, CODEC, SCHEDULER
from .levels import Levels, levels_of
from .native import native_size
from .network import UNet
from .texts import Text
from .weights import Folder

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")
"""Names of the parts whose weights and configuration make the revision."""
ONE_TEXT = {"vae": CODEC, "text_encoder": CLIP, "tokenizer": CLIP_TOKENIZER, "scheduler": SCHEDULER}
"""Fingerprint of the parts of a 1.x or 2.x folder except the network."""


@dataclass(frozen=True)
class StableDiffusion:
    """Text, codec, noise levels and network of one folder, none of them loaded yet."""

    folder: Folder
    levels_overrides: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields of the scheduler that its file lacks or has wrong; see `Discrete`."""

    @cached_property
    def text(self) -> Text:
        """The conditioner of prompts: one text encoder, or XL's two; the second also gives a pooled embedding."""
        folder, two = self.folder, self.folder.has("text_encoder_2")
        names = [name for name in ("text_encoder", "text_encoder_2") if folder.has(name)]
        kinds = {name: str(folder.index[name][1]) for name in names}
        without: dict[str, Any] = dict.fromkeys(("vae", "unet", "scheduler", "feature_extractor", "image_encoder"))
        if two:
            without |= {name: None for name in ("text_encoder", "tokenizer") if not folder.has(name)}
        else:
            without |= {"safety_checker": None, "requires_safety_checker": False}
        return Text(
            pipeline="StableDiffusionXLPipeline" if two else "StableDiffusionPipeline",
            encoders={name: folder.weights(kind, name, "transformers") for name, kind in kinds.items()},
            tokenizers={
                name: lambda name=name: folder.tokenizer(name)
                for name in ("tokenizer", "tokenizer_2")
                if folder.has(name)
            },
            outputs=("text", "", "pooled", "") if two else ("text",),
            zeros=bool(folder.index.get("force_zeros_for_empty_prompt", False)),
            options={"num_images_per_prompt": 1, "do_classifier_free_guidance": False},
            parts=without,
        )

    @cached_property
    def codec(self) -> Autoencoder:
        """The folder's codec, not loaded yet."""
        return Autoencoder(self.folder.weights(str(self.folder.index.get("vae", ["", "AutoencoderKL"])[1]), "vae"))

    @cached_property
    def levels(self) -> Levels:
        """Noise levels of the folder's scheduler, with the overrides."""
        return levels_of(self.folder.scheduler(), self.levels_overrides)

    @cached_property
    def unet(self) -> UNet:
        """The folder's UNet, not loaded yet."""
        return UNet(self.folder.weights("UNet2DConditionModel", "unet"), self.codec.factor)

    def window(self, native: int | None = None) -> int:
        """Native size in pixels: `native`, or that of `native_size`."""
        return native or native_size(self.folder.config("unet"), self.codec.factor)

    def revision(self) -> str:
        """12 hex digits of the configuration and weights of the parts that are used."""
        return self.folder.revision(name for name in PARTS if self.folder.has(name))
