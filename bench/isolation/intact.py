"""Detection of components that change their input, which other components also read.

torch counts changes in place (`_version`), but not those that NumPy makes in shared memory, so bytes are summed, too.
"""

import zlib
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any, cast

import torch
from torch import Tensor

from ..types import Artifact, Item

Mark = tuple[int, int]
"""Version and checksum of a tensor."""
DEEPEST = 12
"""Largest depth of nested objects in which a model's networks are searched."""


def mark(tensor: Tensor) -> Mark:
    """Version and checksum of a tensor, equal as long as its values are not changed in place."""
    version = -1 if tensor.is_inference() else tensor._version
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    data: Any = flat.view(torch.uint8).numpy() if flat.numel() else b""
    return version, zlib.crc32(data)


class Marks:
    """Marks of several tensors by name; values that are no dense tensors are ignored."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        watched = {n: t for n, t in tensors.items() if isinstance(t, Tensor) and t.layout is torch.strided}
        self._marks = {name: (tensor, mark(tensor)) for name, tensor in watched.items()}

    @property
    def intact(self) -> bool:
        """Whether no tensor was changed since it was marked."""
        return all(mark(tensor) == was for tensor, was in self._marks.values())


def mark_artifact(artifact: Artifact) -> Marks:
    """Marks of the tensors of an artifact."""
    return Marks({"views": artifact.views, "canvas": artifact.canvas, **artifact.extras})


def mark_item(item: Item) -> Marks:
    """Marks of the tensors that an item already has; a `Lazy` marks its tensors itself when it makes them."""
    brought = [m for m in (item.conditions, item.truth) if isinstance(m, dict)]
    return Marks({f"{n} {name}": value for n, mapping in enumerate(brought) for name, value in mapping.items()})


def item_intact(item: Item, marks: Marks) -> bool:
    """Whether none of the item's tensors was changed since `mark_item`, or since its `Lazy` made it."""
    return marks.intact and all(getattr(one, "intact", True) for one in (item.conditions, item.truth))


def mark_model(model: Any) -> dict[int, int]:
    """A number for each network of a model, the same as long as nobody changes weights, precision, layers, processors.

    Networks are those that are loaded; one that is loaded later is no change. Weights that visit a device are put back
    first (`settle`).
    """
    getattr(model, "settle", lambda: None)()
    return {id(module): hash(tuple(_facts(module))) for module in _modules(model)}


def model_intact(model: Any, marks: dict[int, int]) -> bool:
    """Whether no network was changed since `mark_model`; a network that was loaded since then is no change."""
    return mark_model(model).items() >= marks.items()


def _modules(model: Any) -> Iterator[torch.nn.Module]:
    """The networks that a model holds, however deep in parts, lists and pipelines."""
    seen, inside = set[int](), [(model, 0)]
    while inside:
        value, depth = inside.pop()
        if id(value) in seen or depth > DEEPEST:
            continue
        seen.add(id(value))
        if isinstance(value, torch.nn.Module):
            yield value
        elif isinstance(value, Mapping):
            inside += [(one, depth + 1) for one in list(cast(Mapping[Any, Any], value).values())]
        elif isinstance(value, list | tuple):
            inside += [(one, depth + 1) for one in cast(list[Any], value)]
        elif not isinstance(value, type | Tensor | FunctionType):
            inside += [(one, depth + 1) for one in list(getattr(value, "__dict__", {}).values())]


def _facts(module: Any) -> Iterator[tuple[Any, ...]]:
    for tensor in (*module.parameters(), *module.buffers()):
        version = -1 if tensor.is_inference() else tensor._version
        yield id(tensor), version, tensor.data_ptr(), tensor.dtype, tensor.requires_grad
    for layer in module.modules():
        yield id(layer), layer.training, id(layer.__dict__.get("processor")), len(layer._forward_hooks)
