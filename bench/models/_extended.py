"""The reference model with a network or an adapter beside it, trained for conditions or for several views at once."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
from abc import abstractmethod
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import quoted
from ..schedule import Level
from ..types import SyncbenchError
from ._checkpoint import first_line
from ._denoiser import Precision, digest
from ._served import Served, quiet
from .interface import Condition
from .reference import Reference

WEIGHTS = Path(__file__).parent / "weights"


class Extended(Reference):
    """Weights of its own in `own`; text encoder, codec and noise schedule are the reference model's.

    Where the network couples views, it does so only inside `together()`, which a trained model's own method enters:
    otherwise a method that is named independent would not be.
    """

    couples = False
    """Whether there is anything that `together` switches on."""
    always = False
    """Whether views are denoised together in any case."""

    def __init__(
        self, *, path: str = "", base: str = "", device: str = "auto", dtype: Precision = "bfloat16", batch: int = 32
    ) -> None:
        """`path` and `base` try other folders than the shipped ones, of this model and of the reference model."""
        super().__init__(path=base, device=device, dtype=dtype, batch=batch)
        self.own = Path(path).expanduser() if path else WEIGHTS / self.id
        """Folder of the weights this model adds."""
        self.joint = self.always
        if not (self.own / "config.json").exists():
            raise SyncbenchError(
                f"no weights of model {self.id} in {self.own}: train them (syncbench train {self.id} --out DIR) and "
                f"set {self.id}.path=DIR/model"
            )

    def ready(self) -> None:
        """Load the networks; conditions are the datasets', so nothing is tried."""
        Served.ready(self)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Weights beside the reference's."""
        return (self.own,)

    @property
    def revision(self) -> str:
        """12 hex digits of the reference model's revision and of these folders' configuration and weights."""
        total = hashlib.sha256()
        for folder in self.folders:
            for file in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
                total.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
        return digest({"base": super().revision, "own": total.hexdigest()})

    @property
    def channels(self) -> int:
        """Latent channels."""
        return int(self.pipeline.vae.config.latent_channels)

    @contextmanager
    def together(self) -> Generator[None]:
        """Within the context the views of a call of `predict` are denoised together, in one network call."""
        before, self.joint = self.joint, self.couples or self.always
        try:
            with self.whole():
                yield
        finally:
            self.joint = before

    def condition(self, prompts: Sequence[str], guidance: float, negative: str = "", **inputs: Tensor) -> Condition:
        """Text and this model's own inputs, one row per prompt; an input of a single row serves them all."""
        self.refuse(inputs)
        made = super().condition(prompts, guidance, negative)
        for name, value in inputs.items():
            if len(value) not in (1, len(prompts)):
                raise SyncbenchError(f"condition `{name}` has {len(value)} rows for {len(prompts)} views")
        with torch.no_grad():
            full = {k: v.expand(len(prompts), *v.shape[1:]).to(self.device, self.dtype) for k, v in inputs.items()}
            rows = self._rows(full, len(prompts))
            absent = self._absent(rows) if made.guided else {}
        return replace(made, positive={**made.positive, **rows}, negative={**made.negative, **absent})

    def predict(self, x: Tensor, level: Level, condition: Condition) -> tuple[Tensor, Tensor]:
        """(x0, eps) after guidance; views that are denoised together are never chunked."""
        with self.whole() if self.joint else nullcontext():
            return super().predict(x, level, condition)

    @abstractmethod
    def _rows(self, inputs: dict[str, Tensor], views: int) -> dict[str, Tensor]:
        """What the network reads of the conditions, one row a view."""

    def _absent(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same for the unconditional half."""
        return rows

    def _own(self, kind: str, folder: Path | None = None) -> Any:
        """The diffusers model of class `kind` in this model's folder or another, placed and frozen."""
        folder = folder or self.own
        if not (folder / "config.json").exists():
            raise SyncbenchError(f"no weights of a {kind} in {folder}, which model {self.id} needs here")
        library: Any = import_module("diffusers")
        with quiet():
            try:
                made = getattr(library, kind).from_pretrained(folder, torch_dtype=torch.float32, use_safetensors=True)
            except Exception as error:  # a damaged file shows as almost any type
                raise SyncbenchError(f"cannot load the {kind} in {quoted(folder)}: {first_line(error)}") from error
            made.eval().requires_grad_(False).to(device=self.device, dtype=self.precision)
        return made.to(memory_format=torch.channels_last) if self.device.type == "cuda" else made

    def _needs(self, inputs: dict[str, Tensor], name: str) -> Tensor:
        if name not in inputs:
            raise SyncbenchError(f"model {self.id} needs condition `{name}`: choose a dataset that has it")
        return inputs[name]


class Replaced(Extended):
    """A model whose own network takes the place of the reference's."""

    def _load(self) -> Any:
        pipe = super()._load()
        pipe.register_modules(unet=self._own("UNet2DConditionModel"))
        return pipe

    @cached_property
    def _empty(self) -> Tensor:
        """Embedding of the empty text, (1, tokens, dim)."""
        return self._text("")["text"]
