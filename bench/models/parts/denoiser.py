"""The base class of all models: device and precision by name, chunks of views, cost, refusal of conditions."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ...types import Cost, SyncbenchError
from ..interface import Call, Condition
from .schedule import Level

Precision = Literal["float32", "float64", "bfloat16", "float16"]


class Denoiser(ABC):
    """A model that splits views into chunks and counts cost; subclasses add the network."""

    id: str
    capabilities: frozenset[str] = frozenset()
    places: tuple[int, int] | None = None
    """Fewest and most views that can be denoised together; None: any number."""

    def __init__(self, device: str, dtype: Precision, batch: int) -> None:
        if batch < 1:
            raise SyncbenchError(f"batch = {batch} views per network call: use 1 or more")
        self.cost = Cost()
        self.call: Call | None = None
        self.batch = batch
        self.whole = False
        """Whether all views go through the network in one call, whatever `batch` says."""
        self.precision: torch.dtype = getattr(torch, dtype)
        """The network's dtype."""
        self._device = device_of(device)

    @property
    def name(self) -> str:
        """Name of the model in tables: its id."""
        return self.id

    def read(self, prompt: str) -> float:
        """Fraction of the prompt's tokens that the text encoder reads, in (0, 1]."""
        return 1.0

    def ready(self) -> None:
        """Do nothing; a subclass loads its networks and runs them once, and raises SyncbenchError where that fails."""
        return

    @property
    def device(self) -> torch.device:
        """The device that latents are on."""
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of latents between network calls: float32 whatever the network's, unless that is float64."""
        return torch.promote_types(self.precision, torch.float32)

    @property
    @abstractmethod
    def factor(self) -> int:
        """Pixels along a side of a latent cell."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """Number of channels of a latent."""

    @property
    @abstractmethod
    def window(self) -> int:
        """Native image size in pixels."""

    def predict(
        self, x: Float[Tensor, "views c h w"], level: Level, condition: Condition
    ) -> tuple[Float[Tensor, "views c h w"], Float[Tensor, "views c h w"]]:
        """(x0, eps) after guidance, `batch` views in a network call, in order; all at once where views interact.

        Each view counts as one evaluation in each pass of guidance, a picture of several as so many.
        """
        if len(x) != condition.views:
            raise ValueError(f"{len(x)} views but conditions for {condition.views}")
        rows = len(x) * len(condition.passes) * condition.tiles
        self.cost.evaluations += rows
        if torch.is_grad_enabled() and x.requires_grad:
            self.cost.backward += rows
        if len(x) <= self.batch or self.whole or condition.together:
            return self._predict(x, level, condition)
        parts = [slice(i, i + self.batch) for i in range(0, len(x), self.batch)]
        pairs = [self._predict(x[part], level, condition.rows(part)) for part in parts]
        return torch.cat([x0 for x0, _ in pairs]), torch.cat([eps for _, eps in pairs])

    @abstractmethod
    def _predict(self, x: Tensor, level: Level, condition: Condition) -> tuple[Tensor, Tensor]:
        """(x0, eps) of one chunk."""

    @contextmanager
    def calling(self, call: Call) -> Generator[None]:
        """A context in which `self.call` is the network call in progress, for attention processors to read."""
        before, self.call = self.call, call
        try:
            yield
        finally:
            self.call = before

    def views_in(self, height: int, width: int) -> int:
        """Size of one image in units of a native view, at least 1, for the count of decodes."""
        return max(1, round(height * width / self.window**2))

    def attach(
        self,
        processor: Callable[[str, Any], Any],
        where: Callable[[str, Any], bool] | None = None,
        *,
        together: bool = False,
    ) -> AbstractContextManager[Any]:
        """Raise SyncbenchError: this model has no attention layers."""
        raise SyncbenchError(f"model {self.id} has no attention layers to share: choose a network, e.g. reference")

    def within(
        self, change: Callable[[Any], AbstractContextManager[Any]], *, together: bool = False
    ) -> AbstractContextManager[Any]:
        """Raise SyncbenchError: this model has no network."""
        raise SyncbenchError(
            f"model {self.id} has no network whose layers could be changed: choose one, e.g. reference"
        )

    def refuse(self, inputs: dict[str, Tensor]) -> None:
        """Raise SyncbenchError for conditions that this model does not take."""
        unknown = sorted(set(inputs) - self.capabilities)
        if unknown:
            raise SyncbenchError(
                f"model {self.id} takes no condition `{'`, `'.join(unknown)}`: choose a model that does"
            )


def digest(facts: dict[str, Any]) -> str:
    """12 hex digits of the hash of `facts`, written as JSON."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def device_of(name: str) -> torch.device:
    """The device called `name`; `auto` is a GPU where there is one. Raises SyncbenchError for a missing device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SyncbenchError(f"unknown device '{name}': use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SyncbenchError(f"device '{name}' asked for, but this machine shows no CUDA device: use auto or cpu")
    return device
