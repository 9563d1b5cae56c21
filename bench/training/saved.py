"""Files of training that are kept between starts: checkpoints, pictures and latents, in PyTorch's format.

A folder may hold a file that somebody else put there, and PyTorch's format is a pickle, which may execute anything.
So files are read with `weights_only`, which creates only tensors, numbers, text and containers of them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from ..errors import SyncbenchError
from ..files.writing import whole


def read(path: Path, holds: Mapping[str, type] | type, device: str = "cpu", mmap: bool = False) -> Any:
    """The content of a file of `write`: a mapping with the names and types of `holds`, or one value of that type.

    `mmap` leaves tensors on disk until they are used. Raises SyncbenchError for a file that holds anything else.
    """
    try:
        found: Any = torch.load(path, map_location=device, weights_only=True, mmap=mmap)
    except Exception as error:  # every way of being no such file has its own
        raise _misfit(path, f"PyTorch cannot read it: {type(error).__name__}") from error
    if isinstance(holds, type):
        if not isinstance(found, holds):
            raise _misfit(path, f"it holds a {type(found).__name__}, not a {holds.__name__}")
        return found
    if not isinstance(found, dict):
        raise _misfit(path, f"it holds a {type(found).__name__}, not a mapping")
    content = cast(dict[str, Any], found)
    for name, kind in holds.items():
        if not isinstance(content.get(name), kind):
            raise _misfit(path, f"it has no '{name}' of type {kind.__name__}")
    return content


def write(path: Path, content: Any) -> None:
    """Write tensors, or a mapping of them, whole or not at all. Raises SyncbenchError where that is not possible."""
    with whole(path) as draft:
        try:
            torch.save(content, draft)
        except RuntimeError as error:  # PyTorch's word for a full disk
            why = (str(error).splitlines() or ["no reason given"])[0]
            raise SyncbenchError(
                f"cannot write '{path}' ({why}), so what was there stays: free some space and start again to go on"
            ) from error


def _misfit(path: Path, why: str) -> SyncbenchError:
    return SyncbenchError(f"'{path}' is no file of this training ({why}): delete it, or choose a fresh --out")
