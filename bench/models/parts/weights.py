"""Folders of weights: this module alone finds, hashes, loads, places and freezes weights.

A folder is a pipeline's (`model_index.json` and a folder per part) or one network's (`config.json` and its weights), on
this machine or in the model hub's cache. Weights are read from safetensors only, classes are those of diffusers and
transformers, and nothing is downloaded: `syncbench fetch` does that.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

import torch

from ...errors import SyncbenchError, quoted
from ...files.reading import is_file, is_folder, read_object
from .hollow import hollow
from .library import library_class, quiet
from .placement import Placement

Json = dict[str, Any]
EXACT = ("vae", "text_encoder", "text_encoder_2", "text_encoder_3", "image_encoder", "vision_encoder")
"""Parts that stay in single precision whatever the network's: half-precision images would be coarser than PNGs."""


@dataclass(frozen=True)
class Weights:
    """One network of a folder, loaded on first use."""

    folder: "Folder"
    part: str
    """Name of the subfolder; empty where the folder is this network's own."""
    kind: str
    """Name of its class."""
    library: str = "diffusers"
    exact: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Arguments of `from_pretrained`."""

    @property
    def config(self) -> Json:
        """The network's `config.json`. Raises SyncbenchError where it is missing."""
        return self.folder.config(self.part)

    @cached_property
    def module(self) -> Any:
        """The network, placed and frozen. Raises SyncbenchError where it cannot be loaded."""
        return self.folder.placement.put(self.read(), self.exact)

    def read(self) -> Any:
        """The network as its files have it, in single precision. Raises SyncbenchError where it cannot be loaded."""
        where = self.folder.path / self.part
        if self.folder.single is not None:
            return self._of_one_file(self.folder.single)
        if self.folder.placement.device.type == "meta":
            return hollow(library_class(self.library, self.kind), where, self.library)
        variant = {"variant": self.folder.variant} if self.folder.has_variant(self.part) else {}
        dtype = {"torch_dtype" if self.library == "diffusers" else "dtype": torch.float32}
        how = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
        how |= {"ignore_mismatched_sizes": True} if self.library == "transformers" else {}  # it would not name them
        with quiet():
            try:
                made, info = library_class(self.library, self.kind).from_pretrained(
                    where, **how, **dtype, **variant, **self.options
                )
            except Exception as error:  # a damaged file shows as almost any type
                raise SyncbenchError(f"cannot load the {self.kind} in {quoted(where)}: {first_line(error)}") from error
        other = sorted(str(one if isinstance(one, str) else one[0]) for one in info.get("mismatched_keys", ()))
        if other:
            raise SyncbenchError(
                f"cannot load the {self.kind} in {quoted(where)}: {len(other)} tensors, such as "
                f"'{quoted(other[0], 80)}', have another shape than its config.json says: copy both again"
            )
        missing = sorted(info["missing_keys"])
        if missing:  # the libraries would draw them at random
            raise SyncbenchError(
                f"cannot load the {self.kind} in {quoted(where)}: its files lack {len(missing)} tensors, such as "
                f"'{quoted(missing[0], 80)}': they are of another network than its config.json says"
            )
        return made

    def _of_one_file(self, file: Path) -> Any:
        from .single_file import load_part  # brings diffusers' loaders along

        with quiet():
            try:
                return load_part(file, self.folder.path, self.part, self.library, self.kind)
            except Exception as error:
                raise SyncbenchError(
                    f"cannot load the {self.part} of {quoted(file)} as {quoted(self.folder.path)} describes it: "
                    f"{first_line(error)}; name a folder of the same family"
                ) from error


@dataclass(frozen=True)
class Held:
    """A network that is already in memory: built from configuration, or made of other networks."""

    module: Any

    @property
    def config(self) -> Json:
        """The network's configuration."""
        return dict(self.module.config)


class Loadable(Protocol):
    """A network that is loaded on first use: `Weights`, `Held`, or one that is converted."""

    @property
    def config(self) -> Json:
        """Its configuration."""
        ...

    @property
    def module(self) -> Any:
        """The network, placed and frozen."""
        ...


