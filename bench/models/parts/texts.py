"""Conditioners of prompts: text embeddings, names of channels, and the empty text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch

from .conditioners import Request, Rows, Silent, asked_channels, repeated
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
    """Whether an empty negative prompt is zeros, not the empty text's embedding (`force_zeros_for_empty_prompt`)."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More arguments of `encode_prompt`."""
    parts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More arguments of the pipeline's constructor, mostly None for parts that it works without."""
    suffix: str = ""
    """Words at the end of every prompt that the network was trained with; a negative prompt is left as it is."""
    _known: dict[str, Rows] = field(default_factory=dict[str, Rows], compare=False, repr=False)

    offers: frozenset[str] = frozenset({"text"})
    group: str = "text"

    @cached_property
    def loaded(self) -> Any:
        """The pipeline of text encoders and tokenizers, loaded on first use."""
        with quiet():
            encoders = {name: weights.module for name, weights in self.encoders.items()}
            tokenizers = {name: make() for name, make in self.tokenizers.items()}
            return library_class("diffusers", self.pipeline)(**encoders, **tokenizers, **self.parts)

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """Embeddings of each view's prompt, and of the negative prompt. Each text is encoded once and kept."""
        given = stacked([self.encode(prompt + self.suffix) for prompt in request.prompts])
        if not request.guided:
            return given, {}
        if not request.negative and self.zeros:
            return given, {name: torch.zeros_like(rows) for name, rows in given.items()}
        return given, repeated(self.encode(request.negative), request.views)

    @torch.no_grad()
    def encode(self, text: str) -> Rows:
        """Outputs of `encode_prompt` for one text, by name, each (1, ...)."""
        if text not in self._known:
            pipe = self.loaded
            found = pipe.encode_prompt(text, device=_device(self.encoders), **self.options)
            names = zip(self.outputs, found, strict=False)
            self._known[text] = {name: value for name, value in names if name and value is not None}
        return self._known[text]

    @torch.no_grad()
    def marks(self) -> Rows:
        """Embeddings (1, 2, d) of the empty text's marks of beginning and end, unpadded, by the first encoder."""
        pipe = self.loaded
        ids = pipe.tokenizer("", padding="do_not_pad", return_tensors="pt").input_ids
        return {self.outputs[0]: pipe.text_encoder(ids.to(_device(self.encoders)))[0]}

    def tokens(self, text: str) -> tuple[str, ...]:
        """The text's tokens with the marks of beginning and end, by the first tokenizer: one for each row of its
        embedding, of which later rows are padding."""
        tokenizer = getattr(self.loaded, next(iter(self.tokenizers)))
        ids = tokenizer(text + self.suffix, truncation=True, max_length=tokenizer.model_max_length).input_ids
        return tuple(tokenizer.convert_ids_to_tokens(ids))

    def read(self, text: str) -> float:
        """Fraction of the text's tokens, in (0, 1], that the text encoder of the most tokens reads."""
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
    """A stand-in for a network in a pipeline of text encoders, which reads nothing of it but its configuration."""

    config: Any

    @staticmethod
    def of(config: Mapping[str, Any]) -> "Unloaded":
        """The stand-in for a network with this `config.json`."""
        return Unloaded(SimpleNamespace(**config))


@dataclass(frozen=True)
class Words:
    """Prompts that are names of channels, each encoded as the text that the network was trained with.

    Where a prompt is none of these names, the views are the channels in order.
    """

    text: Text
    words: Mapping[str, str]
    """The text that the network was trained with, by the name of the channel."""
    offers: frozenset[str] = frozenset({"text", "channels"})
    takes: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    group: str = "text"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """Embeddings of each view's text, and of the negative prompt."""
        said = tuple(self.words[name] for name in asked_channels(request.prompts, list(self.words)))
        return self.text(replace(request, prompts=said))


@dataclass(frozen=True)
class Silence(Silent):
    """The empty text, whatever the prompt, for a network with text layers that was trained without prompts."""

    text: Text
    short: bool = False
    """Whether the empty text is its two marks of beginning and end alone, without padding, as Marigold was trained."""
    offers: frozenset[str] = frozenset({"text"})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """Embeddings of the empty text for each view, given and dropped alike."""
        rows = repeated(self.text.marks() if self.short else self.text.encode(""), request.views)
        return rows, rows


def stacked(parts: Sequence[Rows]) -> Rows:
    """Rows of several texts as one set of rows, in order."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _device(encoders: Mapping[str, Weights | Held]) -> torch.device:
    return next(next(iter(encoders.values())).module.parameters()).device
