"""A Stable Diffusion 1.x, 2.x or XL checkpoint in diffusers' folder format: a local folder or a hub id."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ..errors import quoted
from ..files import is_folder
from ..types import Cost, SyncbenchError
from ._checkpoint import UNUSED, check_folder, first_line, read_index
from ._denoiser import Precision, digest
from ._served import Served, quiet

TRIAL = 16
"""Latent cells along a side of the picture that a pipeline is tried on."""


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
        self._path = path
        self._hub = not (path and is_folder(Path(path).expanduser()))
        self.folder = _download(path, commit, self._variant) if self._hub else Path(path).expanduser()
        """The pipeline's folder on this machine."""
        check_folder(self.folder, self._variant)

    @property
    def name(self) -> str:
        """What tables call it: the hub id, or the last part of the folder's path."""
        return quoted(self._path if self._hub else self.folder.resolve().name or self.id, 100)

    def ready(self) -> None:
        """Load the pipeline and try it on a small picture. Raises SyncbenchError where its parts do not fit."""
        super().ready()
        side, kept = min(TRIAL, self.window // self.factor), self.cost
        x = torch.randn(1, self.channels, side, side, generator=torch.Generator().manual_seed(0))
        level, self.cost = next(iter(self.schedule(1))), Cost()
        try:
            with torch.no_grad():
                condition = self.condition(["a picture"], 2.0)
                x0, _ = self.predict(x.to(self.device, self.dtype), level, condition)
                image = self.decode(x0)
        except SyncbenchError:
            raise
        except Exception as error:  # what does not fit shows as almost any type
            raise SyncbenchError(
                f"the parts of the pipeline in {quoted(self.folder)} do not fit each other "
                f"({type(error).__name__}: {first_line(error)})"
            ) from error
        finally:
            self.cost = kept
        for what, found in (("network", x0), ("codec", image)):
            if not bool(torch.isfinite(found).all()):
                raise SyncbenchError(
                    f"the {what} in {quoted(self.folder)} answers NaN or infinite values: its weights are damaged, or "
                    f"too large for {str(self.precision).removeprefix('torch.')} (try --set model.dtype=float32)"
                )

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
        extra = {name: None for name in UNUSED if name in read_index(self.folder)}
        try:
            return library.DiffusionPipeline.from_pretrained(
                self.folder, use_safetensors=True, variant=self._variant, local_files_only=True, **extra
            )
        except Exception as error:  # a damaged file shows as almost any type
            raise SyncbenchError(f"cannot load the pipeline in {quoted(self.folder)}: {first_line(error)}") from error


def _download(path: str, commit: str, variant: str | None) -> Path:
    """The hub's snapshot folder, whose name is the commit."""
    if not path:
        raise SyncbenchError("model diffusers needs a checkpoint: --set diffusers.path=FOLDER (or a hub id owner/name)")
    if not re.fullmatch(r"\w[\w.-]*/[\w.-]+", path):
        raise SyncbenchError(f"no folder '{quoted(path)}': give a diffusers pipeline folder or a hub id (owner/name)")
    library: Any = import_module("diffusers")
    try:
        with quiet():
            return Path(
                library.DiffusionPipeline.download(path, use_safetensors=True, revision=commit or None, variant=variant)
            )
    except Exception as error:  # the hub's client raises types of three libraries
        raise SyncbenchError(
            f"'{path}' is no folder here and could not be had from the model hub ({first_line(error)}): "
            "check the id and the network, or give a local pipeline folder"
        ) from error


def _contents(folder: Path) -> list[Path]:
    """Files that decide what the model computes."""
    index = read_index(folder)
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
