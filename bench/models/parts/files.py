"""Checks that the weights files of a part of a pipeline are complete, by their names, sizes and headers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open

from ...errors import SyncbenchError, quoted
from ...files.reading import is_file, is_folder, read_object


def check_variant(folder: Path, bases: Mapping[str, str], variant: str | None) -> None:
    """Raise SyncbenchError for a variant (`fp16`, ...) of no part. `bases`: file name without ending, by part."""
    known = sorted({word for name, base in bases.items() for word in variants(folder / name, base)})
    if variant is not None and variant not in known:
        raise SyncbenchError(
            f"no part of {quoted(folder)} has the variant '{quoted(variant, 40)}': it has {', '.join(known) or 'none'}"
        )


def check_weights(folder: Path, name: str, base: str, variant: str | None) -> None:
    """Raise SyncbenchError unless every file that loading would read exists and has the length that its header says.

    A part that lacks the variant is read without it, as in diffusers. The error has cause and cure.
    """
    place = folder / name
    for path in place.glob("*") if is_folder(place) else ():
        if path.suffix in {".safetensors", ".json"} and not is_file(path):
            raise SyncbenchError(f"{quoted(path)} is no regular file, or leads nowhere: copy the weights themselves")
    chosen = variant if variant in variants(place, base) else None
    single = place / (f"{base}.{chosen}.safetensors" if chosen else f"{base}.safetensors")
    index = place / (f"{base}.safetensors.index.{chosen}.json" if chosen else f"{base}.safetensors.index.json")
    if not single.exists() and not index.exists():
        raise SyncbenchError(f"{quoted(folder)} {_missing(place, base, variant)}")
    if index.exists():
        _check_shards(index)
    if single.exists():
        tensor_names(single)


def variants(place: Path, base: str) -> list[str]:
    """Variants of the weights file `base` in the folder `place`, e.g. `fp16`, which stands before the ending."""
    pattern = rf"{base}\.(\w+)(-\d+-of-\d+)?\.safetensors|{base}\.safetensors\.index\.(\w+)\.json"
    found = (re.fullmatch(pattern, path.name) for path in sorted(place.glob("*")))
    return [match[1] or match[3] for match in found if match]


def _missing(place: Path, base: str, variant: str | None) -> str:
    """Why there are no weights where they should be, and what to do."""
    name, others = place.name, sorted(set(variants(place, base)))
    if others and variant is None:
        return (
            f"has the weights of its {name} in the variant {' and '.join(others)} only: "
            f"add --set model.variant={others[0]}"
        )
    if any(place.glob("*.bin")) or any(place.glob("*.ckpt")):
        return (
            f"has no weights for {name} as safetensors: its .bin files are pickles, which run code when they are read; "
            "convert them where you trust them, with save_pretrained(safe_serialization=True)"
        )
    return (
        f"has no weights for {name} (no {name}/*.safetensors): copy the whole pipeline folder, or convert it with "
        "save_pretrained(safe_serialization=True)"
    )


def _check_shards(index: Path) -> None:
    listed = read_object(index).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(file, str) for file in cast(dict[str, Any], listed).values()):
        raise SyncbenchError(f"{quoted(index)} names no shards: copy it again")
    wanted: dict[str, set[str]] = {}
    for tensor, file in cast(dict[str, str], listed).items():
        wanted.setdefault(file, set()).add(tensor)
    for file, tensors in sorted(wanted.items()):
        path = index.parent / file
        if Path(file).name != file or not is_file(path):
            raise SyncbenchError(
                f"{quoted(index.parent)} lacks the shard '{quoted(file, 80)}' that {index.name} names: copy the "
                "missing shard, or delete the index if the weights are one file"
            )
        lacking = tensors - tensor_names(path)
        if lacking:
            raise SyncbenchError(
                f"{quoted(path)} lacks the tensor '{quoted(min(lacking), 80)}' that {index.name} names: the index is "
                "of other weights; copy both again"
            )


def tensor_names(path: Path) -> set[str]:
    """Names of the tensors of a safetensors file. Raises SyncbenchError for a file that is not complete."""
    return set(tensor_shapes(path))


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of a safetensors file by name.

    Raises SyncbenchError for a file that is not complete, and for quantised weights, whose scales would be ignored.
    """
    with path.open("rb") as file:
        if file.read(40).startswith(b"version https://git-lfs"):
            raise SyncbenchError(
                f"{quoted(path)} is a Git LFS pointer, not the weights: run `git lfs pull` in its folder"
            )
    try:
        opening: Any = safe_open(path, framework="numpy")
        with opening as opened:
            tensors = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            shapes = {name: tuple(tensor.get_shape()) for name, tensor in tensors.items()}
            quantised = {name: kind for name, tensor in tensors.items() if (kind := tensor.get_dtype()) in QUANTISED}
    except (SafetensorError, OSError) as error:
        raise SyncbenchError(
            f"{quoted(path)} is cut off or damaged ({quoted(error)}): cannot load the pipeline; copy the file again"
        ) from error
    for name, kind in quantised.items():
        raise SyncbenchError(
            f"{quoted(path)} holds quantised weights ('{quoted(name, 80)}' is {kind}), which are not served: take the "
            "file in float32, float16 or bfloat16"
        )
    return shapes


QUANTISED = ("I8", "U8", "I4", "U4", "F4")
"""Kinds of numbers, as safetensors names them, of weights that mean nothing without scales stored elsewhere."""
