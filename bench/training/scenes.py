"""Latents of scenes of the 3-D world, rendered and encoded once for all trainers of the same rig of cameras."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files.writing import disk
from ..world.stream import shots
from ..world.truth import CHANNELS
from .processes import each
from .saved import read, write
from .stream import codec_of, signed

CHUNK = 32
"""Number of scenes in a file; an interrupted preparation loses at most the files being written."""
KEPT: dict[str, tuple[str, ...]] = {"single": CHANNELS, "orbit4": ("depth",), "grid6": (), "clip": ()}
"""Data that is kept of each rig's scenes beside picture and cameras, because its trainers read it."""


@dataclass(frozen=True)
class Scenes:
    """n scenes of V views. Latents are float16 (n, V, c, 16, 16); what a rig does not keep is empty."""

    captions: list[str]
    rgb: Tensor
    albedo: Tensor
    normal: Tensor
    shading: Tensor
    depth: Tensor
    """Normalised inverse depth in 1/255: uint8 (n, V, 128, 128)."""
    camera: Tensor
    """Camera-to-world, float32 (n, V, 4, 4)."""

    @property
    def views(self) -> int:
        """Number of views of a scene."""
        return self.rgb.shape[1]

    def channels(self, pick: Tensor) -> Tensor:
        """Albedo, normal, shading of the first view of scenes `pick` (m,): float (m, 3, c, 16, 16)."""
        return torch.stack([self.albedo[pick, 0], self.normal[pick, 0], self.shading[pick, 0]], 1).float()


def prepare(folder: Path, rig: str, seed: int, n: int, codec: Path, workers: int, frames: int | None = None) -> None:
    """Render and encode those of the first n scenes that `folder` lacks; files of an earlier call are kept."""
    lacking = [(i, path) for i, path in enumerate(_files(folder, rig, seed, n, frames)) if not path.exists()]
    if not lacking:
        return
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    print(f"rendering {CHUNK * len(lacking)} scenes of rig {rig} into {folder}", file=sys.stderr, flush=True)
    from ..run.events import Event
    from ..run.progress import shown

    jobs = [(str(codec), rig, seed * 100_003 + i, frames, str(path)) for i, path in lacking]
    with shown() as listener:
        listener(Event("rendering", 0, len(jobs)))
        for done, path in enumerate(each(_make, jobs, workers), 1):
            listener(Event("rendering", done, len(jobs), path))


def scenes(folder: Path, rig: str, seed: int, n: int, frames: int | None = None) -> Scenes:
    """The first n prepared scenes."""
    names = [field.name for field in fields(Scenes) if field.name != "captions"]
    holds = {"captions": list, **dict.fromkeys(names, Tensor)}
    parts = [read(path, holds, mmap=True) for path in _files(folder, rig, seed, n, frames)]
    captions = [caption for part in parts for caption in part["captions"]][:n]
    return Scenes(captions, **{name: torch.cat([part[name] for part in parts])[:n] for name in names})


def channel_pictures(file: Path, seed: int, n: int, workers: int) -> Tensor:
    """uint8 (4 n, 3, 128, 128), kept in `file`: picture, albedo, normal and shading of n single views."""
    if not file.exists():
        seeds = [seed * 100_003 + i for i in range((n + CHUNK - 1) // CHUNK)]
        write(file, torch.cat(list(each(_plain, seeds, workers)))[: 4 * n])
    return read(file, Tensor, mmap=True)


def _plain(seed: int) -> Tensor:
    taken = shots(seed, CHUNK, "single")
    images = [torch.from_numpy(getattr(taken, name)[:, 0]) for name in ("rgb", *CHANNELS)]
    return torch.stack([image.movedim(-1, 1).expand(-1, 3, -1, -1) for image in images], 1).flatten(0, 1)


def code(taken: Any, codec: Any, kept: tuple[str, ...]) -> dict[str, Any]:
    """The content of a file: latents of the picture and of the channels in `kept`, depth if in `kept`, and cameras."""
    found: dict[str, Any] = {"captions": list(taken.captions), "camera": torch.from_numpy(taken.camera)}
    for name in ("rgb", *CHANNELS):
        wanted = name == "rgb" or name in kept
        found[name] = encode(torch.from_numpy(getattr(taken, name)), codec) if wanted else _nothing(taken)
    depth = torch.from_numpy(taken.depth).float()
    found["depth"] = (depth * 255).round().clamp(0, 255).byte() if "depth" in kept else _nothing(taken)
    return found


def _nothing(taken: Any) -> Tensor:
    return torch.empty(len(taken.captions), 0)


@torch.no_grad()
def encode(images: Tensor, codec: Any) -> Tensor:
    """Latents (n, V, c, h, w) in half precision of uint8 pictures (n, V, H, W, 3 or 1)."""
    n, views = images.shape[:2]
    x = images.flatten(0, 1).movedim(-1, 1)
    x = signed(x.expand(-1, 3, -1, -1))
    with torch.autocast("cpu", torch.bfloat16):
        parts = [codec.encode(part).latents.half() for part in x.split(32)]
    return torch.cat(parts).unflatten(0, (n, views))


def _files(folder: Path, rig: str, seed: int, n: int, frames: int | None) -> list[Path]:
    name = f"{rig}{frames or ''}-{seed}"
    return [folder / f"{name}-{i:04d}.pt" for i in range((n + CHUNK - 1) // CHUNK)]


def _make(job: tuple[str, str, int, int | None, str]) -> str:
    codec, rig, seed, frames, path = job
    write(Path(path), code(shots(seed, CHUNK, rig, frames=frames), codec_of(Path(codec)), KEPT[rig]))
    return Path(path).name


if __name__ == "__main__":
    import typer

    typer.run(prepare)
