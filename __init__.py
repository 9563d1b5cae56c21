"""syncbench: how well does a diffusion method make several outputs agree?

The public names, loaded when first asked for, so that `import syncbench` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench.canvas import Canvas
    from .bench.catalogue.registry import load
    from .bench.errors import SyncbenchError
    from .bench.gate.gate import gate
    from .bench.models.interface import Model
    from .bench.outputs.importing import import_folder
    from .bench.outputs.scoring import score
    from .bench.outputs.training_metric import TrainingMetric
    from .bench.report.board import board
    from .bench.report.report import report
    from .bench.report.sheets import show
    from .bench.run.sweep import run
    from .bench.sampling.loop import Method, Noise, Step, Sync, canvas_artifact, views_artifact
    from .bench.sampling.sharing import Sharing
    from .bench.store.artifacts import load_artifact
    from .bench.store.folder import load_records
    from .bench.surfaces.strip import Strip
    from .bench.types import Artifact, Cost, Dataset, Family, Item, Metric, Record, Sampling, Score

__version__ = "0.1.0"

_HOMES = {
    "errors": ("SyncbenchError",),
    "types": (
        "Artifact",
        "Cost",
        "Dataset",
        "Family",
        "Item",
        "Metric",
        "Record",
        "Sampling",
        "Score",
    ),
    "canvas": ("Canvas",),
    "catalogue.registry": ("load",),
    "surfaces.strip": ("Strip",),
    "models.interface": ("Model",),
    "sampling.loop": (
        "Method",
        "Noise",
        "Step",
        "Sync",
        "canvas_artifact",
        "views_artifact",
    ),
    "sampling.sharing": ("Sharing",),
    "run.sweep": ("run",),
    "outputs.importing": ("import_folder",),
    "outputs.scoring": ("score",),
    "outputs.training_metric": ("TrainingMetric",),
    "store.artifacts": ("load_artifact",),
    "store.folder": ("load_records",),
    "report.report": ("report",),
    "report.board": ("board",),
    "report.meshes": ("bake",),
    "report.sheets": ("show",),
    "gate.gate": ("gate",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Artifact",
    "Canvas",
    "Cost",
    "Dataset",
    "Family",
    "Item",
    "Method",
    "Metric",
    "Model",
    "Noise",
    "Record",
    "Sampling",
    "Score",
    "Sharing",
    "Step",
    "Strip",
    "Sync",
    "SyncbenchError",
    "TrainingMetric",
    "__version__",
    "bake",
    "board",
    "canvas_artifact",
    "gate",
    "import_folder",
    "load",
    "load_artifact",
    "load_records",
    "report",
    "run",
    "score",
    "show",
    "views_artifact",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".bench.{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