@dataclass(frozen=True)
class Folder:
    """A folder of weights on this machine."""

    path: Path
    placement: Placement
    variant: str | None = None
    commit: str = ""
    """Commit of the hub's snapshot; empty for a folder that the user named."""
    single: Path | None = None
    """A checkpoint of one file, whose weights are read in place of the folder's."""

    @cached_property
    def index(self) -> Json:
        """The pipeline's `model_index.json`; empty for the folder of a single network."""
        path = self.path / "model_index.json"
        return read_object(path) if path.exists() else {}

    def config(self, part: str = "") -> Json:
        """The `config.json` (scheduler: `scheduler_config.json`) of a part."""
        name = "scheduler_config.json" if part.startswith("scheduler") else "config.json"
        path = self.path / part / name
        if not path.exists():
            raise SyncbenchError(
                f"{quoted(self.path)} has no {f'{part}/' if part else ''}{name}: copy the whole folder"
            )
        return read_object(path)

    def has(self, part: str) -> bool:
        """Whether a pipeline's folder lists the part."""
        listed = self.index.get(part)
        return isinstance(listed, list) and len(listed) == 2 and listed[1] is not None

    def has_variant(self, part: str) -> bool:
        """Whether the part has weights in the folder's variant."""
        return self.variant is not None and any((self.path / part).glob(f"*.{self.variant}*.safetensors"))

    def weights(self, kind: str, part: str = "", library: str = "diffusers", **options: Any) -> Weights:
        """The network of class `kind` in a part, not loaded yet."""
        return Weights(self, part, kind, library, part in EXACT or kind.startswith("Autoencoder"), options)

    def tokenizer(self, part: str = "tokenizer") -> Any:
        """The tokenizer of a part."""
        with quiet():
            try:
                kind = str(self.index.get(part, ["", ""])[1] or "AutoTokenizer")
                return library_class("transformers", kind).from_pretrained(self.path / part, local_files_only=True)
            except Exception as error:
                raise SyncbenchError(f"cannot load the {part} in {quoted(self.path)}: {first_line(error)}") from error

    def processor(self, part: str) -> Any:
        """A part's CLIP image processor, from its `preprocessor_config.json`: it prepares pictures for a network."""
        if not (self.path / part / "preprocessor_config.json").exists():
            raise SyncbenchError(f"{quoted(self.path)} has no {part}/preprocessor_config.json: copy the whole folder")
        with quiet():
            return library_class("transformers", "CLIPImageProcessor").from_pretrained(
                self.path / part, local_files_only=True
            )

    def scheduler(self, part: str = "scheduler") -> Json:
        """A scheduler's configuration with its class's defaults filled in, and `_class_name`."""
        stored = self.config(part)
        kind = str(stored.get("_class_name") or self.index.get(part, ["", ""])[1])
        with quiet():
            made = library_class("diffusers", kind).from_config(stored)
        return {**{name: made.config[name] for name in made.config if not name.startswith("_")}, "_class_name": kind}

    def file(self, name: str, what: str, places: Iterable[str] = ("",)) -> Path:
        """One of its files, in the first of its folders that has it. Raises SyncbenchError where it is missing."""
        for place in places:
            if is_file(self.path / place / name):
                return self.path / place / name
        raise SyncbenchError(f"{quoted(self.path)} has no {quoted(name, 80)}, {what}: fetch or copy it")

    def file_revision(self, file: Path) -> str:
        """12 hex digits of one of its files: of its name and content, or the hub's commit and its name."""
        if self.commit:
            return hashlib.sha256(f"{self.commit} {file.relative_to(self.path)}".encode()).hexdigest()[:12]
        content = file.stat()
        return _hash(self.path, ((str(file), content.st_mtime_ns, content.st_size),))

    def revision(self, parts: Iterable[str] = ()) -> str:
        """12 hex digits of configuration and weights: of the named parts, or of a single network's folder."""
        if self.single is not None:
            described = replace(self, single=None, variant="none").revision(parts)
            content = self.single.stat()
            weights = _hash(self.single.parent, ((str(self.single), content.st_mtime_ns, content.st_size),))
            return hashlib.sha256(f"{weights} {described}".encode()).hexdigest()[:12]
        if self.commit:
            return self.commit[:12]
        files = _contents(self.path, tuple(parts), self.variant)
        return _hash(self.path, tuple((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files))


def load_networks(part: Any) -> None:
    """Load the networks among a dataclass's fields, and in turn among those of its parts, if they are not loaded yet.

    Raises SyncbenchError where one cannot be loaded.
    """
    values = [getattr(part, one.name) for one in fields(part)] if is_dataclass(part) else []
    for value in [inner for one in values for inner in (one.values() if isinstance(one, Mapping) else [one])]:
        if hasattr(type(value), "module"):
            _ = value.module
        elif is_dataclass(value) and not isinstance(value, type):
            load_networks(value)


def first_line(error: Exception) -> str:
    """The first line of an exception's message that says something, without the library's advice."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()] or [type(error).__name__]
    return quoted(" ".join(lines[:2]) if lines[0].endswith(":") else lines[0])


def find(path: str, placement: Placement, *, commit: str = "", variant: str = "", what: str = "checkpoint") -> Folder:
    """The folder that a path or a hub id (`owner/name`) names. Raises SyncbenchError if it is not on this machine."""
    chosen = variant or None
    if path and is_folder(Path(path).expanduser()):
        return Folder(Path(path).expanduser(), placement, chosen)
    if Path(path).suffix == ".safetensors":
        raise SyncbenchError(
            f"'{quoted(path)}' is one file, not a folder: --set model.file=FILE, and as model.path a folder of its "
            "family, whose configuration and vocabulary are read"
        )
    from .hub import snapshot  # brings the hub's client along

    found = snapshot(path, commit, what)
    return Folder(found, placement, chosen, found.name)


def _contents(folder: Path, parts: tuple[str, ...], variant: str | None) -> list[Path]:
    """Files of the named parts that decide what a model computes; cards and other variants are left out."""
    suffixes = {".safetensors", ".json", ".txt", ".model"}
    inside = [f for part in parts or ("",) for f in sorted((folder / part).glob("*")) if f.suffix in suffixes]
    kept = [f for f in inside if f.is_file() and (f.suffix != ".safetensors" or _of_variant(f, variant, inside))]
    index = folder / "model_index.json"
    return [*([index] if parts and index.exists() else []), *kept]


def _of_variant(file: Path, variant: str | None, others: list[Path]) -> bool:
    """Whether loading in the variant reads the weights file `file`."""
    words = file.name.split(".")[1:-1]
    if variant is None:
        return not words or words[0].startswith("0")
    has = any(variant in other.name.split(".")[1:-1] for other in others if other.parent == file.parent)
    return (variant in words) == has


@cache
def _hash(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> str:
    """Hash of names and contents of files; `stamp` (name, time, size of each) makes the cache forget changed files."""
    total = hashlib.sha256()
    for name, _, _ in stamp:
        total.update(Path(name).relative_to(folder).as_posix().encode())
        with open(name, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:12]
