"""A check before the first job of a model that it works at all, so that not every job fails by itself.

A model's own `ready()`, if it has one, loads its networks and runs them, and raises SyncbenchError with the reason and
the cure.
"""

from dataclasses import dataclass
from typing import Any

from ..errors import SyncbenchError
from ..suites.suite import Entry
from .loaded import Loaded


@dataclass(frozen=True)
class ReadyTask:
    """A model to be checked, and the numbers of denoising steps of its jobs."""

    model: Entry
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Ready:
    """The result of the check of a model."""

    factor: int = 1
    """Pixels along a side of a latent cell."""
    error: str | None = None
    """The reason why the model can do none of its jobs, in one sentence; None if it works."""


def ready(task: ReadyTask, loaded: Loaded) -> Ready:
    """Load the model, in the process that will sample with it."""
    try:
        model: Any = loaded.model(task.model)
        for steps in task.steps:
            model.schedule(steps)
        if hasattr(model, "ready"):
            model.ready()
        return Ready(factor=model.factor)
    except SyncbenchError as error:
        return Ready(error=str(error))
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0]
        return Ready(error=f"model {task.model.label} cannot be used: {type(error).__name__}: {line}")
