"""Networks whose weights are one file's tensors under other names: built here, then filled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import SyncbenchError, quoted
from .hollow import building
from .library import quiet
from .placement import Placement
from .weights import first_line

Json = dict[str, Any]


@dataclass(frozen=True)
class Filled:
    """A network whose weights are some of the tensors of a safetensors file, loaded on first use."""

    file: Path
    placement: Placement
    make: Callable[[], nn.Module]
    """Builds the network, with any weights."""
    renamed: Callable[[str], str]
    """From the name of a tensor in the file to its name in the network; empty for tensors of other networks."""
    config: Json
    arranged: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict
    """Makes the network's tensors of the renamed ones, where names are not all that differs."""

    @cached_property
    def module(self) -> Any:
        """The network, placed and frozen. Raises SyncbenchError where file and network do not have the same tensors."""
        with quiet(), building(self.placement.device):
            made = self.make()
        if self.placement.device.type != "meta":
            fill(made, self.arranged(read_tensors(self.file, self.renamed)), self.file)
        if isinstance(made, nn.ModuleList):  # whose parts are called one by one
            for part in made:
                self.placement.put(part)
            return made
        return self.placement.put(made)


def read_tensors(file: Path, renamed: Callable[[str], str]) -> dict[str, Tensor]:
    """The tensors whose `renamed` is not empty, by that name, in float32. Raises SyncbenchError for a damaged file."""
    from safetensors import safe_open

    try:
        opening: Any = safe_open(file, framework="pt")
        with opening as opened:
            names = {new: name for name in opened.keys() if (new := renamed(name))}  # noqa: SIM118
            return {new: opened.get_tensor(name).to(torch.float32) for new, name in names.items()}
    except Exception as error:  # a damaged file shows as almost any type
        raise SyncbenchError(f"cannot read {quoted(file)}: {first_line(error)}; copy it again") from error


def fill(network: nn.Module, weights: Mapping[str, Tensor], file: Path) -> None:
    """Load `weights` into `network`. Raises SyncbenchError that names the first difference of names or shapes."""
    own = network.state_dict()
    for what, names in (("lacks", own.keys() - weights.keys()), ("has", weights.keys() - own.keys())):
        if names:
            raise SyncbenchError(
                f"{quoted(file)} was made for another network: it {what} {len(names)} tensors, such as "
                f"'{quoted(min(names), 80)}', that {'it should have' if what == 'lacks' else 'have no place here'}"
            )
    for name, value in weights.items():
        if value.shape != own[name].shape:
            raise SyncbenchError(
                f"{quoted(file)} was made for another network: its '{quoted(name, 80)}' has the shape "
                f"{tuple(value.shape)}, not {tuple(own[name].shape)}"
            )
    network.load_state_dict(dict(weights))
