"""Where torch hub keeps files of torch's own."""

import os
from pathlib import Path


def hub_folder() -> Path:
    """Where torch hub keeps published weights on this machine, as `torch.hub.get_dir()` says it."""
    if hub := _set_dir():
        return hub / "checkpoints"
    cache = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(cache).expanduser() / "hub" / "checkpoints"


def _set_dir() -> Path | None:
    """What `torch.hub.set_dir` has named in this process."""
    import sys

    hub = getattr(sys.modules.get("torch"), "hub", None)
    return Path(hub.get_dir()) if hub is not None else None
