"""MVDream: all views of an object denoised together, each from its camera, by a Stable Diffusion 2.1 network.

Shi, Wang, Ye, Long, Li, Yang, ICLR 2024, arXiv 2308.16512. Read are folders of diffusers' layout: the converted one
(ashawkey/mvdream-sd2.1-diffusers, commit 8b318ef of its code read), whose UNet keeps its original names and is made a
stock network here without the code beside it, and one whose UNet is stock already. The original .pt files are pickles.
"""

from pathlib import Path
from typing import ClassVar

from ..errors import SyncbenchError, quoted
from .parts.cameras import OrbitCamera
from .parts.composed import Composed, Parts
from .parts.denoiser import Precision
from .parts.files import check_weights
from .parts.ldm import LdmUNet
from .parts.network import Joint, UNet
from .parts.stable_diffusion import StableDiffusion
from .parts.weights import Folder, Loadable


class MVDream(Composed):
    """Condition `camera`: (N, 16), rows of camera-to-world; without it the network makes pictures as its base does.

    Where views are denoised together every self-attention spans all N; the network was trained for 4, a quarter turn
    apart. Else each attends to itself and knows its camera only.
    """

    id = "mvdream"
    paper: ClassVar[str] = "2308.16512"
    licence: ClassVar[str] = "code MIT, weights OpenRAIL"
    title: ClassVar[str] = "MVDream"

    def __init__(
        self,
        *,
        path: str = "ashawkey/mvdream-sd2.1-diffusers",
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
    ) -> None:
        """`path`: a folder, or a hub id at branch, tag or `commit`; `variant`: e.g. fp16.

        Raises SyncbenchError where it is not on this machine, is incomplete, or is a pickle.
        """
        super().__init__(device, dtype, batch)
        if Path(path).suffix in (".pt", ".pth", ".ckpt", ".bin"):
            raise SyncbenchError(
                f"'{quoted(path)}' is a pickle, which runs code when it is read: take the folder of the same weights, "
                "syncbench fetch ashawkey/mvdream-sd2.1-diffusers"
            )
        self.source: Folder = self.folder(path, commit=commit, variant=variant)
        for part in ("unet", "vae"):
            check_weights(self.source.path, part, "diffusion_pytorch_model", self.source.variant)
        check_weights(self.source.path, "text_encoder", "model", self.source.variant)

    @property
    def weights(self) -> Loadable:
        """The network's, by what its configuration says it is."""
        if "model_channels" in self.source.config("unet"):
            return LdmUNet(self.source)
        return self.source.weights("UNet2DConditionModel", "unet")

    def parts(self) -> Parts:
        """Those of the folder; cameras stand on a unit orbit of the point that they look at."""
        base = StableDiffusion(self.source)
        return Parts(
            network=Joint(UNet(self.weights, base.codec.factor)),
            conditioners=(base.text, OrbitCamera()),
            codec=base.codec,
            levels=base.levels,
            window=256,
            folders={"pipeline": base.revision()},
        )
