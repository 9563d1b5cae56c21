"""ImageDream: views of the object in a picture, denoised together, each from its camera, beside the picture itself.

Wang, Shi 2023, arXiv 2312.02201. Read are folders in diffusers' layout as ashawkey/imagedream-ipmv-diffusers (its code
read at 0cf459d), whose UNet keeps its original names and is made a stock network here, without the code beside it. The
picture is read twice: as tokens of a vision tower, in cross-attention, and as one more view, clean in every step, whose
camera is zeros.

Unlike the published pipeline, so that samples can be repeated: the picture's latent is the encoder's mean. The picture
should show the object from its front, on plain ground, as in training.
"""

from dataclasses import replace
from typing import Any, ClassVar, Unpack

from torch import Tensor

from .parts.cameras import Camera, orbit_numbers
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.fingerprint import CLIP, CLIP_TOKENIZER, CODEC, SCHEDULER, TEXT_WIDTH, Fingerprint, Part
from .parts.imagedream import ImageDreamUNet
from .parts.network import UNet
from .parts.pictures import Picture
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.stable_diffusion import StableDiffusion
from .parts.vision import Tokens, eight_bits, processed
from .parts.wrappers import Joint, PictureBeside

TOWER, SHOWN = "image_encoder", "feature_extractor"
TOWERS = ("CLIPVisionModel", "CLIPVisionModelWithProjection")
NATIVE = 256
"""Pixels along a side of a view and of the picture, which is of the size of the views."""


class ImageDream(Recipe):
    """Conditions `image`: (1, 3, H, W), the input view, and `camera`: (N, 16), rows of camera-to-world.

    Where views are denoised together every self-attention spans all N and the picture; the network was trained for 4, a
    quarter turn apart. Else each is denoised by itself, from its camera and the picture's tokens.
    """

    id = "sd_imagedream"
    paper: ClassVar[str] = "2312.02201"
    licence: ClassVar[str] = "code Apache-2.0, weights OpenRAIL"
    title: ClassVar[str] = "ImageDream"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "ImageDream",
        {
            "unet": Part(("MultiViewUNetModel",), "mv_unet", {"in_channels": 4, "camera_dim": 16, "ip_dim": 16}),
            "vae": CODEC,
            "text_encoder": CLIP,
            "tokenizer": CLIP_TOKENIZER,
            TOWER: Part(TOWERS, "transformers"),
            "scheduler": SCHEDULER,
        },
        (TEXT_WIDTH,),
        unused=("safety_checker", SHOWN),
        own_pipeline=True,
    )

    def __init__(
        self,
        *,
        path: str = "",
        suffix: str = ", 3d asset",
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`path`: a folder, or a hub id at branch, tag or `commit`; `suffix` is added to prompts, as upstream does.

        Raises SyncbenchError where the folder is not on this machine, is incomplete, or holds another network.
        """
        self._suffix = suffix
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)

    def parts(self) -> Parts:
        """The parts of the folder; cameras are moved to distance 1 of the point that they look at."""
        folder = self.source
        base = StableDiffusion(folder)
        tower = folder.weights(str(folder.index[TOWER][1]), TOWER, "transformers")
        return Parts(
            network=PictureBeside(Joint(UNet(ImageDreamUNet(folder), base.codec.factor))),
            conditioners=(
                replace(base.text, suffix=self._suffix),
                Camera(orbit_numbers),
                Tokens(tower, self.prepare, out="image_embeds"),
                Picture(per=None, absent="zeros"),
            ),
            codec=base.codec,
            levels=base.levels,
            window=NATIVE,
            folders={
                "pipeline": base.revision(),
                "vision": folder.revision((TOWER, SHOWN)),
                "suffix": self._suffix,
            },
        )

    def prepare(self, images: Tensor) -> Tensor:
        """Pictures in [0, 1] as the vision tower reads them, 8 bits a channel as upstream."""
        processor: Any = self.source.processor(SHOWN)
        return processed(processor, eight_bits(images), processor.crop_size["height"])
