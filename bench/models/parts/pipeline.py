"""Text encoders and codec of a pipeline's folder, whatever its network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .codec import Autoencoder
from .texts import Text, Unloaded
from .weights import Folder


@dataclass(frozen=True)
class Pipeline:
    """The parts of a pipeline's folder, not loaded yet."""

    folder: Folder
    names: Iterable[str]
    """Names of its parts, from a fingerprint; some may be missing."""

    def text(self, pipeline: str, outputs: tuple[str, ...], options: Mapping[str, Any]) -> Text:
        """The conditioner of prompts, encoded as by diffusers' class `pipeline`; see `Text`.

        The pipeline gets None for an encoder that the folder lacks, and of the network its configuration alone.
        """
        folder, names = self.folder, [n for n in self.names if n.startswith(("text_encoder", "tokenizer"))]
        there = [name for name in names if folder.has(name)]
        kinds = {name: str(folder.index[name][1]) for name in there if name.startswith("text_encoder")}
        tokenizers = [name for name in there if name.startswith("tokenizer")]
        missing = dict.fromkeys(name for name in names if name not in there)
        return Text(
            pipeline=pipeline,
            encoders={name: folder.weights(kind, name, "transformers") for name, kind in kinds.items()},
            tokenizers={name: lambda name=name: folder.tokenizer(name) for name in tokenizers},
            outputs=outputs,
            options=options,
            parts={"vae": None, "scheduler": None, "transformer": Unloaded.of(folder.config("transformer")), **missing},
        )

    @cached_property
    def codec(self) -> Autoencoder:
        """The folder's codec, not loaded yet."""
        return Autoencoder(self.folder.weights(str(self.folder.index["vae"][1]), "vae"))

    def revision(self) -> str:
        """12 hex digits of the configuration and weights of the parts that the folder has."""
        return self.folder.revision([name for name in self.names if self.folder.has(name)])
