"""RGB-to-X: one channel of a picture at a time, asked for by a fixed prompt.

Zeng, Deschaintre, Georgiev et al., SIGGRAPH 2024, arXiv 2405.00666. Checkpoint: `zheng95z/rgb-to-x`. The picture enters
in linear light (levels to the power 2.2). Its scheduler is rebuilt with zero terminal SNR and trailing times, as in the
released code, which guides by neither text nor picture. Which way its normals point is not written down: they are
taken as x right, y up, z to the viewer, as its pictures look.
"""

from typing import ClassVar

from .parts.channels import Channel
from .parts.composed import Parts
from .parts.guidance import Distilled
from .parts.pictures import Picture
from .parts.recipe import Recipe
from .parts.rgbx import LEVELS, fingerprint, light
from .parts.stable_diffusion import StableDiffusion
from .parts.texts import Words
from .parts.wrappers import Concatenated

NATIVE = 1000
"""Pixels along the longer side of a view, as the network was trained."""
WORDS = {
    "albedo": "Albedo (diffuse basecolor)",
    "normal": "Camera-space Normal",
    "shading": "Irradiance (diffuse lighting)",
    "roughness": "Roughness",
    "metallic": "Metallicness",
}
CHANNELS = (
    Channel("albedo", "linear"),
    Channel("normal", "normal"),
    Channel("shading", "linear"),
    Channel("roughness", "first"),
    Channel("metallic", "first"),
)


class RgbToX(Recipe):
    """Condition `image`: (1, 3, H, W), sRGB. Views are any of albedo, normal, shading, roughness and metallic."""

    id = "rgb_to_x"
    paper: ClassVar[str] = "2405.00666"
    licence: ClassVar[str] = "Adobe Research, non-commercial"
    fingerprint = fingerprint("RGB-to-X", 8)

    def parts(self) -> Parts:
        """The network's input is the noisy latent, then that of the picture in linear light."""
        found = StableDiffusion(self.source, LEVELS)
        return Parts(
            network=Concatenated(found.unet, after=("image",)),
            conditioners=(Words(found.text, WORDS), Picture(prepared=light)),
            codec=found.codec,
            levels=found.levels,
            guidance=Distilled(),
            window=NATIVE,
            folders={"pipeline": found.revision()},
            channels=CHANNELS,
        )
