"""The files of a repository that are fetched: networks as safetensors, configurations, vocabularies, no code."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

from ..errors import SyncbenchError, quoted

TEXT = (".json", ".txt", ".model")
"""Endings of configurations and vocabularies."""
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
"""Endings of files that may run code when they are read, and are never fetched from a hub."""
UNUSED = ("safety_checker",)
"""Parts of pipelines that sampling does not need."""


def wanted(
    repository: str,
    names: Iterable[str],
    index: Mapping[str, Any] | None = None,
    patterns: tuple[str, ...] = (),
    variant: str = "",
) -> list[str]:
    """Those of the files `names` of a repository that are fetched, sorted.

    `index` is the `model_index.json` of a pipeline: then only files of its parts are fetched. `patterns` narrow the
    names. Of several variants of a part's weights (`fp16`, `non_ema`) one is taken: `variant` where there is one, else
    full precision, else the first there is. Raises SyncbenchError for a part whose weights are pickles only.
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
    """Names of the folders of a pipeline's parts; None without an index."""
    if index is None:
        return None
    listed = {name for name, value in index.items() if isinstance(value, list) and value and value[-1] is not None}
    return listed - set(UNUSED)


def _top(name: str) -> str:
    return name.partition("/")[0] if "/" in name else ""


def _of_variant(names: list[str], variant: str) -> list[str]:
    """The files of one variant of a folder's weights."""
    by: dict[str, list[str]] = {}
    for name in names:
        by.setdefault(_variant(name), []).append(name)
    chosen = next((one for one in (variant, "", *sorted(by)) if one in by), "")
    return by.get(chosen, [])


def _variant(name: str) -> str:
    """The variant in the name of a file of weights: `fp16` in `model.fp16-00001-of-00002.safetensors`, else empty."""
    file = PurePosixPath(name).name
    if file.endswith(".json"):
        variant = re.search(r"\.index\.(\w+)\.json$", file)
        return variant[1] if variant else ""
    words = file.removesuffix(".safetensors").split(".")[1:]
    word = re.sub(r"-\d+-of-\d+$", "", words[-1]) if words else ""
    return "" if word.isdigit() else word
