"""AnimateDiff: temporal layers between those of a Stable Diffusion 1.x or XL checkpoint.

Guo, Yang, Rao et al., ICLR 2024, arXiv 2307.04725. Adapters v1-4, v1-5, v1-5-2, v1-5-3 and sdxl-beta, as folders of
diffusers' MotionAdapter. The adapters were trained with noise levels of their own, linear betas, whatever the base's
scheduler says. Version 3's domain adapter, a LoRA for the look of its training clips, is left out, as in diffusers.
"""

from typing import Any, ClassVar

from ..errors import SyncbenchError, quoted
from .parts.checkpoint import check_folder
from .parts.composed import Composed, Parts
from .parts.conditioners import Hint
from .parts.denoiser import Precision
from .parts.files import check_weights
from .parts.network import Control, Controlled, MotionUNet
from .parts.stable_diffusion import StableDiffusion
from .parts.weights import Folder

LEVELS: dict[str, Any] = {
    **{"beta_schedule": "linear", "beta_start": 0.00085, "beta_end": 0.012, "trained_betas": None},
    **{"timestep_spacing": "linspace", "steps_offset": 1, "rescale_betas_zero_snr": False},
}
"""Of the released inference configurations (`linear`) and of diffusers' documentation (`linspace`)."""


class AnimateDiff(Composed):
    """Where views are denoised together they are a clip's frames in order; else they are the base's own pictures.

    With a ControlNet frames follow condition `depth` (N, 1, H, W): normalised inverse depth, 1 near.
    """

    id = "animatediff"
    paper: ClassVar[str] = "2307.04725"
    licence: ClassVar[str] = "Apache-2.0 (adapters); the base has its own"
    title: ClassVar[str] = "AnimateDiff"

    def __init__(
        self,
        *,
        path: str = "stable-diffusion-v1-5/stable-diffusion-v1-5",
        adapter: str = "guoyww/animatediff-motion-adapter-v1-5-2",
        control: str = "",
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
    ) -> None:
        """Folders or hub ids: `path` of the base (at `commit`, in `variant`), `adapter`, and, if wanted, `control`.

        Raises SyncbenchError where one is not on this machine, is incomplete, or does not fit the base.
        """
        super().__init__(device, dtype, batch)
        self.source: Folder = self.folder(path, commit=commit, variant=variant)
        self.adapter: Folder = self.folder(adapter, variant=variant, what="motion adapter")
        self.control: Folder | None = self.folder(control, variant=variant, what="ControlNet") if control else None
        check_folder(self.source.path, self.source.variant)
        check_weights(self.adapter.path, "", "diffusion_pytorch_model", self.adapter.variant)
        ours, theirs = (list(f.config(p).get("block_out_channels", ())) for f, p in self._fitting)
        if ours != theirs:
            raise SyncbenchError(
                f"the motion adapter in {quoted(self.adapter.path)} is for blocks of {ours} channels and the base has "
                f"{theirs}: take the adapter of the base's family (sdxl-beta for XL, the others for 1.x)"
            )

    @property
    def _fitting(self) -> tuple[tuple[Folder, str], tuple[Folder, str]]:
        return (self.adapter, ""), (self.source, "unet")

    def parts(self) -> Parts:
        """The base's, temporal layers between its layers, and a ControlNet beside them."""
        base = StableDiffusion(self.source, LEVELS)
        clip, control = MotionUNet(base.unet, self.adapter.weights("MotionAdapter")), self.control
        controls = (Control(control.weights("ControlNetModel")),) if control else ()
        return Parts(
            network=Controlled(clip, controls) if controls else clip,
            conditioners=(base.text, *(Hint("depth") for _ in controls)),
            codec=base.codec,
            levels=base.levels,
            window=1024 if self.source.has("text_encoder_2") else 512,
            places=(1, clip.frames),
            folders={"base": base.revision(), "adapter": self.adapter.revision()}
            | ({"control": control.revision()} if control else {}),
        )
