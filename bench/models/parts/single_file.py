"""Checkpoints of one safetensors file, with the names that tensors had in the original code of Stable Diffusion.

diffusers translates them. Configuration and vocabulary come from a folder of the same family, so nothing is downloaded.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ...errors import SyncbenchError, quoted
from ...files.reading import is_file
from .files import tensor_names
from .library import library_class

NETWORK = "model.diffusion_model."
"""Prefix of the names of the denoising network's tensors."""


def single_file(path: str) -> Path:
    """The path of the file. Raises SyncbenchError, with cause and cure, for a file that is damaged or no checkpoint."""
    found = Path(path).expanduser()
    if found.suffix != ".safetensors":
        raise SyncbenchError(
            f"'{quoted(path)}' is no .safetensors file: .ckpt and .bin files are pickles, which run code when they are "
            "read; convert it where you trust it"
        )
    if not is_file(found):
        raise SyncbenchError(f"no file '{quoted(path)}': name a .safetensors file on this machine")
    if not any(name.startswith(NETWORK) for name in tensor_names(found)):
        raise SyncbenchError(
            f"'{quoted(path)}' has no tensor named {NETWORK}...: it is no whole checkpoint of Stable Diffusion, but "
            "perhaps a LoRA or one part of it"
        )
    return found


def load_part(file: Path, folder: Path, part: str, library: str, kind: str) -> Any:
    """The network of class `kind` that a folder's `part` describes, with the file's weights.

    Raises SyncbenchError where the file lacks some weights, and diffusers' own exceptions for weights that do not fit.
    """
    border: Any = import_module("diffusers.loaders.single_file_utils")
    cls, config = library_class(library, kind), str(folder)
    given = border.load_single_file_checkpoint(str(file), local_files_only=True)
    how = {"subfolder": part, "config": config, "local_files_only": True, "torch_dtype": torch.float32}
    try:
        if library == "diffusers":
            made = cls.from_single_file(given, **how)
        else:
            made = border.create_diffusers_clip_model_from_ldm(cls, given, **how)
    except RuntimeError as error:
        if "meta tensor" not in str(error):
            raise
        raise SyncbenchError(f"it lacks tensors of the {part}") from error  # what no file has filled cannot be moved
    if any(value.is_meta for value in made.parameters()):
        raise SyncbenchError(f"it lacks tensors of the {part}")
    return made
