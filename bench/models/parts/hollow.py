"""Networks on the device `meta`: they have the shapes of their configuration and no values, and no weights are read."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from .library import quiet


def building(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which modules are built; for the device `meta` their tensors have shapes only."""
    from accelerate import init_empty_weights

    return init_empty_weights(include_buffers=True) if device.type == "meta" else nullcontext()


def hollow(cls: Any, folder: Path, library: str) -> Any:
    """A network of the class, of diffusers or transformers, with the folder's configuration and without values."""
    with building(torch.device("meta")), quiet():
        if library == "diffusers":
            return cls.from_config(cls.load_config(folder, local_files_only=True))
        return cls(cls.config_class.from_pretrained(folder, local_files_only=True))
