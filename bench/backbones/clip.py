"""Image-text similarity through open_clip: published ViT weights if cached here, else the bundled judge.

Radford et al., ICML 2021, arXiv 2103.00020; OpenCLIP, arXiv 2212.07143. The network's own preprocessing is used, on
8-bit PIL images, so numbers equal the package's. The ViT models are those with QuickGELU: OpenAI's weights in models
with another activation give worse embeddings without an error.
"""

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from huggingface_hub import try_to_load_from_cache
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..types import SyncbenchError
from .judge import judge
from .published import CLIPS, FETCHED, file_sha256


def clip(which: str | None = None, folder: str | Path | None = None, device: torch.device | str = "cpu") -> "Clip":
    """The CLIP `which` on `device`: one of CLIPS, or `reference`; None takes the first of them that is fetched.

    `folder` is that of the judge for `reference` (None: the bundled judge). Nothing is downloaded. Raises
    SyncbenchError for an unknown name or missing weights.
    """
    if which is None:
        here = (name for name in CLIPS if folder is None and _cached(name))
        which = next(here, "reference")
    if which == "reference":
        own = judge(folder, device)
        weights = f"syncbench judge {own.revision}"
        return Clip("clip[reference]", weights, own.model, own.preprocess, own.tokenizer, device)
    if which not in CLIPS:
        raise SyncbenchError(f"unknown CLIP {which!r}: choose one of {', '.join([*CLIPS, 'reference'])}")
    path = _cached(which)
    if path is None:
        raise SyncbenchError(
            f"{CLIPS[which]} is not on this machine: syncbench fetch {FETCHED[which]} brings it, or use "
            "backbone=reference"
        )
    return _published(which, path, str(device))


class Clip:
    """Unit embeddings of images and prompts; their inner product is the cosine similarity."""

    def __init__(
        self,
        name: str,
        weights: str,
        model: Any,
        preprocess: Any,
        tokenizer: Callable[[list[str]], Tensor],
        device: torch.device | str,
    ) -> None:
        self.name = name
        self._model, self._preprocess, self._tokenizer = model.eval().requires_grad_(False), preprocess, tokenizer
        self._device = device
        how = open_clip.get_model_preprocess_cfg(model)
        size = how["size"]
        self.size: int = size if isinstance(size, int) else size[0]
        """Side of the square input in pixels."""
        crop = ", centre crop" if how["resize_mode"] == "shortest" else ""
        self.fingerprint = (
            f"open_clip {version('open_clip_torch')} {weights}, rgb8, "
            f"resize {how['resize_mode']} {how['interpolation']} {self.size} (pil antialias){crop}"
        )

    def image(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Embeddings of images in [0, 1], which are rounded to 8 bits. Only the central square is seen."""
        return self._embed([to_pil(image) for image in images])

    def squeezed(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Embeddings of whole images of any shape, resized to CLIP's square without keeping the aspect (bicubic)."""
        return self._embed([to_pil(image).resize((self.size, self.size), Image.Resampling.BICUBIC) for image in images])

    @torch.no_grad()
    def _embed(self, images: list[Image.Image]) -> Tensor:
        pixels = torch.stack([self._preprocess(image) for image in images]).to(self._device)
        return F.normalize(self._model.encode_image(pixels).float(), dim=-1).cpu()

    @torch.no_grad()
    def logits(self, images: Sequence[Float[Tensor, "3 h w"]], prompts: Sequence[str]) -> float:
        """100 times the mean cosine of images with their prompts, by open_clip's own joint forward pass."""
        total = 0.0
        for image, prompt in zip(images, prompts, strict=True):
            pixels = self._preprocess(to_pil(image))[None].to(self._device)
            logits = self._model.get_logits(pixels, self._tokenizer([prompt]).to(self._device))[0]
            bias = self._model.logit_bias if getattr(self._model, "logit_bias", None) is not None else 0.0
            total += float((logits - bias) / self._model.logit_scale.exp())
        return 100 * total / len(images)

    @torch.no_grad()
    def text(self, prompts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Embeddings of prompts; tokens beyond the context length are cut off (see `read`)."""
        tokens = self._tokenizer(list(prompts)).to(self._device)
        return F.normalize(self._model.encode_text(tokens).float(), dim=-1).cpu()

    def read(self, prompts: Sequence[str]) -> float:
        """Mean fraction of a prompt's tokens that fit into the context length, in (0, 1]."""
        tokenizer: Any = self._tokenizer
        places = tokenizer.context_length - 2  # beside the marks of its beginning and end

        def count(text: str) -> int:
            if hasattr(tokenizer, "encode"):
                return len(tokenizer.encode(text))
            return len(tokenizer.tokenizer(tokenizer.clean_fn(text), verbose=False).input_ids) - 2

        known = {text: min(1.0, places / max(1, count(text))) for text in set(prompts)}
        return sum(known[text] for text in prompts) / len(prompts)


def to_pil(image: Float[Tensor, "3 h w"]) -> Image.Image:
    """The image, in [0, 1], as an 8-bit RGB picture."""
    levels = (image.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())


def _cached(name: str) -> Path | None:
    """The file of one of CLIPS in the hub's cache; None where it is not there."""
    for file in ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors"):
        path = try_to_load_from_cache(CLIPS[name], file)
        if isinstance(path, str):
            return Path(path)
    return None


@lru_cache(maxsize=2)
def _published(name: str, path: Path, device: str) -> Clip:
    logging.getLogger("open_clip").setLevel(logging.WARNING)
    model, _, preprocess = open_clip.create_model_and_transforms(
        f"{name}-quickgelu", pretrained=str(path), device=device
    )
    tokenizer = open_clip.get_tokenizer(f"{name}-quickgelu")
    weights = f"{name}-quickgelu openai {file_sha256(path)[:12]}"
    return Clip(f"clip[{name}]", weights, model, preprocess, tokenizer, device)
