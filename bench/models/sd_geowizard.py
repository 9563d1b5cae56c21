"""GeoWizard: depth and normals of a picture, two samples that attend to each other.

Fu et al., ECCV 2024, arXiv 2403.12013 (code read at 214ec7c): v1, whose network reads the picture's latent before the
noisy one, its embedding by a vision tower as the only token of cross-attention, and ten numbers that say which channel
is asked for and of what kind the picture is. Self-attention spans the two channels. Depth is 0 near and 1 far, known up
to scale and shift. Which way its normals point is not written down: with the sign that upstream turns at the end they
are taken as x right, y up, z to the viewer. Left out: v2, which is told the kind in words; ensembles, whose depths must
be aligned.
"""

from typing import Any, ClassVar, Literal, Unpack

from torch import Tensor
from torch.nn import functional as F

from .parts.channels import Channel
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.fingerprint import CODEC, SCHEDULER, UNET, Agree, Fingerprint, Part
from .parts.guidance import Distilled
from .parts.pictures import Picture
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.stable_diffusion import StableDiffusion
from .parts.tasks import KINDS, Asked
from .parts.vision import Vision
from .parts.wrappers import Concatenated, CrossChannel

TOWER, SHOWN = "image_encoder", "feature_extractor"
CHANNELS = (Channel("depth", "grey"), Channel("normal", "opposite"))
NATIVE = 768
"""Pixels along the longer side."""


class GeoWizard(Recipe):
    """Condition `image`: (1, 3, H, W). Views are depth and normal, in this order; prompts have no effect."""

    id = "sd_geowizard"
    paper: ClassVar[str] = "2403.12013"
    licence: ClassVar[str] = "CC-BY-4.0"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "GeoWizard",
        {
            "unet": Part(
                UNET,
                fields={
                    "in_channels": 8,
                    "out_channels": 4,
                    "class_embed_type": "projection",
                    "projection_class_embeddings_input_dim": 10,
                },
            ),
            "vae": CODEC,
            TOWER: Part(("CLIPVisionModelWithProjection",), "transformers"),
            "scheduler": SCHEDULER,
        },
        (Agree("unet.cross_attention_dim", (f"{TOWER}.projection_dim",)),),
        unused=("safety_checker", SHOWN),
        own_pipeline=True,
    )

    def __init__(
        self,
        *,
        path: str = "",
        kind: Literal["indoor", "outdoor", "object"] = "indoor",
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`kind` says what pictures show. Other options are those of the model `diffusers`."""
        self._kind = kind
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)

    def parts(self) -> Parts:
        """The network reads the picture's latent, then the noisy one; nothing guides it."""
        folder = self.source
        found = StableDiffusion(folder)
        tower = folder.weights("CLIPVisionModelWithProjection", TOWER, "transformers")
        return Parts(
            network=CrossChannel(Concatenated(found.unet, before=("image",))),
            conditioners=(Vision(tower, self.prepare, out="text"), Picture(per=None), Asked(KINDS[self._kind])),
            codec=found.codec,
            levels=found.levels,
            guidance=Distilled(),
            window=NATIVE,
            folders={
                "pipeline": found.revision(),
                "vision": folder.revision((TOWER, SHOWN)),
                "kind": self._kind,
            },
            places=(2, 2),
            channels=CHANNELS,
        )

    def prepare(self, images: Tensor) -> Tensor:
        """Pictures (n, 3, H, W) in [0, 1] as the vision tower reads them: the whole of each, whatever its shape."""
        processor: Any = self.source.processor(SHOWN)
        size = processor.crop_size["height"], processor.crop_size["width"]
        small = F.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True)
        mean, std = (
            images.new_tensor(numbers).view(3, 1, 1) for numbers in (processor.image_mean, processor.image_std)
        )
        return (small - mean) / std
