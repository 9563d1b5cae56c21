"""A Stable Diffusion 1.x, 2.x or XL checkpoint in diffusers' folder format: a local folder or a hub id."""

from .parts.checkpoint import check_folder
from .parts.composed import Parts
from .parts.recipe import Recipe
from .parts.stable_diffusion import StableDiffusion


class Diffusers(Recipe):
    """Weights are read from safetensors only. Anything else a folder holds (safety checker, images) is left alone."""

    id = "diffusers"

    def check(self) -> None:
        """Refuse a folder that is not a complete pipeline."""
        check_folder(self.source)

    def parts(self) -> Parts:
        """Those of its folder."""
        found = StableDiffusion(self.source)
        return Parts(
            network=found.unet,
            conditioners=(found.text,),
            codec=found.codec,
            levels=found.levels,
            window=found.window(),
            folders={"pipeline": found.revision()},
        )
