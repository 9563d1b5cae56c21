"""RAFT by torchvision: optical flow by published weights or by a network of the reference world. See `matching`."""

from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision.models.optical_flow import RAFT, raft_large, raft_small

from ..files.reading import read_object
from ..files.writing import write_whole
from ..types import SyncbenchError
from .judge import revision
from .matching import PADDING, Flow
from .published import FETCHED, RAFT_LARGE, RAFT_SMALL, file_sha256, required, state

PUBLISHED = {"raft_large": RAFT_LARGE, "raft_small": RAFT_SMALL}
"""Files of published weights by the name of the network."""
REFERENCE = Path(__file__).resolve().parents[1] / "models" / "weights" / "raft"
"""Folder of the bundled weights of `raft[reference]`."""
UPDATES = 12
"""Refinements of the flow, torchvision's default."""
BUILDERS = {"raft_large": raft_large, "raft_small": raft_small}
WEIGHTS, CONFIG = "model.safetensors", "config.json"


class Raft(Flow):
    """A RAFT network, frozen and in evaluation mode."""

    def __init__(self, name: str, weights: str, network: RAFT, device: torch.device | str) -> None:
        self.name = name
        self.network = network.eval().requires_grad_(False).to(device)
        self._device = device
        how = f"{UPDATES} updates, rgb [-1,1], {PADDING}"
        self.fingerprint = f"{name} {weights}, torchvision {version('torchvision')}, {how}"

    @torch.no_grad()
    def estimate(self, first: Float[Tensor, "3 H W"], second: Float[Tensor, "3 H W"]) -> Float[Tensor, "2 H W"]:
        """The flow of padded pictures, float32 on the CPU."""
        pair = [(2 * image - 1)[None].to(self._device) for image in (first, second)]
        with torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
            return self.network(*pair, num_flow_updates=UPDATES)[-1][0].float().cpu()


def published_raft(which: str, device: torch.device | str = "cpu") -> Raft:
    """`raft_large` or `raft_small` by published weights. Raises SyncbenchError where they are not on this machine."""
    path = required(PUBLISHED[which], instead="dis")
    return _published(which, path, path.stat().st_mtime_ns, str(device))


def reference_raft(folder: str | Path | None = None, device: torch.device | str = "cpu") -> Raft:
    """`raft[reference]` of a folder that `syncbench train raft` left (None: the bundled one).

    Raises SyncbenchError for a folder that cannot be read.
    """
    place = (REFERENCE if folder is None else Path(folder)).resolve()
    if not (place / WEIGHTS).is_file() or not (place / CONFIG).is_file():
        raise SyncbenchError(f"no network in {place}: it has no {CONFIG} and {WEIGHTS}")
    return _reference(place, revision(place), str(device))


def save_raft(network: RAFT, folder: Path) -> None:
    """Write a small RAFT's weights in half precision and the name of its architecture, for `reference_raft`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.detach().cpu().half().contiguous() for name, value in network.state_dict().items()},
        folder / WEIGHTS,
    )
    write_whole(folder / CONFIG, '{\n  "architecture": "raft_small"\n}\n')


@lru_cache(maxsize=2)
def _published(which: str, path: Path, stamp: int, device: str) -> Raft:
    network: Any = BUILDERS[which](weights=None, progress=False)
    try:
        network.load_state_dict(state(path))
    except RuntimeError as error:
        raise SyncbenchError(f"{path} is of another network: fetch {FETCHED[path.name]} again") from error
    return Raft(which, f"{path.stem.rpartition('-')[0]} {file_sha256(path, stamp)[:12]}", network, device)


@lru_cache(maxsize=2)
def _reference(folder: Path, revised: str, device: str) -> Raft:
    kind = read_object(folder / CONFIG).get("architecture")
    if kind not in BUILDERS:
        raise SyncbenchError(f"{folder / CONFIG} names no architecture of {', '.join(BUILDERS)}")
    network: Any = BUILDERS[kind](weights=None, progress=False)
    try:
        network.load_state_dict({name: value.float() for name, value in load_file(folder / WEIGHTS).items()})
    except Exception as error:  # a damaged file shows as almost any type
        raise SyncbenchError(f"cannot load the {kind} in {folder}: train it again") from error
    return Raft("raft[reference]", f"syncbench {revised}", network, device)
