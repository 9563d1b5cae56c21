"""Which files of a repository are asked for: networks as safetensors, their configuration and vocabularies, no code."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

from ..errors import SyncbenchError, quoted

TEXT = (".json", ".txt", ".model")
"""Configuration and vocabularies."""
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
"""Files that may run code when they are read: never asked for from a hub."""
UNUSED = ("safety_checker",)
"""Parts that sampling does not need."""


def wanted(
    repository: str,
    names: Iterable[str],
    index: Mapping[str, Any] | None = None,
    patterns: tuple[str, ...] = (),
    variant: str = "",
) -> list[str]:
    """The names to ask for, sorted. `index` is a pipeline's `model_index.json`, whose parts are then all that counts.

    Of several variants of the same weights (`fp16`, `non_ema`) one is taken: the one asked for, where a part has it,
    else full precision, else the only one there is. Raises SyncbenchError where a part has its weights as pickles only.
    """
    listed = [name for name in sorted(names) if not patterns or any(fnmatch(name, one) for one in patterns)]
    parts = _parts(index)
    if parts is not None:
        listed = [name for name in listed if _top(name) in parts or (not _top(name) and not name.endswith(_WEIGHTS))]
    kept: list[str] = []
    pickled = parts is not None or not any(".safetensors" in name for name in listed)
    for folder in sorted({str(PurePosixPath(name).parent) for name in listed}):
        inside = [name for name in listed if str(PurePosixPath(name).parent) == folder]
        weights = [name for name in inside if ".safetensors" in PurePosixPath(name).name]
        if pickled and not weights and any(name.endswith(PICKLES) for name in inside):
            where = f" of {folder}" if folder != "." else ""
            raise SyncbenchError(
                f"{quoted(repository)} has the weights{where} as pickles only, which may run code when they are read: "
                "convert them where you trust them (save_pretrained with safe_serialization=True) and name the folder"
            )
        kept += _of_variant(weights, variant)
        kept += [name for name in inside if name.endswith(TEXT) and name not in weights]
    return sorted(kept)


_WEIGHTS = (".safetensors", *PICKLES)


def _parts(index: Mapping[str, Any] | None) -> set[str] | None:
    """The folders of a pipeline's parts."""
    if index is None:
        return None
    listed = {name for name, value in index.items() if isinstance(value, list) and value and value[-1] is not None}
    return listed - set(UNUSED)


def _top(name: str) -> str:
    return name.partition("/")[0] if "/" in name else ""


def _of_variant(names: list[str], variant: str) -> list[str]:
    """One variant of a folder's weights."""
    by: dict[str, list[str]] = {}
    for name in names:
        by.setdefault(_variant(name), []).append(name)
    chosen = next((one for one in (variant, "", *sorted(by)) if one in by), "")
    return by.get(chosen, [])


def _variant(name: str) -> str:
    """What stands between a weights file's name and its ending, without the number of a shard: `fp16`, or nothing."""
    file = PurePosixPath(name).name
    if file.endswith(".json"):
        found = re.search(r"\.index\.(\w+)\.json$", file)
        return found[1] if found else ""
    words = file.removesuffix(".safetensors").split(".")[1:]
    word = re.sub(r"-\d+-of-\d+$", "", words[-1]) if words else ""
    return "" if word.isdigit() else word
