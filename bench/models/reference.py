"""The bundled reference model: a small text-to-image latent diffusion model trained on the reference world."""

from .parts.bundled import Bundled
from .parts.composed import Parts
from .parts.denoiser import Precision


class Reference(Bundled):
    """A complete diffusers pipeline folder beside this file: `StableDiffusionPipeline.from_pretrained` reads it too."""

    id = "reference"
    own = "model_index.json"

    def __init__(self, *, path: str = "", device: str = "auto", dtype: Precision = "bfloat16", batch: int = 32) -> None:
        """`path` tries another folder of the same kind, e.g. one still in training.

        bfloat16 takes 0.55 of float32's time on CPUs that have it (52 rows of 16x16 latents, one core of a Xeon with
        AMX) and moves the network's output by 1.3 %; others want `dtype=float32`. The revision tells them apart.
        """
        super().__init__(path=path, base=path, device=device, dtype=dtype, batch=batch)

    def parts(self) -> Parts:
        """Those of its folder."""
        base = self.base
        return Parts(
            network=base.unet,
            conditioners=(base.text,),
            codec=base.codec,
            levels=base.levels,
            window=base.window(),
            folders={"base": base.revision()},
        )
