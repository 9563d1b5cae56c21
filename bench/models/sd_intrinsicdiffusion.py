"""IntrinsicDiffusion: albedo, shading or normals of a picture, one at a time, by a ControlNet that all three share.

Luo, Ceylan, Yoon, Zhao, Philip, Frühstück, Li, Richardt, Wang, SIGGRAPH 2024 (code read at f3ab117). The base is
`bghira/pseudo-journey-v2`, a Stable Diffusion 2.1 of zero terminal SNR, whose text encoder is not used. The authors
give the trained networks as a folder on Google Drive, `trained_models`, with `controlnet` and `prompt_adapter`. The
picture enters in linear light (levels to the power 2.2); channels differ in the transformer that reads it and in a
learned text, and agree because convolutions, ControlNet and UNet are the same. Which way its normals point is not
written down: they are taken as x right, y up, z to the viewer, as in Hypersim, which is among its data. Noise levels
are those of zero terminal SNR at trailing times whatever the base's file says.
"""

from dataclasses import replace
from typing import ClassVar, Unpack

from ..errors import SyncbenchError
from .parts.channels import Channel
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.described import UNUSED
from .parts.fingerprint import CODEC, STEERED, UNET, Fingerprint, Part, check_companion
from .parts.guidance import Distilled
from .parts.intrinsic import CELL, CONTROL, Read, control_net, learned_texts, picture_reader
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.rgbx import LEVELS, light
from .parts.stable_diffusion import StableDiffusion
from .parts.wrappers import Control, Controlled

NATIVE = 768
"""Pixels along the longer side of a view."""
LABELS = {"albedo": "albedo", "shading": "shading", "normal": "surface normal"}
"""The published names of the channels."""
CHANNELS = (Channel("albedo", "linear"), Channel("shading", "compressed"), Channel("normal", "normal"))
READS = ("unet", "vae", "scheduler")
"""Parts of the base that are read."""


class IntrinsicDiffusion(Recipe):
    """Condition `image`: (1, 3, H, W), sRGB, of sides that are multiples of 64. Views are albedo, shading, normal."""

    id = "sd_intrinsicdiffusion"
    paper: ClassVar[str] = "10.1145/3641519.3657472"
    licence: ClassVar[str] = "code Apache-2.0, weights without a licence, base CreativeML OpenRAIL-M"
    title: ClassVar[str] = "IntrinsicDiffusion"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "the base of IntrinsicDiffusion",
        {
            "unet": Part(UNET, fields={"in_channels": 4, "out_channels": 4, "class_embed_type": None}),
            "vae": CODEC,
            "scheduler": Part(fields={"prediction_type": "v_prediction"}),
        },
        unused=(*UNUSED, "text_encoder", "tokenizer"),
    )

    def __init__(
        self,
        *,
        path: str = "",
        trained: str = "",
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`path`: the base, a folder or a hub id; `trained`: the authors' folder `trained_models`.

        Other options are those of the model `diffusers`. Raises SyncbenchError where one is missing, is incomplete, or
        does not fit the other.
        """
        self._trained = trained
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)

    def check(self) -> None:
        """Raise SyncbenchError for a folder that is no such base, or trained networks that are others or of another."""
        width = self.fingerprint.check(self.source)["unet"].get("cross_attention_dim", 1280)
        if not self._trained:
            raise SyncbenchError(
                f"model {self.id} needs the trained networks: --set model.trained=FOLDER, the authors' trained_models "
                "(https://github.com/JundanLuo/IntrinsicDiffusion says where it is)"
            )
        trained = replace(self.folder(self._trained, what="folder trained_models"), variant=None)
        self.control = replace(trained, path=trained.path / "controlnet")
        CONTROL.check(self.control)
        check_companion(self.control, self.source, STEERED, what="ControlNet")
        self.texts = trained.file("prompt_adapter/prompt_adapter.pt", "the learned texts")
        self.learned = learned_texts(self.texts, list(LABELS.values()), int(width))
        self.trained = trained

    def parts(self) -> Parts:
        """The base's UNet with the ControlNet, to both of which a channel is a learned text; nothing guides them."""
        base, config = StableDiffusion(self.source, LEVELS), self.control.config()
        file = self.control.file("diffusion_pytorch_model.safetensors", "the ControlNet's weights")
        names, width = list(LABELS.values()), int(config["block_out_channels"][0])
        reader = picture_reader(file, self.placement, width, names)
        control = Control(control_net(file, self.placement, config), "image", downscale=CELL)
        return Parts(
            network=Controlled(base.unet, (control,), base.codec.factor),
            conditioners=(Read(reader, self.learned, LABELS, light),),
            codec=base.codec,
            levels=base.levels,
            guidance=Distilled(),
            window=NATIVE,
            folders={
                "pipeline": self.source.revision(READS),
                "control": self.control.revision(),
                "texts": self.trained.file_revision(self.texts),
            },
            channels=CHANNELS,
        )
