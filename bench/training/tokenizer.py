"""The CLIP tokenizer of the small models: byte-level BPE whose merges make every grammar word one token."""

# (diffusers and transformers are partly untyped and export lazily.)

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from transformers import CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from ..world import WORDS

LENGTH = 24
"""Context length in tokens, start and end included; the longest caption takes 18."""


def build(words: Iterable[str] = WORDS) -> CLIPTokenizer:
    """A tokenizer that spells any text and spells each of ``words`` with a single token.

    The vocabulary is the 256 bytes, the same bytes at a word's end, one entry for each merge and the two special
    tokens; the end token has the highest id, which is how CLIP text towers find it.
    """
    alphabet = list(bytes_to_unicode().values())
    vocabulary = alphabet + [symbol + "</w>" for symbol in alphabet]
    merges: list[tuple[str, str]] = []
    # words grow from the left, so a merge shared by two words is listed once and never blocks either
    for word in sorted(words, key=len):
        symbols = [*word[:-1], word[-1] + "</w>"]
        symbols = _apply(symbols, merges)
        while len(symbols) > 1:
            merges.append((symbols[0], symbols[1]))
            vocabulary.append(symbols[0] + symbols[1])
            symbols = _apply([*word[:-1], word[-1] + "</w>"], merges)
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    fast: Any = CLIPTokenizer  # takes merges as pairs, too
    tokenizer = fast(
        vocab={token: i for i, token in enumerate(dict.fromkeys(vocabulary))},
        merges=merges,
        model_max_length=LENGTH,
    )
    broken = [word for word in words if len(tokenizer(word).input_ids) != 3]
    if broken:
        raise ValueError(f"words without a token of their own: {', '.join(broken)}")
    return tokenizer


def _apply(symbols: list[str], merges: list[tuple[str, str]]) -> list[str]:
    """BPE: repeatedly join the adjacent pair of the earliest merge."""
    rank = {pair: i for i, pair in enumerate(merges)}
    while True:
        ranked = [(rank[pair], i) for i, pair in enumerate(pairwise(symbols)) if pair in rank]
        if not ranked:
            return symbols
        _, i = min(ranked)
        symbols = [*symbols[:i], symbols[i] + symbols[i + 1], *symbols[i + 2 :]]


def save(folder: Path) -> None:
    """Write the tokenizer's folder: as one file, and as vocabulary and merges for older libraries."""
    tokenizer = build()
    tokenizer.save_pretrained(folder)
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    merges = (" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
