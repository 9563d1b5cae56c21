"""Artifacts as files of a job's folder: pictures as PNG, extras as safetensors, each with its hash in job.json."""

import hashlib
import os
from pathlib import Path

from ..files.reading import LARGEST, read_bytes
from ..types import Artifact, SyncbenchError
from .stored import StoredJob, read_job


def load_artifact(folder: Path) -> Artifact:
    """The artifact of one job folder: 8-bit images as float32 in [0, 1], extras as saved.

    Raises SyncbenchError when a file is missing or does not match its hash, or the job failed.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as load_tensors

    from .png import check_sizes, declared, decode_png

    job = read_job(folder / "job.json", folder.absolute().name)
    if job.status != "ok":
        raise SyncbenchError(f"job {folder.name} has no artifact: {job.error}")
    data = artifact_files(folder, job)
    extras = data.pop("extras.safetensors", None)
    try:
        check_sizes(map(declared, data.values()))
        pictures = {name: decode_png(content) for name, content in data.items()}
        return Artifact(
            canvas=pictures.pop("canvas.png", None),
            views=torch.stack([pictures[name] for name in sorted(pictures, key=lambda name: (len(name), name))]),
            extras=load_tensors(extras) if extras else {},
            notes=dict(job.notes),
            cost=job.cost,
        )
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise SyncbenchError(f"{folder} has no readable artifact ({error}): a run makes it again") from error


def encode_artifact(artifact: Artifact) -> dict[str, bytes]:
    """The files of an artifact, contents by name: views and canvas as 8-bit PNG, extras as floats."""
    from safetensors.torch import save as save_tensors

    from .png import encode_png

    contents = {f"views/{i:03d}.png": encode_png(view) for i, view in enumerate(artifact.views)}
    if artifact.canvas is not None:
        contents["canvas.png"] = encode_png(artifact.canvas)
    if artifact.extras:
        contents["extras.safetensors"] = save_tensors({k: v.contiguous().cpu() for k, v in artifact.extras.items()})
    return contents


def artifact_files(folder: Path, job: StoredJob) -> dict[str, bytes]:
    """The files of a job's artifact, contents by name.

    Raises SyncbenchError for a file that is missing, outside the folder, or does not match its hash.
    """
    contents: dict[str, bytes] = {}
    inside = os.path.join(os.path.realpath(folder), "")
    for name, digest in job.files.items():
        path = folder / name
        if not os.path.realpath(path).startswith(inside):
            raise SyncbenchError(f"{folder / 'job.json'} names a file outside its folder: '{name}'")
        try:
            contents[name] = read_bytes(path, 4 * LARGEST)
        except SyncbenchError as error:
            raise SyncbenchError(f"{error}; a run makes it again") from error
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise SyncbenchError(f"{path} does not match its hash: a run makes it again")
    return contents
