"""Zero123++: six views of the object in a picture, as tiles of one canvas, by a Stable Diffusion 2 network.

Shi, Chen, Zhang et al. 2023, arXiv 2310.15110: sudo-ai/zero123plus-v1.1 and -v1.2 (code read at 7d0315c), made of the
folder's stock parts without its pipeline's code. Poses are baked into the tiles: azimuths 30, 90, ... 330 degrees from
the picture's, elevations 30 and -20 in turn (v1.1) or 20 and -10 (v1.2).

Unlike the published pipeline, so that samples can be repeated: the picture's latent is the encoder's mean, and the
noise on it depends on the step alone, the same for all items, seeds and passes, as in `grid`. Times are trailing, which
upstream's examples always set.
"""

from typing import Any, ClassVar

from torch import Tensor

from .parts.codec import Affine
from .parts.composed import Parts
from .parts.described import UNUSED
from .parts.fingerprint import CLIP, CLIP_TOKENIZER, CODEC, TEXT_WIDTH, UNET, Agree, Fingerprint, Part
from .parts.pictures import Picture
from .parts.recipe import Recipe
from .parts.stable_diffusion import StableDiffusion
from .parts.vision import Ramp, Vision, eight_bits, processed
from .parts.wrappers import Referring, Tiled

TOWER, SMALL, LARGE = "vision_encoder", "feature_extractor_clip", "feature_extractor_vae"


class Zero123Plus(Recipe):
    """Condition `image`: (1, 3, H, W), the input view. Views are the six poses in order. Prompts have no effect.

    Where views are denoised together they are tiles of one canvas; else each is denoised by itself, with the picture in
    its attention but its pose unknown.
    """

    id = "sd_zero123plus"
    paper: ClassVar[str] = "2310.15110"
    licence: ClassVar[str] = "code Apache-2.0, weights CC-BY-NC-4.0"
    title: ClassVar[str] = "Zero123++"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "Zero123++",
        {
            "unet": Part(UNET, fields={"in_channels": 4, "class_embed_type": None}),
            "vae": CODEC,
            "text_encoder": CLIP,
            "tokenizer": CLIP_TOKENIZER,
            TOWER: Part(("CLIPVisionModelWithProjection",), "transformers"),
            "scheduler": Part(fields={"prediction_type": "v_prediction", "beta_schedule": "linear"}),
        },
        (TEXT_WIDTH, Agree("unet.cross_attention_dim", (f"{TOWER}.projection_dim",))),
        unused=(*UNUSED, SMALL, LARGE, "ramping_coefficients"),
        own_pipeline=True,
    )

    def parts(self) -> Parts:
        """The folder's parts; the network reads the picture's embedding as a text, and its latent in self-attention."""
        folder = self.source
        base = StableDiffusion(folder, {"timestep_spacing": "trailing"})
        tower = folder.weights("CLIPVisionModelWithProjection", TOWER, "transformers")
        ramp = tuple(map(float, folder.index.get("ramping_coefficients", ())))
        size: Any = folder.processor(LARGE).crop_size["height"]
        picture = Picture(raw=True, per=None, absent="grey", size=int(size))
        return Parts(
            network=Tiled(Referring(base.unet), rows=3, columns=2),
            conditioners=(Ramp(base.text, Vision(tower, self.prepare), ramp), picture),
            codec=Affine(base.codec, shift=0.22, scale=0.75, contrast=0.625),
            levels=base.levels,
            window=320,
            places=(6, 6),
            folders={"pipeline": base.revision(), "vision": folder.revision((TOWER, SMALL, LARGE))},
        )

    def prepare(self, images: Tensor) -> Tensor:
        """Pictures in [0, 1] as the vision tower reads them, 8 bits a channel as upstream."""
        processor = self.source.processor(SMALL)
        return processed(processor, eight_bits(images), processor.crop_size["height"])
