"""The bundled reference model: a small text-to-image latent diffusion model trained on the reference world."""

from pathlib import Path

from ..types import SyncbenchError
from ._denoiser import Precision
from .diffusers import Diffusers

WEIGHTS = Path(__file__).parent / "weights" / "reference"


class Reference(Diffusers):
    """A complete diffusers pipeline folder beside this file: `StableDiffusionPipeline.from_pretrained` reads it too."""

    id = "reference"

    def __init__(self, *, path: str = "", device: str = "auto", dtype: Precision = "bfloat16", batch: int = 32) -> None:
        """`path` tries another folder of the same kind, e.g. one still in training.

        bfloat16 takes 0.55 of float32's time on CPUs that have it (52 rows of 16x16 latents, one core of a Xeon with
        AMX) and moves the network's output by 1.3 %; others want `dtype=float32`. The revision tells them apart.
        """
        if not path and not WEIGHTS.is_dir():
            raise SyncbenchError(
                "the reference model's weights are not installed: reinstall syncbench, or train them "
                "(python -m syncbench.bench.training.base) and set reference.path"
            )
        super().__init__(path=path or str(WEIGHTS), device=device, dtype=dtype, batch=batch)

    @property
    def name(self) -> str:
        """Its id, wherever its weights lie."""
        return self.id
