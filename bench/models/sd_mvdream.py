"""MVDream: all views of an object denoised together, each from its camera, by a Stable Diffusion 2.1 network.

Shi, Wang, Ye, Long, Li, Yang, ICLR 2024, arXiv 2308.16512. Read are folders in diffusers' layout: the converted one,
ashawkey/mvdream-sd2.1-diffusers (its code read at 8b318ef), whose UNet keeps its original names and is made a stock
network here, without the code beside it; and one whose UNet is stock already. The original .pt files are pickles.
"""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Unpack

from ..errors import SyncbenchError, quoted
from .parts.cameras import Camera, orbit_numbers
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.described import listed, read_index
from .parts.fingerprint import CLIP, CLIP_TOKENIZER, CODEC, SCHEDULER, TEXT_WIDTH, UNET, Fingerprint, Part
from .parts.ldm import LdmUNet
from .parts.network import UNet
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.stable_diffusion import StableDiffusion
from .parts.weights import Loadable
from .parts.wrappers import Joint

CAMERA = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 16}
"""Configuration fields with which a UNet of diffusers reads the camera's 16 numbers, in place of a class label."""
OTHERS = {"vae": CODEC, "text_encoder": CLIP, "tokenizer": CLIP_TOKENIZER, "scheduler": SCHEDULER}


class MVDream(Recipe):
    """Condition `camera`: (N, 16), rows of camera-to-world; without it the network makes pictures as its base does.

    Where views are denoised together every self-attention spans all N; the network was trained for 4, a quarter turn
    apart. Else each is denoised by itself, from its camera.
    """

    id = "sd_mvdream"
    paper: ClassVar[str] = "2308.16512"
    licence: ClassVar[str] = "code MIT, weights OpenRAIL"
    title: ClassVar[str] = "MVDream"

    def __init__(
        self,
        *,
        path: str = "",
        suffix: str = ", 3d asset",
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`path`: a folder, or a hub id at branch, tag or `commit`; `suffix` is added to prompts, as upstream does.

        Raises SyncbenchError where the folder is not on this machine, is incomplete, or holds another network.
        """
        self._suffix = suffix
        if Path(path).suffix in (".pt", ".pth", ".ckpt", ".bin"):
            raise SyncbenchError(
                f"'{quoted(path)}' is a pickle, which runs code when it is read: take the same weights as a folder, "
                "syncbench fetch ashawkey/mvdream-sd2.1-diffusers"
            )
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)

    def check(self) -> None:
        """Raise SyncbenchError for a network that is not MVDream's, of diffusers' or of original tensor names."""
        library, kind = listed(self.source.path, read_index(self.source.path, True)).get("unet", ("", ""))
        original = Part(("MultiViewUNetModel",), library, {"in_channels": 4, "out_channels": 4, "camera_dim": 16})
        unet = original if kind == "MultiViewUNetModel" else Part(UNET, fields={"in_channels": 4, **CAMERA})
        Fingerprint("MVDream", {"unet": unet, **OTHERS}, (TEXT_WIDTH,), own_pipeline=True).check(self.source)

    @property
    def weights(self) -> Loadable:
        """The UNet, not loaded yet; its tensors have the original names where the folder has MVDream's own class."""
        if str(self.source.index["unet"][1]) == "MultiViewUNetModel":
            return LdmUNet(self.source)
        return self.source.weights("UNet2DConditionModel", "unet")

    def parts(self) -> Parts:
        """The parts of the folder; cameras are moved to distance 1 of the point that they look at."""
        base = StableDiffusion(self.source)
        return Parts(
            network=Joint(UNet(self.weights, base.codec.factor)),
            conditioners=(replace(base.text, suffix=self._suffix), Camera(orbit_numbers)),
            codec=base.codec,
            levels=base.levels,
            window=256,
            folders={"pipeline": base.revision(), "suffix": self._suffix},
        )
