"""syncbench: how well does a diffusion method make several outputs agree?

The public names, loaded when first asked for, so that `import syncbench` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench.board import board
    from .bench.canvas import Canvas
    from .bench.errors import SyncbenchError
    from .bench.gate import gate
    from .bench.geometry.strip import Strip
    from .bench.loop import Method, Noise, Step, Sync, canvas_artifact, views_artifact
    from .bench.registry import load
    from .bench.report import report
    from .bench.run import run
    from .bench.show import show
    from .bench.store import load_artifact, load_records
    from .bench.types import Artifact, Cost, Item, Record, Sampling, Score

__version__ = "0.1.0"

_HOMES = {
    "board": ("board",),
    "canvas": ("Canvas",),
    "errors": ("SyncbenchError",),
    "gate": ("gate",),
    "geometry.strip": ("Strip",),
    "loop": ("Method", "Noise", "Step", "Sync", "canvas_artifact", "views_artifact"),
    "registry": ("load",),
    "report": ("report",),
    "run": ("run",),
    "show": ("show",),
    "store": ("load_artifact", "load_records"),
    "types": ("Artifact", "Cost", "Item", "Record", "Sampling", "Score"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Artifact",
    "Canvas",
    "Cost",
    "Item",
    "Method",
    "Noise",
    "Record",
    "Sampling",
    "Score",
    "Step",
    "Strip",
    "Sync",
    "SyncbenchError",
    "__version__",
    "board",
    "canvas_artifact",
    "gate",
    "load",
    "load_artifact",
    "load_records",
    "report",
    "run",
    "show",
    "views_artifact",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".bench.{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
