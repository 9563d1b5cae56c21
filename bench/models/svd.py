"""Stable Video Diffusion: a clip that begins with a picture, by a video UNet with continuous noise levels.

Blattmann, Dockhorn, Kulal et al. 2023, arXiv 2311.15127. SVD (14 frames) and SVD-xt (25), as diffusers' folders.
Unlike the published pipeline, so that samples can be repeated, the noise on the picture is the same for all items and
seeds.
"""

from typing import ClassVar

from torch import Tensor

from .parts.clip_codec import TemporalDecoder
from .parts.clips import VideoUNet
from .parts.composed import Composed, Parts
from .parts.denoiser import Precision
from .parts.files import check_weights
from .parts.guidance import PerView
from .parts.levels import Edm
from .parts.network import Concatenated
from .parts.vision import FirstFrame, Numbers, Vision, shrunk
from .parts.weights import Folder


class SVD(Composed):
    """Condition `image` (1, 3, H, W), the first frame, or `video`, whose first frame it is. Words say nothing.

    Views are a clip's frames in order; where they are not denoised together, each is a clip of one frame. Guidance
    rises from 1 at the first frame to the protocol's scale at the last (published: 3).
    """

    id = "svd"
    paper: ClassVar[str] = "2311.15127"
    licence: ClassVar[str] = "Stability AI Community"
    title: ClassVar[str] = "Stable Video Diffusion"

    def __init__(
        self,
        *,
        path: str = "stabilityai/stable-video-diffusion-img2vid-xt",
        fps: int = 7,
        motion: int = 127,
        noise: float = 0.02,
        chunk: int = 0,
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
    ) -> None:
        """`path`: a folder, or a hub id at branch, tag or `commit`; `variant`: e.g. fp16.

        `fps`, `motion` (bucket, 0 to 255) and `noise` (on the picture, for pixels in [-1, 1]) are what the network is
        told; `chunk` frames are decoded together, 0: all.
        """
        super().__init__(device, dtype, batch)
        self.source: Folder = self.folder(path, commit=commit, variant=variant)
        self._told = (float(fps - 1), float(motion), noise)  # it was trained with one less than the frame rate
        self._chunk = chunk
        for part in ("unet", "vae"):
            check_weights(self.source.path, part, "diffusion_pytorch_model", self.source.variant)
        check_weights(self.source.path, "image_encoder", "model", self.source.variant)

    def parts(self) -> Parts:
        """The picture's latent behind the noisy one, its embedding in the place of words."""
        folder = self.source
        unet = VideoUNet(folder.weights("UNetSpatioTemporalConditionModel", "unet"), frames_first=True)
        tower = folder.weights("CLIPVisionModelWithProjection", "image_encoder", "transformers")
        *told, noise = self._told
        return Parts(
            network=Concatenated(unet, after=("image",)),
            conditioners=(
                Vision(tower, self.prepare, otherwise="video"),
                FirstFrame(noise=noise),
                Numbers((*told, noise)),
            ),
            codec=TemporalDecoder(folder.weights("AutoencoderKLTemporalDecoder", "vae"), self._chunk),
            levels=Edm(folder.scheduler()),
            guidance=PerView(1.0),
            window=1024,
            places=(1, int(unet.config.get("num_frames", 25))),
            folders={
                "pipeline": folder.revision(("unet", "vae", "image_encoder", "feature_extractor", "scheduler")),
                "told": "-".join(map(str, (*self._told, self._chunk))),
            },
        )

    def prepare(self, images: Tensor) -> Tensor:
        """Pictures in [0, 1] as the vision tower reads them: squeezed to a square, normalised."""
        plain = {"do_center_crop": False, "do_resize": False, "do_rescale": False, "do_normalize": True}
        small = shrunk(images.float() * 2 - 1, 224) / 2 + 0.5
        processor = self.source.processor("feature_extractor")
        return processor(images=small.cpu(), return_tensors="pt", **plain).pixel_values.to(images.device)
