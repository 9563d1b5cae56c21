"""Wan 2.1 text-to-video: a transformer of clips whose codec makes one latent of four frames.

Wan Team 2025, arXiv 2503.20314; diffusers' folders of the 1.3B and 14B models. Noise levels are those of Euler's
sampler at the folder's shift, because the published UniPC sampler keeps a history of its own.
"""

from typing import ClassVar

from .parts.clip_codec import VideoAutoencoder
from .parts.clips import VideoTransformer
from .parts.composed import Composed, Parts
from .parts.conditioners import Text
from .parts.denoiser import Precision
from .parts.files import check_weights
from .parts.levels import levels_of
from .parts.weights import Folder

TOKENS = 512
"""Of a text, as the network was trained; diffusers' own default is fewer."""


class Wan(Composed):
    """Views are a clip's frames in order, 1 + 4 k of them denoised together as 1 + k latents.

    Where they are not denoised together, each is a clip of one frame.
    """

    id = "wan"
    paper: ClassVar[str] = "2503.20314"
    licence: ClassVar[str] = "Apache-2.0"
    title: ClassVar[str] = "Wan 2.1"

    def __init__(
        self,
        *,
        path: str = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
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
        for part in ("transformer", "vae"):
            check_weights(self.source.path, part, "diffusion_pytorch_model", self.source.variant)
        check_weights(self.source.path, "text_encoder", "model", self.source.variant)

    def parts(self) -> Parts:
        """One transformer, T5's words, a codec that compresses time."""
        folder = self.source
        text = Text(
            pipeline="WanPipeline",
            encoders={"text_encoder": folder.weights("UMT5EncoderModel", "text_encoder", "transformers")},
            tokenizers={"tokenizer": folder.tokenizer},
            options={"do_classifier_free_guidance": False, "max_sequence_length": TOKENS},
            parts=dict.fromkeys(("vae", "scheduler", "transformer")),
        )
        return Parts(
            network=VideoTransformer(folder.weights("WanTransformer3DModel", "transformer")),
            conditioners=(text,),
            codec=VideoAutoencoder(folder.weights("AutoencoderKLWan", "vae")),
            levels=levels_of(folder.scheduler()),
            window=832,
            folders={"pipeline": folder.revision(("transformer", "vae", "text_encoder", "tokenizer", "scheduler"))},
        )
