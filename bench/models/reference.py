"""The bundled reference model: a small text-to-image latent diffusion model trained on the reference world."""

from .parts.bundled import Bundled
from .parts.composed import Parts
from .parts.denoiser import Precision


class Reference(Bundled):
    """A complete diffusers pipeline folder beside this file: `StableDiffusionPipeline.from_pretrained` reads it too."""

    id = "reference"
    own = "model_index.json"

    def __init__(self, *, path: str = "", device: str = "auto", dtype: Precision = "bfloat16", batch: int = 32) -> None:
        """`path` replaces the shipped folder, e.g. by one still in training.

        bfloat16 takes 0.55 of float32's time on CPUs that have it (52 rows of 16x16 latents, one core of a Xeon with
        AMX) and moves the network's output by 1.3 %; on other CPUs `dtype=float32` is faster. Revisions of the two
        differ.
        """
        super().__init__(path=path, base=path, device=device, dtype=dtype, batch=batch)

    def parts(self) -> Parts:
        """The network, text encoders, codec and noise levels of the checkpoint's folder."""
        base = self.base
        return Parts(
            network=base.unet,
            conditioners=(base.text,),
            codec=base.codec,
            levels=base.levels,
            window=base.window(),
            folders={"base": base.revision()},
        )
