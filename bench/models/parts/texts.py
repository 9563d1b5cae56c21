"""Prompts to what the network reads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch

from .conditioners import Request, Rows, Silent, repeated
from .library import library_class, quiet
from .weights import Held, Weights


@dataclass(frozen=True)
class Text(Silent):
    """Embeddings by a diffusers pipeline's own `encode_prompt`, which knows which layers of which encoders count.

    The pipeline is made of text encoders and tokenizers alone. `outputs` names what `encode_prompt` returns, in order;
    empty for what is not read.
    """

    pipeline: str
    """Name of the class, e.g. `StableDiffusionPipeline`."""
    encoders: Mapping[str, Weights | Held]
    tokenizers: Mapping[str, Callable[[], Any]]
    outputs: tuple[str, ...] = ("text",)
    zeros: bool = False
    """An empty negative prompt is zeros, not the embedding of the empty text (`force_zeros_for_empty_prompt`)."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More arguments of `encode_prompt`."""
    parts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More arguments of the pipeline's constructor, mostly None for what it does without."""
    suffix: str = ""
    """Words at the end of every prompt that the network was trained with; a negative prompt is left as it is."""
    _known: dict[str, Rows] = field(default_factory=dict[str, Rows], compare=False, repr=False)

    offers: frozenset[str] = frozenset({"text"})
    group: str = "text"

    @cached_property
    def loaded(self) -> Any:
        """The pipeline."""
        with quiet():
            encoders = {name: weights.module for name, weights in self.encoders.items()}
            tokenizers = {name: make() for name, make in self.tokenizers.items()}
            return library_class("diffusers", self.pipeline)(**encoders, **tokenizers, **self.parts)

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """Each text is encoded once and kept."""
        given = stacked([self.encode(prompt + self.suffix) for prompt in request.prompts])
        if not request.guided:
            return given, {}
        if not request.negative and self.zeros:
            return given, {name: torch.zeros_like(rows) for name, rows in given.items()}
        return given, repeated(self.encode(request.negative), request.views)

    @torch.no_grad()
    def encode(self, text: str) -> Rows:
        """Embeddings of one text, each (1, ...)."""
        if text not in self._known:
            pipe = self.loaded
            found = pipe.encode_prompt(text, device=_device(self.encoders), **self.options)
            names = zip(self.outputs, found, strict=False)
            self._known[text] = {name: value for name, value in names if name and value is not None}
        return self._known[text]

    @torch.no_grad()
    def marks(self) -> Rows:
        """Embeddings of the empty text without padding, (1, 2, ...), by the first encoder alone."""
        pipe = self.loaded
        ids = pipe.tokenizer("", padding="do_not_pad", return_tensors="pt").input_ids
        return {self.outputs[0]: pipe.text_encoder(ids.to(_device(self.encoders)))[0]}

    def read(self, text: str) -> float:
        """Fraction of the text's tokens that the encoder with the most places has room for, in (0, 1]."""
        pipe, most = self.loaded, int(self.options.get("max_sequence_length", 77))
        shares: list[float] = []
        for name in self.tokenizers:
            tokenizer = getattr(pipe, name)
            marks = tokenizer.num_special_tokens_to_add()  # of beginning and end
            places = most if "T5" in type(tokenizer).__name__ else tokenizer.model_max_length
            count = len(tokenizer(text + self.suffix, truncation=False, verbose=False).input_ids) - marks
            shares.append((places - marks) / max(1, count))
        return min(1.0, max(shares))


@dataclass(frozen=True)
class Unloaded:
    """What stands for a network in a pipeline of text encoders that asks it for nothing but its configuration."""

    config: Any

    @staticmethod
    def of(config: Mapping[str, Any]) -> "Unloaded":
        """Of a `config.json`."""
        return Unloaded(SimpleNamespace(**config))


@dataclass(frozen=True)
class Words:
    """Text whose prompts are words of the network's own, such as the names of channels.

    A prompt that is none of them says nothing here: its views are the words in order.
    """

    text: Text
    words: Mapping[str, str]
    """What the network was trained to read, by the word that asks for it."""
    offers: frozenset[str] = frozenset({"text", "channels"})
    takes: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    group: str = "text"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The words' embeddings."""
        names = list(self.words)
        asked = [p if p in self.words else names[i % len(names)] for i, p in enumerate(request.prompts)]
        said = tuple(self.words[name] for name in asked)
        return self.text(replace(request, prompts=said))


@dataclass(frozen=True)
class Silence(Silent):
    """The empty text, whatever the prompt: a network of pictures alone that was trained with text layers."""

    text: Text
    short: bool = False
    """The two marks of beginning and end alone, not padded to the encoder's places, as Marigold was trained."""
    offers: frozenset[str] = frozenset({"text"})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The same in every pass."""
        rows = repeated(self.text.marks() if self.short else self.text.encode(""), request.views)
        return rows, rows


def stacked(parts: Sequence[Rows]) -> Rows:
    """Rows of several texts, one after another."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _device(encoders: Mapping[str, Weights | Held]) -> torch.device:
    return next(next(iter(encoders.values())).module.parameters()).device
