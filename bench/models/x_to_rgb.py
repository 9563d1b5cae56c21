"""X-to-RGB: a picture from its channels, any of which may be missing, and a prompt.

Zeng, Deschaintre, Georgiev et al., SIGGRAPH 2024, arXiv 2405.00666. Checkpoint: `zheng95z/x-to-rgb`. The network reads
23 channels: the noise, latents of albedo, normal, roughness and metallic, each by a factor of its own, and irradiance,
which is shrunk and not coded. Albedo and irradiance are in linear light. Its scheduler is rebuilt with zero terminal
SNR and trailing times. Left out: the exposure of EXR files. On the axes of normals see `rgb_to_x`.
"""

from typing import ClassVar, Unpack

from .parts.channels import Channel
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.guidance import TextAndImage
from .parts.pictures import Picture, Thumbnail
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.rgbx import LEVELS, fingerprint
from .parts.stable_diffusion import StableDiffusion
from .parts.wrappers import Concatenated

NATIVE = 768
"""Pixels along a side."""
FACTORS = {
    "albedo": 0.17301377137652138,
    "normal": 0.17483895473058078,
    "roughness": 0.1680724853626448,
    "metallic": 0.13135013390855135,
}
"""What the encoder's mean of each channel is multiplied by, in the order in which the network reads them."""


CHANNELS = {
    "albedo": Channel("albedo", "gamma"),
    "normal": Channel("normal", "normal"),
    "shading": Channel("shading", "gamma"),
    "roughness": Channel("roughness"),
    "metallic": Channel("metallic"),
}
"""How the network reads each channel."""


class XToRgb(Recipe):
    """Conditions `albedo`, `normal`, `shading`, `roughness`, `metallic`: (N, 3, H, W) pictures in [0, 1]."""

    id = "x_to_rgb"
    paper: ClassVar[str] = "2405.00666"
    licence: ClassVar[str] = "Adobe Research, non-commercial"
    fingerprint = fingerprint("X-to-RGB", 23)

    def __init__(
        self,
        *,
        path: str = "",
        commit: str = "",
        variant: str = "",
        image_guidance: float = 1.5,
        rescale: float = 0.7,
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`image_guidance` is the scale of guidance by the channels; the protocol's guidance scale is that of the text.

        `rescale` in [0, 1] moves the result towards the standard deviation of the last pass; see `TextAndImage`. Other
        options are those of the model `diffusers`."""
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)
        self._guidance = TextAndImage(image_guidance, rescale)

    def parts(self) -> Parts:
        """The network's input is the noisy latent, then the latents of the channels, then the irradiance."""
        found, factor = StableDiffusion(self.source, LEVELS), StableDiffusion(self.source).codec.factor
        pictures = [
            Picture(name, name, True, "zeros", "nothing", scale=scale, prepared=CHANNELS[name].given)
            for name, scale in FACTORS.items()
        ]
        return Parts(
            network=Concatenated(
                found.unet, after=(*FACTORS, "shading"), optional={**dict.fromkeys(FACTORS, 4), "shading": 3}
            ),
            conditioners=(found.text, *pictures, Thumbnail("shading", "shading", factor, CHANNELS["shading"].given)),
            codec=found.codec,
            levels=found.levels,
            guidance=self._guidance,
            window=NATIVE,
            folders={"pipeline": found.revision(), "guidance": str(self._guidance)},
        )
