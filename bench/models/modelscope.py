"""ModelScope's text-to-video network and Zeroscope, made of it: a three-dimensional UNet with Stable Diffusion's codec.

Wang, Yuan, Chen et al. 2023, arXiv 2308.06571.
"""

from typing import ClassVar

from .parts.clips import VideoUNet
from .parts.composed import Composed, Parts
from .parts.denoiser import Precision
from .parts.files import check_weights
from .parts.stable_diffusion import StableDiffusion
from .parts.weights import Folder


class ModelScope(Composed):
    """Views are a clip's frames in order; where they are not denoised together, each is a clip of one frame."""

    id = "modelscope"
    paper: ClassVar[str] = "2308.06571"
    licence: ClassVar[str] = "CC-BY-NC-4.0"
    title: ClassVar[str] = "ModelScope text-to-video"

    def __init__(
        self,
        *,
        path: str = "ali-vilab/text-to-video-ms-1.7b",
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
    ) -> None:
        """`path`: a folder, or a hub id at branch, tag or `commit`; `variant`: e.g. fp16.

        Raises SyncbenchError where it is not on this machine or is incomplete.
        """
        super().__init__(device, dtype, batch)
        self.source: Folder = self.folder(path, commit=commit, variant=variant)
        for part in ("unet", "vae"):
            check_weights(self.source.path, part, "diffusion_pytorch_model", self.source.variant)
        check_weights(self.source.path, "text_encoder", "model", self.source.variant)

    def parts(self) -> Parts:
        """Stable Diffusion 2's words and codec around the network of clips."""
        base = StableDiffusion(self.source)
        return Parts(
            network=VideoUNet(self.source.weights("UNet3DConditionModel", "unet")),
            conditioners=(base.text,),
            codec=base.codec,
            levels=base.levels,
            window=256,
            folders={"pipeline": base.revision()},
        )
