"""DINO's ViT-B/16 through timm: features of whole images from published weights, where they are on this machine.

Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021, arXiv 2104.14294. The network's own
preprocessing is used, on 8-bit PIL images. Nothing is downloaded.
"""

from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm
import timm.data
import torch
import torch.nn.functional as F
from huggingface_hub import try_to_load_from_cache
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

from .clip import to_pil
from .published import file_sha256

MODEL = "vit_base_patch16_224.dino"
REPOSITORY = f"timm/{MODEL}"
ABSENT = "DINO's weights are not on this machine: `syncbench fetch dino` brings them"


class Dino:
    """Unit features of the class token; their inner product is the cosine similarity."""

    def __init__(self, model: Any, weights: str, device: torch.device | str) -> None:
        self._model, self._device = model.eval().requires_grad_(False).to(device), device
        config = self._config = timm.data.resolve_model_data_config(model)
        self._preprocess: Any = timm.data.create_transform(**config, is_training=False)
        size, crop = config["input_size"][-1], config["crop_pct"]
        how = f"resize {config['interpolation']} {round(size / crop)} (pil antialias), centre crop {size}"
        norm = (
            "imagenet norm"
            if tuple(config["mean"]) == timm.data.IMAGENET_DEFAULT_MEAN
            else f"mean {config['mean'][0]:g}"
        )
        self.fingerprint = f"timm {version('timm')} {weights}, class token, {how}, {norm}"

    @torch.no_grad()
    def image(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Features of images in [0, 1], which are rounded to 8 bits. Only the central square is seen."""
        pixels = torch.stack([self._preprocess(to_pil(image)) for image in images]).to(self._device)
        return F.normalize(self._model(pixels).float(), dim=-1).cpu()

    @torch.no_grad()
    def patches(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d rows columns"]:
        """Features of the patches of images in [0, 1], which are resized to the network's square, and not cut."""
        mean, std = (torch.tensor(self._config[name])[:, None, None] for name in ("mean", "std"))
        small = F.interpolate(images, self._config["input_size"][-2:], mode="bicubic", antialias=True).clamp(0, 1)
        pixels = ((small.cpu() - mean) / std).to(self._device)
        tokens = torch.cat([self._model.forward_features(some)[:, 1:] for some in pixels.split(8)])
        rows, columns = self._model.patch_embed.grid_size
        return tokens.float().transpose(1, 2).unflatten(2, (rows, columns)).cpu()


def dino(device: torch.device | str = "cpu") -> Dino | None:
    """DINO on `device`, from the hub's cache; None where its weights are not there (`ABSENT` says so)."""
    path = try_to_load_from_cache(REPOSITORY, "model.safetensors")
    if not isinstance(path, str):
        return None
    return _load(Path(path), str(device))


@lru_cache(maxsize=2)
def _load(path: Path, device: str) -> Dino:
    model = timm.create_model(MODEL, pretrained=False, num_classes=0)  # the tag says how DINO's input is normalised
    weights = {name: value for name, value in load_file(path).items() if not name.startswith("head.")}
    model.load_state_dict(weights)
    return Dino(model, f"{MODEL} {file_sha256(path)[:12]}", device)
