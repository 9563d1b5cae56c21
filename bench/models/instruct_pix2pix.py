"""InstructPix2Pix: edits a picture as the prompt says, guided by the text and by the picture, in three passes.

Brooks et al. 2023, arXiv 2211.09800. Checkpoint `timbrooks/instruct-pix2pix`.
"""

from typing import Annotated, ClassVar, Unpack

from annotated_types import Interval

from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.fingerprint import TEXT_WIDTH, UNET, Fingerprint, Part
from .parts.guidance import TextAndImage
from .parts.pictures import Picture
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.stable_diffusion import ONE_TEXT, StableDiffusion
from .parts.wrappers import Concatenated


class InstructPix2pix(Recipe):
    """Condition `image` (or another, see `picture`): (N, 3, H, W) in [0, 1], the picture of each view to be edited."""

    id = "instruct_pix2pix"
    paper: ClassVar[str] = "2211.09800"
    licence: ClassVar[str] = "MIT"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "InstructPix2Pix",
        {"unet": Part(UNET, fields={"in_channels": 8, "out_channels": 4, "class_embed_type": None}), **ONE_TEXT},
        agree=(TEXT_WIDTH,),
    )

    def __init__(
        self,
        *,
        path: str = "",
        commit: str = "",
        variant: str = "",
        picture: str = "image",
        image_guidance: Annotated[float, Interval(ge=0, le=1_000)] = 1.5,
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`picture`: the condition that is edited, `video` for the frames of a clip.

        `image_guidance`: the scale of guidance by the picture; the protocol's guidance scale is that of the text. Other
        options are those of the model `diffusers`.
        """
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)
        self._picture, self._scale = picture, image_guidance

    def parts(self) -> Parts:
        """The network, text encoders, codec and noise levels of the checkpoint's folder."""
        found = StableDiffusion(self.source)
        return Parts(
            network=Concatenated(found.unet, after=("image",)),
            conditioners=(found.text, Picture(self._picture, raw=True, absent="zeros")),
            codec=found.codec,
            levels=found.levels,
            guidance=TextAndImage(self._scale),
            window=found.window(),
            folders={"pipeline": found.revision(), "picture": self._picture, "guidance": str(self._scale)},
        )
