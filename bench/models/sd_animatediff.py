"""AnimateDiff: temporal layers between those of a Stable Diffusion 1.x or XL checkpoint.

Guo, Yang, Rao et al., ICLR 2024, arXiv 2307.04725. Adapters are folders of diffusers' MotionAdapter
(guoyww/animatediff-motion-adapter-v1-4, -v1-5, -v1-5-2, -v1-5-3, -sdxl-beta). They were trained with noise levels of
their own, linear betas, whatever the base's scheduler says. Version 3's domain adapter, a LoRA for the look of its
training clips, is left out.
"""

from typing import Any, ClassVar, Unpack

from ..errors import SyncbenchError, quoted
from .parts.checkpoint import check_folder
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.fingerprint import Fingerprint, Part, check_companion
from .parts.network import MotionUNet
from .parts.pictures import Hint
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.stable_diffusion import StableDiffusion
from .parts.weights import Folder
from .parts.wrappers import Control, Controlled

LEVELS: dict[str, Any] = {
    **{"beta_schedule": "linear", "beta_start": 0.00085, "beta_end": 0.012, "trained_betas": None},
    **{"timestep_spacing": "linspace", "steps_offset": 1, "rescale_betas_zero_snr": False},
}
"""The noise schedule: `linear` as in the released configurations, `linspace` as in diffusers' documentation."""
ADAPTER = Fingerprint(
    "motion adapter of AnimateDiff", {"": Part(("MotionAdapter",), fields={"conv_in_channels": None})}
)
CONTROL = Fingerprint("ControlNet", {"": Part(("ControlNetModel",))})


class AnimateDiff(Recipe):
    """Where views are denoised together they are a clip's frames in order; else each is a picture of the base.

    With a ControlNet frames follow condition `depth` (N, 1, H, W): normalised inverse depth, 1 near.
    """

    id = "sd_animatediff"
    paper: ClassVar[str] = "2307.04725"
    licence: ClassVar[str] = "Apache-2.0 (adapters)"
    title: ClassVar[str] = "AnimateDiff"

    def __init__(
        self,
        *,
        path: str = "",
        adapter: str = "",
        control: str = "",
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`path`: the base, a folder or a hub id at branch, tag or `commit`; `adapter`, `control`: folder or hub id.

        `control` is a depth ControlNet of the base's family, empty for none. Raises SyncbenchError where one of the
        three is not on this machine, is incomplete, or does not fit the base.
        """
        if path and not adapter:
            raise SyncbenchError(
                "model sd_animatediff needs a motion adapter: --set model.adapter=FOLDER (or a hub id, e.g. "
                "guoyww/animatediff-motion-adapter-v1-5-2)"
            )
        self._adapter, self._control = adapter, control
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)

    def check(self) -> None:
        """Raise SyncbenchError for folders that are no base, adapter or ControlNet, or not of one family."""
        check_folder(self.source)
        kinds = ("MotionAdapter", "UNet2DConditionModel")
        self.adapter: Folder = self.addition(self._adapter, "motion adapter")
        ADAPTER.check(self.adapter)
        check_companion(self.adapter, self.source, ["block_out_channels"], what="motion adapter", kinds=kinds)
        if self.source.config("unet").get("use_linear_projection") and not self.xl:
            raise SyncbenchError(
                f"{quoted(self.source.path)} is a Stable Diffusion 2 checkpoint, for which no motion adapter was "
                "trained: take one of Stable Diffusion 1.x or XL"
            )
        self.control: Folder | None = None
        if self._control:
            self.control = self.addition(self._control, "ControlNet")
            CONTROL.check(self.control)
            fields = ["block_out_channels", "cross_attention_dim"]
            check_companion(self.control, self.source, fields, what="ControlNet")

    @property
    def xl(self) -> bool:
        """Whether the base checkpoint is Stable Diffusion XL."""
        return self.source.has("text_encoder_2")

    def parts(self) -> Parts:
        """The parts of the base, with temporal layers between its layers and a ControlNet added to its network."""
        base, control = StableDiffusion(self.source, LEVELS), self.control
        clip = MotionUNet(base.unet, self.adapter.weights("MotionAdapter"))
        controls = (Control(control.weights("ControlNetModel")),) if control else ()
        return Parts(
            network=Controlled(clip, controls) if controls else clip,
            conditioners=(base.text, *(Hint("depth") for _ in controls)),
            codec=base.codec,
            levels=base.levels,
            window=1024 if self.xl else 512,
            places=(1, clip.frames),
            folders={"pipeline": base.revision(), "adapter": self.adapter.revision()}
            | ({"control": control.revision()} if control else {}),
        )
