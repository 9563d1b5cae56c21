"""Stable Video Diffusion: a clip that begins with a picture, by a video UNet with continuous noise levels.

Blattmann, Dockhorn, Kulal et al. 2023, arXiv 2311.15127: stabilityai/stable-video-diffusion-img2vid (14 frames) and
-img2vid-xt (25). Unlike the published pipeline, so that samples can be repeated, the noise on the picture is the same
for all items and seeds.
"""

from typing import ClassVar, Unpack

from torch import Tensor

from .parts.clip_codec import TemporalDecoder
from .parts.clips import VideoUNet
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.fingerprint import SCHEDULER, Agree, Fingerprint, Part
from .parts.guidance import PerView
from .parts.levels import Edm
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.vision import FirstFrame, Numbers, Vision, processed, shrunk
from .parts.wrappers import Concatenated

TOWER = Part(("CLIPVisionModelWithProjection",), "transformers")


class SVD(Recipe):
    """Condition `image` (1, 3, H, W), the first frame, or `video`, whose first frame it is. Prompts have no effect.

    Views are a clip's frames in order; where they are not denoised together, each is a clip of one frame. Guidance
    rises from 1 at the first frame to the protocol's scale at the last (published: 3).
    """

    id = "svd"
    paper: ClassVar[str] = "2311.15127"
    licence: ClassVar[str] = "Stability AI Community"
    title: ClassVar[str] = "Stable Video Diffusion"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "Stable Video Diffusion",
        {
            "unet": Part(("UNetSpatioTemporalConditionModel",), fields={"in_channels": 8, "out_channels": 4}),
            "vae": Part(("AutoencoderKLTemporalDecoder",)),
            "image_encoder": TOWER,
            "scheduler": Part(SCHEDULER.classes, fields={"prediction_type": "v_prediction"}),
        },
        (Agree("unet.cross_attention_dim", ("image_encoder.projection_dim",)),),
        unused=("feature_extractor", "safety_checker"),
    )

    def __init__(
        self,
        *,
        path: str = "",
        fps: int = 7,
        motion: int = 127,
        noise: float = 0.02,
        chunk: int = 0,
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`path`: a folder, or a hub id at branch, tag or `commit`; `chunk` frames are decoded together, 0: all.

        `fps`, `motion` (bucket, 0 to 255) and `noise` (on the picture, for pixels in [-1, 1]) are inputs of the
        network.
        """
        self._told = (float(fps - 1), float(motion), noise)  # it was trained with one less than the frame rate
        self._chunk = chunk
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)

    def parts(self) -> Parts:
        """The folder's parts; the UNet reads the picture's latent after the noisy one, and its embedding as a text."""
        folder = self.source
        unet = VideoUNet(folder.weights("UNetSpatioTemporalConditionModel", "unet"), frames_first=True)
        tower = folder.weights("CLIPVisionModelWithProjection", "image_encoder", "transformers")
        used = ("unet", "vae", "image_encoder", "feature_extractor", "scheduler")
        return Parts(
            network=Concatenated(unet, after=("image",)),
            conditioners=(Vision(tower, self.prepare, "video"), FirstFrame(self._told[2]), Numbers(self._told)),
            codec=TemporalDecoder(folder.weights("AutoencoderKLTemporalDecoder", "vae"), self._chunk),
            levels=Edm(folder.scheduler()),
            guidance=PerView(1.0),
            window=1024,
            places=(1, int(unet.config.get("num_frames", 25))),
            folders={"pipeline": folder.revision(used), "told": str((*self._told, self._chunk))},
        )

    def prepare(self, images: Tensor) -> Tensor:
        """The input of the vision tower for pictures (n, 3, H, W) in [0, 1]: resized to a square, normalised."""
        plain = {"do_center_crop": False, "do_resize": False, "do_rescale": False, "do_normalize": True}
        small = shrunk(images.float() * 2 - 1, 224) / 2 + 0.5
        return processed(self.source.processor("feature_extractor"), small, 224, **plain)
