"""Views of your own with cameras, as training data: sets of pictures of each capture, coded once.

Captures are what the data set `posed_views` reads (NeRF's transforms.json, COLMAP, CO3D, NAVI, SyncDreamer), a list of
them with prompts, or a folder of them. Cameras are in the same convention as those of the world.
"""

from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from ..catalogue.content import digest
from ..catalogue.registry import load
from ..files.writing import disk
from ..limits import VIEWS
from ..types import SyncbenchError
from .saved import read, write
from .scenes import Scenes, encode
from .stream import codec_of

HOLDS = {"captions": list, "rgb": Tensor, "camera": Tensor}
OPTIONS = {
    "lower posed_views.views": "lower sets or views",
    "posed_views.path=": "captures=",
    "posed_views.path is": "captures are",
    "posed_views.": "",
}
"""What messages of the data set `posed_views` call the trainer's options, in order, and what they are called here."""


def own_scenes(
    folder: Path, captures: Path, prompt: str, views: int, sets: int, up: str, codec: Path, size: int
) -> Path:
    """The file, made in `folder` if it is not there, of `sets` sets of `views` pictures of every capture.

    The pictures of a set are as far apart as the capture allows, a quarter turn for four views of an orbit; the sets of
    a capture share none. `size` is the side in pixels of the square pictures. The file's name tells content, layout and
    codec, so that it is made anew where one of them changes. Raises SyncbenchError for captures that cannot be read or
    have fewer pictures than `views` times `sets`.
    """
    if views < 2 or views * sets > VIEWS:
        raise SyncbenchError(
            f"captures: views = {views}, sets = {sets}: a set has 2 views or more, all sets together at most {VIEWS:,}"
        )
    fields = {"path": str(captures), "prompt": prompt, "views": views * sets, "held": 1, "size": size, "up": up}
    try:
        items = load("datasets", "posed_views", fields).items()
    except SyncbenchError as error:
        why = str(error)
        for theirs, ours in OPTIONS.items():
            why = why.replace(theirs, ours)
        raise SyncbenchError(f"captures: {why}") from error
    files = sorted([*codec.glob("*.safetensors"), *codec.glob("*.json")])
    coded = [sha256(file.read_bytes()).hexdigest() for file in files]
    about = [[item.content, item.prompts[0]] for item in items]
    name = digest([about, views, sets, size, coded])
    file = folder / f"captures-{name}.pt"
    if file.exists():
        return file
    captions: list[str] = []
    latents: list[Tensor] = []
    cameras: list[Tensor] = []
    for item in items:
        shown = (item.truth["views"] * 255).round().to(torch.uint8).movedim(1, -1)
        poses = item.conditions["camera"].reshape(-1, 4, 4)
        for one in range(sets):
            pick = one + sets * torch.arange(views)
            latents.append(encode(shown[pick][None], codec_of(codec))[0])
            cameras.append(poses[pick])
            captions.append(item.prompts[0])
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write(file, {"captions": captions, "rgb": torch.stack(latents), "camera": torch.stack(cameras)})
    return file


def read_scenes(file: Path) -> Scenes:
    """The scenes of a file of `own_scenes`; what is not known of them is empty. Raises SyncbenchError for others."""
    kept = read(file, HOLDS, mmap=True)
    nothing = torch.empty(len(kept["captions"]), 0)
    return Scenes(kept["captions"], kept["rgb"], nothing, nothing, nothing, nothing, kept["camera"])
