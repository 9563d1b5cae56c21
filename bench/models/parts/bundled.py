"""The base class of the bundled models, which share the reference model's text encoder, codec and noise levels."""

import re
from functools import cache
from pathlib import Path
from typing import ClassVar

from ...files.reading import is_file, read_object
from ...types import SyncbenchError
from .composed import SHIPPED, Composed
from .denoiser import Precision
from .stable_diffusion import StableDiffusion
from .weights import Folder


class Bundled(Composed):
    """A bundled model: its own weights and the reference model's, each in a folder that an option may replace."""

    own: ClassVar[str] = "config.json"
    """A file of the model's own folder that exists if its weights do."""

    def __init__(
        self, *, path: str = "", base: str = "", device: str = "auto", dtype: Precision = "bfloat16", batch: int = 32
    ) -> None:
        """`path` and `base` replace the shipped folders, of this model and of the reference model."""
        super().__init__(device, dtype, batch)
        self._path, self._base = path, base

    @property
    def native(self) -> None:
        """None: views of any size are served, because these models are also meant for small experiments."""
        return None

    @property
    def base(self) -> StableDiffusion:
        """The reference model's folder."""
        return StableDiffusion(self.shipped("reference", self._base, "model_index.json"))

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

    def unknown(self, prompt: str) -> tuple[str, ...]:
        """Words of a prompt that are not in the grammar of the reference world's captions, in order, each once."""
        known = vocabulary(self.base.folder.path / "tokenizer" / "vocab.json")
        words = dict.fromkeys(re.findall(r"[^\W\d_]{2,}|\d+", prompt.lower()))
        return tuple(word for word in words if known and word not in known)

    def folders(self, **more: str) -> dict[str, str]:
        """Revisions of the folders of the model's weights; the reference's network counts only where it is used."""
        return {"base": self.base.revision(), "own": self.weights.revision(), **more}


@cache
def vocabulary(path: Path) -> frozenset[str]:
    """Words that a tokenizer has as one token each, two letters or more; empty where there is no such file."""
    tokens = read_object(path) if is_file(path) else {}
    return frozenset(word for token in tokens if len(word := token.removesuffix("</w>")) > 1 and word != token)
