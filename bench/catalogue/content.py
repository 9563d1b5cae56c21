"""The content of an item as 12 hex digits: two items of one id are the same item only where these digits agree.

An id is a name: a line number, or the stem of a file. The content decides which samples are made and how they are
judged, so it belongs to a job's identity and to every record.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from ..types import Item
from .fields import as_json


def content_of(item: Item) -> str:
    """12 hex digits of an item's prompts (negative and source too), surface, conditions and truth. It renders nothing.

    Tensors that exist already are hashed. Those of a `Lazy` mapping are made later, so only their names count, and the
    data set gives in `Item.content` the identity of what they will be made from.
    """
    tensors = {"conditions": _tensors(item.conditions), "truth": _tensors(item.truth)}
    words = {"prompts": list(item.prompts), "negative": item.protocol.negative}
    if item.source:
        words["source"] = item.source
    if item.target:
        words["target"] = item.target
    return digest({**words, "surface": as_json(item.surface), **tensors, "content": item.content})


def digest(facts: Any) -> str:
    """12 hex digits of JSON values and NumPy arrays. Floats are rounded to 9 digits, so that processors agree.

    >>> digest({"a": 0.1 + 0.2, "b": "x"}) == digest({"b": "x", "a": 0.3})
    True
    """
    text = json.dumps(_rounded(facts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def distinct_names(items: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A distinct name for each (id, content): the id, with digits of the content where an id has several contents.

    >>> distinct_names([("a", "0123456789ab"), ("b", "0123456789ab"), ("b", "ba9876543210")])
    {('a', '0123456789ab'): 'a', ('b', '0123456789ab'): 'b (012345)', ('b', 'ba9876543210'): 'b (ba9876)'}
    """
    distinct = dict.fromkeys(items)
    counts = Counter(id for id, _ in distinct)
    return {(id, content): f"{id} ({content[:6]})" if counts[id] > 1 else id for id, content in distinct}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return f"{round(value, 9) + 0.0:.9g}"
    if isinstance(value, Mapping):
        return {str(name): _rounded(one) for name, one in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, np.ndarray):
        return _array(cast(Any, value))
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in cast(list[Any], value)]
    return value


def _array(array: Any) -> list[Any]:
    """Shape and SHA-256 of an array, after rounding."""
    rounded: Any = array.astype("float64").round(9) + 0.0 if array.dtype.kind == "f" else array.astype("int64")
    return [list(array.shape), hashlib.sha256(rounded.tobytes()).hexdigest()]


def _tensors(tensors: Mapping[str, Any]) -> Any:
    """Hashes by name; of a mapping that makes its tensors on first access, the names alone."""
    if not isinstance(tensors, dict):
        return sorted(tensors)
    return {name: _hash(value) for name, value in tensors.items()}


def _hash(tensor: Any) -> str:
    import torch

    if tensor.is_meta:  # without any data
        return f"{tensor.dtype} {tuple(tensor.shape)}"
    values: torch.Tensor = tensor.detach().cpu().contiguous()
    total = hashlib.sha256(f"{values.dtype} {tuple(values.shape)} ".encode())
    total.update(values.flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()
