"""A Stable Diffusion 1.x, 2.x or XL checkpoint in diffusers' folder format: a local folder or a hub id."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from ..types import SyncbenchError
from ._denoiser import Precision, digest
from ._served import Served, quiet

NETWORKS = ("unet", "vae", "text_encoder", "text_encoder_2")


class Diffusers(Served):
    """Weights are read from safetensors only. Anything else a folder holds (safety checker, images) is left alone."""

    id = "diffusers"

    def __init__(
        self,
        *,
        path: str = "",
        commit: str = "",
        variant: str = "",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
    ) -> None:
        """`path`: a folder, or a hub id (`owner/name`) at branch, tag or `commit`; `variant`: e.g. fp16.

        `dtype` is the precision of the denoising network; `batch` the views in one call of it, each of them
        twice when guided. Raises SyncbenchError when the folder is not a complete pipeline or the hub is out of reach.
        """
        super().__init__(device, dtype, batch)
        self._variant = variant or None
        self._hub = not (path and Path(path).expanduser().is_dir())
        self.folder = _download(path, commit, self._variant) if self._hub else Path(path).expanduser()
        """The pipeline's folder on this machine."""
        _check(self.folder)

    @property
    def revision(self) -> str:
        """12 hex digits: of the commit for a hub id, else of the contents of weights and configuration files.

        Where another variant of the files is loaded, or the network runs in another precision than float32, they are
        digits of these facts too, because outputs differ.
        """
        files = _contents(self.folder)
        stamp = tuple((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files)
        weights = self.folder.name[:12] if self._hub else _hash(self.folder, stamp)
        facts = {"variant": self._variant or "", "dtype": str(self.precision).replace("torch.float32", "")}
        facts = {name: value for name, value in facts.items() if value}
        return digest({"weights": weights, **facts}) if facts else weights

    def _load(self) -> Any:
        library: Any = import_module("diffusers")
        extra = {"safety_checker": None} if "safety_checker" in _index(self.folder) else {}
        try:
            return library.DiffusionPipeline.from_pretrained(
                self.folder, use_safetensors=True, variant=self._variant, local_files_only=True, **extra
            )
        except Exception as error:  # a damaged file shows as almost any type
            raise SyncbenchError(f"cannot load the pipeline in {self.folder}: {_first_line(error)}") from error


def _download(path: str, commit: str, variant: str | None) -> Path:
    """The hub's snapshot folder, whose name is the commit."""
    if not path:
        raise SyncbenchError("model diffusers needs a checkpoint: --set diffusers.path=FOLDER (or a hub id owner/name)")
    if not re.fullmatch(r"\w[\w.-]*/[\w.-]+", path):
        raise SyncbenchError(f"no folder '{path}': give a diffusers pipeline folder or a hub id (owner/name)")
    library: Any = import_module("diffusers")
    try:
        with quiet():
            return Path(
                library.DiffusionPipeline.download(path, use_safetensors=True, revision=commit or None, variant=variant)
            )
    except Exception as error:  # the hub's client raises types of three libraries
        raise SyncbenchError(
            f"'{path}' is no folder here and could not be had from the model hub ({_first_line(error)}): "
            "check the id and the network, or give a local pipeline folder"
        ) from error


def _check(folder: Path) -> None:
    """Refuse folders that are no complete pipeline before anything heavy is imported."""
    index = _index(folder)
    parts: dict[str, Any] = {name: index[name] for name in NETWORKS if (index.get(name) or [None])[0]}
    if parts.get("unet", ["", ""])[-1] != "UNet2DConditionModel" or "vae" not in parts:
        raise SyncbenchError(
            f"{folder} holds a {index.get('_class_name', 'pipeline')} without the UNet and codec of "
            "Stable Diffusion 1.x, 2.x or XL, the classes this model serves"
        )
    for name in parts:
        if not any((folder / name).glob("*.safetensors")):
            raise SyncbenchError(
                f"{folder} has no weights for {name} (no {name}/*.safetensors): copy the whole pipeline folder, "
                "or convert it with save_pretrained(safe_serialization=True)"
            )


def _index(folder: Path) -> dict[str, Any]:
    try:
        index: Any = json.loads((folder / "model_index.json").read_text())
    except FileNotFoundError:
        raise SyncbenchError(f"{folder} is no diffusers pipeline: it has no model_index.json") from None
    except (OSError, ValueError) as error:
        raise SyncbenchError(f"{folder}/model_index.json cannot be read: {_first_line(error)}") from error
    return {key: value if isinstance(value, list | str | bool) else None for key, value in index.items()}


def _contents(folder: Path) -> list[Path]:
    """Files that decide what the model computes."""
    index = _index(folder)
    parts = [name for name, value in index.items() if isinstance(value, list) and name != "safety_checker"]
    inside = [f for name in parts for f in (folder / name).glob("*") if f.suffix in {".safetensors", ".json", ".txt"}]
    return sorted([folder / "model_index.json", *inside])


@cache
def _hash(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> str:
    """Of names and contents; `stamp` (name, time, size) makes the cache forget changed files."""
    total = hashlib.sha256()
    for name, _, _ in stamp:
        total.update(Path(name).relative_to(folder).as_posix().encode())
        with open(name, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:12]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
