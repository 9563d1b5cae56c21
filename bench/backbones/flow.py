"""Optical flow by published networks, by a network of the reference world, or without weights: what there is, by name.

`raft_large` and `raft_small` are RAFT (Teed, Deng, ECCV 2020, arXiv 2003.12039) with torchvision's weights,
`raft[reference]` is torchvision's small RAFT trained on exact flow of the reference world, and `dis` is dense inverse
search (Kroeger, Timofte, Dai, Van Gool, ECCV 2016, arXiv 1603.03590), which needs no weights. For directions and units
see `matching`.
"""

from pathlib import Path

import torch

from ..types import Item, SyncbenchError
from .dis import Dis
from .matching import Flow
from .published import FETCHED, checkpoint
from .raft import CONFIG, PUBLISHED, REFERENCE, published_raft, reference_raft

CHOICES = (*PUBLISHED, "reference", "dis")
"""Names by which a flow is chosen."""


def flow(which: str | None = None, folder: str | Path | None = None, device: torch.device | str = "cpu") -> Flow:
    """The flow `which` on `device`: one of CHOICES; None takes `raft_large` if its weights are fetched, else `dis`.

    `folder` is that of the network for `reference` (None: the bundled one). Nothing is downloaded. Raises
    SyncbenchError for an unknown name or missing weights.
    """
    which = chosen(which, folder)
    missing = lacking(which, folder)
    if missing:
        raise SyncbenchError(missing)
    if which == "dis":
        return Dis()
    return reference_raft(folder, device) if which == "reference" else published_raft(which, device)


def chosen(which: str | None, folder: str | Path | None = None) -> str:
    """The flow that `which` means: itself, or the default for None. Raises SyncbenchError for an unknown name."""
    if which is None:
        if folder is not None:
            return "reference"
        return "raft_large" if checkpoint(PUBLISHED["raft_large"]) else "dis"
    if which not in CHOICES:
        raise SyncbenchError(f"unknown optical flow {which!r}: choose one of {', '.join(CHOICES)}")
    return which


def lacking(which: str | None, folder: str | Path | None = None) -> str | None:
    """Why the flow `which` cannot be had on this machine, with the command that helps; None where it can."""
    which = chosen(which, folder)
    if which in PUBLISHED and checkpoint(PUBLISHED[which]) is None:
        file = PUBLISHED[which]
        return f"{file} is not on this machine: `syncbench fetch {FETCHED[file]}` brings it; `dis` needs no weights"
    place = REFERENCE if folder is None else Path(folder)
    if which == "reference" and not (place / CONFIG).is_file():
        return (
            f"no raft[reference] in {place}: `syncbench train raft --out DIR` makes DIR/model; `dis` needs no weights"
        )
    return None


def flow_refusal(which: str | None, folder: str | Path | None, item: Item) -> str | None:
    """Why the flow `which` cannot judge an item, with the command that helps; None where it can.

    The bundled `raft[reference]` has seen the reference world only, and judges no other items.
    """
    missing = lacking(which, folder)
    if missing or chosen(which, folder) != "reference" or item.world or folder is not None:
        return missing
    return (
        "raft[reference] knows the reference world only, and the item is not of it: `syncbench fetch raft` brings the "
        "published weights, and `dis` needs none"
    )
