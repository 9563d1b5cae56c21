"""What the bundled models have in common: the reference model's text encoder, codec and noise levels."""

from dataclasses import dataclass
from typing import ClassVar

from ...types import SyncbenchError
from .codec import Autoencoder
from .composed import SHIPPED, Composed
from .conditioners import Text
from .denoiser import Precision
from .levels import Discrete
from .network import UNet
from .weights import Folder, Weights


@dataclass(frozen=True)
class Base:
    """The parts of a Stable Diffusion folder, 1.x or 2.x."""

    folder: Folder

    @property
    def text(self) -> Text:
        """Its words."""
        encoder = self.folder.weights("CLIPTextModel", "text_encoder", "transformers")
        return Text(
            "StableDiffusionPipeline",
            {"text_encoder": encoder},
            {"tokenizer": self.folder.tokenizer},
            options={"num_images_per_prompt": 1, "do_classifier_free_guidance": False},
            parts={
                **dict.fromkeys(("vae", "unet", "scheduler", "safety_checker", "feature_extractor")),
                "requires_safety_checker": False,
            },
        )

    @property
    def codec(self) -> Autoencoder:
        """Its codec."""
        kind = str(self.folder.index.get("vae", ["", "AutoencoderKL"])[1])
        return Autoencoder(self.folder.weights(kind, "vae"))

    @property
    def levels(self) -> Discrete:
        """Its noise levels."""
        return Discrete(self.folder.scheduler())

    @property
    def unet(self) -> UNet:
        """Its network."""
        return UNet(self.folder.weights("UNet2DConditionModel", "unet"), self.codec.factor)

    def window(self, native: int | None = None) -> int:
        """Native size in pixels: `native`, or what the network's configuration says, which is not always true."""
        size = self.folder.config("unet").get("sample_size", 64)
        return native or int(max(size) if isinstance(size, list | tuple) else size) * self.codec.factor

    def revision(self, *parts: str) -> str:
        """Of the parts that are used; all networks if none are named."""
        return self.folder.revision(parts or ("unet", "vae", "text_encoder", "tokenizer", "scheduler"))


class Bundled(Composed):
    """Weights of its own beside the reference model's, each in a folder that an option may replace."""

    own: ClassVar[str] = "config.json"
    """What is there if the weights are."""

    def __init__(self, *, path: str, base: str, device: str, dtype: Precision, batch: int) -> None:
        super().__init__(device, dtype, batch)
        self._path, self._base = path, base

    @property
    def base(self) -> Base:
        """The reference model's folder."""
        return Base(self.shipped("reference", self._base, "model_index.json"))

    @property
    def weights(self) -> Folder:
        """This model's own folder."""
        return self.shipped(self.id, self._path, self.own)

    def shipped(self, name: str, path: str, needed: str = "config.json") -> Folder:
        """The folder of a bundled model, or another in its place. Raises SyncbenchError where it has no weights."""
        folder = self.folder(path or str(SHIPPED / name), what=f"{name} weights")
        if not (folder.path / needed).exists():
            raise SyncbenchError(
                f"no weights of model {name} in {folder.path}: train them (syncbench train {name} --out DIR) and set "
                f"{self.id}.{'path' if name == self.id else 'base'}=DIR/model"
            )
        return folder

    def folders(self, **more: str) -> dict[str, str]:
        """Revisions of what the model is made of; the reference's network counts only where it is used."""
        return {"base": self.base.revision(), "own": self.weights.revision(), **more}
