"""The folder in which torch hub keeps published weights."""

import os
from pathlib import Path


def hub_folder() -> Path:
    """The folder of torch hub's published weights on this machine, as from `torch.hub.get_dir()`, without torch."""
    if hub := _set_dir():
        return hub / "checkpoints"
    cache = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(cache).expanduser() / "hub" / "checkpoints"


def _set_dir() -> Path | None:
    """The folder that torch hub uses in this process; None where torch is not imported."""
    import sys

    hub = getattr(sys.modules.get("torch"), "hub", None)
    return Path(hub.get_dir()) if hub is not None else None
