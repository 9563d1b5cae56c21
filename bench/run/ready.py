"""Whether a model can do its jobs at all: found out once, before the first of them, and not by every one of them.

A model says so itself where it can: `ready()`, if it has one, loads what it needs and tries it, and raises
SyncbenchError with the reason and the cure.
"""

from dataclasses import dataclass
from typing import Any

from ..errors import SyncbenchError
from ..suites.suite import Entry
from .loaded import Loaded


@dataclass(frozen=True)
class ReadyTask:
    """A model, and the numbers of denoising steps that its jobs take."""

    model: Entry
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Ready:
    """What a model answered."""

    factor: int = 1
    """Pixels to a latent cell."""
    error: str | None = None
    """Why it can do none of its jobs, in one sentence."""


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
