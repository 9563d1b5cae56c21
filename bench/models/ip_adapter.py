"""A Stable Diffusion checkpoint that is prompted by a picture and words: IP-Adapter.

Ye, Zhang, Liu, Han, Yang 2023, arXiv 2308.06721: `h94/IP-Adapter` on Stable Diffusion 1.x and XL, with its
image encoder, OpenCLIP ViT-H. Left out: its adapters for faces.
"""

from dataclasses import replace
from typing import Annotated, ClassVar, Unpack

from annotated_types import Interval
from torch import Tensor

from ..errors import quoted
from .parts.checkpoint import check_folder
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.image_prompt import PLACES, ImagePrompted, check_image_prompt, image_encoder, reads_patches
from .parts.library import library_class
from .parts.network import UNet
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.stable_diffusion import StableDiffusion
from .parts.vision import Patches, Vision, eight_bits, processed


class IpAdapter(Recipe):
    """Condition `image`: (1, 3, H, W) in [0, 1], whose middle square prompts every view, together with the text.

    Guidance drops picture and text together. An item without a picture is left out.
    """

    id = "ip_adapter"
    paper: ClassVar[str] = "2308.06721"
    licence: ClassVar[str] = "Apache-2.0 (adapter)"

    def __init__(
        self,
        *,
        path: str = "",
        adapter: str = "h94/IP-Adapter",
        weights: str = "",
        scale: Annotated[float, Interval(ge=0, le=10)] = 1.0,
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`path`: the base, a folder or a hub id; `adapter`: likewise, with a file `weights` and its image encoder.

        Without `weights` it is `ip-adapter_sd15`, or with XL `ip-adapter_sdxl_vit-h`. `scale` is the factor on the
        attention to the picture. Raises SyncbenchError where base and adapter do not fit each other.
        """
        self._adapter, self._weights, self._scale = adapter, weights, scale
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)

    def check(self) -> None:
        """Raise SyncbenchError for a folder that is no base, a file that is no IP-Adapter for it, a wrong encoder."""
        check_folder(self.source)
        self.adapter = self.folder(self._adapter, what="IP-Adapter")
        default = "ip-adapter_sdxl_vit-h" if self.source.has("text_encoder_2") else "ip-adapter_sd15"
        stem = (self._weights or default).removesuffix(".safetensors")
        self.file = self.adapter.file(f"{stem}.safetensors", "the IP-Adapter that is asked for", PLACES)
        width = int(self.source.config("unet").get("cross_attention_dim", 1280))
        self.tower = image_encoder(self.adapter, self.file, check_image_prompt(self.file, width))
        self.plus = reads_patches(self.file)

    @property
    def name(self) -> str:
        """Name of the model in tables: the base and the adapter's file."""
        return quoted(f"{super().name}+{self.file.stem}", 100)

    def parts(self) -> Parts:
        """The parts of the base, with the adapter's layers in its network, and the picture's embedding."""
        base = StableDiffusion(self.source)
        tower = replace(self.tower.weights("CLIPVisionModelWithProjection", "", "transformers"), exact=True)
        network = ImagePrompted(
            self.source.weights("UNet2DConditionModel", "unet"), self.file, self.placement, self._scale
        )
        picture = (Patches if self.plus else Vision)(tower, self.prepare, out="image_embeds")
        return Parts(
            network=UNet(network, base.codec.factor),
            conditioners=(base.text, picture),
            codec=base.codec,
            levels=base.levels,
            window=base.window(),
            folders={
                "pipeline": base.revision(),
                "adapter": self.adapter.file_revision(self.file),
                "encoder": self.tower.revision(),
                "scale": str(self._scale),
            },
        )

    def prepare(self, images: Tensor) -> Tensor:
        """The input of the image encoder for pictures (n, 3, H, W) in [0, 1], rounded to 8 bits."""
        size = int(self.tower.config().get("image_size", 224))
        processor = library_class("transformers", "CLIPImageProcessor")(size=size, crop_size=size)
        return processed(processor, eight_bits(images), size)
