"""Device and precision of networks, and options that save memory or time."""

import shutil
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

import torch
from torch import Tensor, nn

from ...errors import SyncbenchError
from .library import quiet

if TYPE_CHECKING:
    from .offload import Shelf

Offload = Literal["none", "parts", "layers"]


class Memory(TypedDict, total=False):
    """Options of every published checkpoint that save memory or time; see `Recipe`."""

    offload: Offload
    tiled: bool
    compile: bool


@dataclass(frozen=True)
class Placement:
    """Device and precision of modules, and options that save memory or time."""

    device: torch.device
    network: torch.dtype
    exact: torch.dtype
    """Precision of codec and encoders."""
    offload: Offload = "none"
    """Weights kept off the device while not used: `none`; `parts`, whole networks, of which the denoising
    ones move together; `layers`, single layers. It has no effect on the CPU."""
    tiled: bool = False
    """Whether codecs process large pictures in blended tiles, which changes the result."""
    compile: bool = False
    """Whether denoising networks are compiled, which changes their outputs by rounding only."""
    shelf: "Shelf | None" = field(default=None, compare=False, repr=False)
    """The offloaded networks; None without offloading."""

    @staticmethod
    def of(device: torch.device, network: torch.dtype, exact: torch.dtype, memory: Memory) -> "Placement":
        """A placement with options. Raises SyncbenchError for options that exclude each other or this machine lacks."""
        if memory.get("compile") and memory.get("offload", "none") != "none":
            raise SyncbenchError(
                "model.compile and model.offload exclude each other, because a compiled network stays where it is: "
                "leave one out"
            )
        if memory.get("compile"):
            _check_compiler(device)
        made = Placement(device, network, exact, **memory)
        if made.moves:
            from .offload import Shelf  # brings accelerate along

            return replace(made, shelf=Shelf(device))
        return made

    @property
    def moves(self) -> bool:
        """Whether weights are offloaded."""
        return self.offload != "none" and self.device.type not in ("cpu", "meta")

    def put(self, module: nn.Module, exact: bool = False) -> Any:
        """The module, placed, frozen, in evaluation mode. Raises SyncbenchError for a codec that has no tiles."""
        dtype, device = self.exact if exact else self.network, torch.device("cpu") if self.shelf else self.device
        whole = kept_whole(module)
        with quiet():
            module.eval().requires_grad_(False).to(device=device, dtype=dtype)
        for name, value in whole.items():
            part, _, short = name.rpartition(".")
            held = getattr(module.get_submodule(part), short)
            held.data = value.to(device=device, dtype=torch.promote_types(dtype, torch.float32))
        if self.device.type == "cuda" and not exact:
            channels_last(module)  # on the CPU this layout is slower, by up to 22 %
        if self.tiled and type(module).__name__.startswith("Autoencoder"):
            _tile(module)
        if self.shelf is not None and self.offload == "layers":
            self.shelf.keep_layers(module)
        elif self.shelf is not None:
            self.shelf.keep(module, f"{type(module).__name__} {id(module)}" if exact else "denoising")
        if self.compile and not exact and self.device.type != "meta":
            compile_network(module)
        return module


def kept_whole(module: nn.Module) -> dict[str, Tensor]:
    """Tensors, by name, that diffusers keeps in float32 in half-precision networks, e.g. of the time embedding."""
    words: set[str] = set(getattr(module, "_keep_in_fp32_modules", None) or ())
    every = [*module.named_parameters(), *module.named_buffers()] if words else []
    return {name: value.detach() for name, value in every if words & set(name.split("."))}


def channels_last(module: nn.Module) -> None:
    """Change weights of two-dimensional convolutions to the memory format channels-last, which is faster; no others."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            cast(Any, layer).to(memory_format=torch.channels_last)


def compile_network(network: nn.Module) -> None:
    """Compile a network's `forward` in place; calls under other attention processors (`replaced`) are not compiled."""
    network.forward = partial(_with_time_as_tensor, torch.compile(network.forward))


def uncompiled(network: nn.Module) -> Any:
    """Remove a network's compiled `forward` and return it, so that it can be put back; None if there is none."""
    found = network.__dict__.get("forward")
    return network.__dict__.pop("forward") if getattr(found, "func", None) is _with_time_as_tensor else None


def _with_time_as_tensor(forward: Any, x: Any = None, *others: Any, **more: Any) -> Any:
    """Call `forward` with the time as a tensor, since a number would be compiled anew at every step."""
    values = [torch.tensor(float(v), device=x.device) if type(v) in (int, float) else v for v in others]
    return forward(*([] if x is None else [x]), *values, **more)


def _tile(codec: Any) -> None:
    if not hasattr(codec, "use_tiling"):  # by which diffusers knows codecs that have tiles
        raise SyncbenchError(
            f"model.tiled: an {type(codec).__name__} cannot code tile by tile: leave the option out, or decode fewer "
            "pictures at once (model.chunk, where the model has it)"
        )
    codec.enable_tiling()


def _check_compiler(device: torch.device) -> None:
    if device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise SyncbenchError("model.compile needs a C++ compiler for the CPU, and there is none here: install g++")
    if device.type == "cuda" and find_spec("triton") is None:
        raise SyncbenchError("model.compile needs the package triton for the GPU: install it, or leave the option out")
