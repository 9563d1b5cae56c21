"""Relative depth of pictures by a published network: the hint of clips and photographs whose depth is not known.

Folders or hub ids of transformers' `DepthAnythingForDepthEstimation` (Yang et al., NeurIPS 2024, arXiv 2406.09414) and
`DPTForDepthEstimation` (Ranftl et al., ICCV 2021, arXiv 2103.13413), which answer inverse depth up to scale and shift.
Nothing is downloaded: `syncbench fetch depth-anything` does that.
"""

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..errors import SyncbenchError, quoted
from ..models.parts.library import library_class, quiet
from ..models.parts.placement import Placement
from ..models.parts.weights import Folder, find, first_line

KINDS = ("DepthAnythingForDepthEstimation", "DPTForDepthEstimation")
DEFAULT = "depth-anything/Depth-Anything-V2-Small-hf"


class Depth:
    """A network of relative depth."""

    def __init__(self, name: str, device: str) -> None:
        """`name` is a folder or a hub id. Raises SyncbenchError for one that is not here, or of another kind."""
        where = torch.device(device)
        self._folder: Folder = find(
            name, Placement(where, torch.float32, torch.float32), what="network of relative depth"
        )
        kinds = self._folder.config().get("architectures") or [""]
        if kinds[0] not in KINDS:
            raise SyncbenchError(
                f"'{quoted(name)}' holds no network of relative depth, but {quoted(kinds[0] or 'something else')}: "
                f"take {DEFAULT}"
            )
        self._weights = self._folder.weights(str(kinds[0]), library="transformers")
        self._device = where

    @property
    def fingerprint(self) -> str:
        """One line that names the network and its files."""
        return f"{self._weights.kind} {self._folder.revision()}"

    @torch.no_grad()
    def __call__(self, clip: Float[Tensor, "t 3 h w"]) -> Float[Tensor, "t 1 h w"]:
        """Inverse depth in [0, 1] of frames in [0, 1]: 1 at the nearest point of the clip, 0 at the farthest.

        All frames have one scale, so that nothing flickers that the network does not make flicker. Raises
        SyncbenchError where the folder's preprocessing cannot be read.
        """
        with quiet():
            try:
                prepare: Any = library_class("transformers", "AutoImageProcessor").from_pretrained(
                    self._folder.path, local_files_only=True, use_fast=False
                )
            except Exception as error:
                raise SyncbenchError(
                    f"{quoted(self._folder.path)} has no preprocessing: {first_line(error)}"
                ) from error
        frames: list[Tensor] = []
        for frame in clip:  # one by one, so that no batch size can change a number
            picture = (frame * 255).round().byte().permute(1, 2, 0).cpu().numpy()
            pixels = prepare(images=picture, return_tensors="pt")["pixel_values"].to(self._device)
            found = self._weights.module(pixels).predicted_depth.float().cpu()
            frames.append(F.interpolate(found[:, None], clip.shape[-2:], mode="bicubic", align_corners=False))
        whole = torch.cat(frames)
        low, high = whole.min(), whole.max()
        return ((whole - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)


@lru_cache(maxsize=1)
def depth(name: str = DEFAULT) -> Depth:
    """The network of a folder or hub id, on a GPU where there is one. Raises SyncbenchError as `Depth` does."""
    return Depth(name, "cuda" if torch.cuda.is_available() else "cpu")
