"""What a model offers: noise levels, text, prediction of (x0, eps), encoding and decoding, and a bill.

A method sees only this. Parameterisation (eps, v, flow), guidance, chunking, precision and device stay inside.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ..schedule import Level, Schedule
from ..types import Cost


@dataclass(frozen=True)
class Condition:
    """What the network is told about each view: one row per view in every tensor."""

    guidance: float
    positive: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    negative: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    """The unconditional half's inputs; the same keys as `positive`."""
    views: int = 1

    @property
    def guided(self) -> bool:
        """Whether both halves of classifier-free guidance are evaluated."""
        return self.guidance != 1.0

    def rows(self, index: Tensor | slice) -> "Condition":
        """The condition of some views."""
        positive = {k: v[index] for k, v in self.positive.items()}
        negative = {k: v[index] for k, v in self.negative.items()}
        count = len(torch.arange(self.views)[index])
        return replace(self, positive=positive, negative=negative, views=count)


@dataclass(frozen=True)
class Call:
    """The network call in progress, as attention processors need to know it."""

    level: Level
    groups: int
    """The batch's rows are (groups, views): each half of guidance holds every view of the call, in order."""
    views: int


@runtime_checkable
class Model(Protocol):
    """A denoiser with its codec.

    Four more may be there. `name`: what tables call it, if not its id. `ready()`: load what is needed and try it,
    raising SyncbenchError with the reason where that fails; called once, before the model's first job, so that its jobs
    do not fail one by one. `places`: the fewest and the most views that `together` has room for, which planning checks.
    `read(prompt)`: the fraction of a prompt that its text encoder has places for.
    """

    id: str
    capabilities: frozenset[str]
    """The conditions it takes (`depth`, `image`, `camera`, ...), and what else methods may ask for:

    `text` and `attention`; `joint`, views denoised `together` by layers trained for it; `time`, views that are frames
    in order; `poses`, views that are fixed poses; `channels`, views that are channels of a picture.
    """
    cost: Cost
    """Running count of what was asked of this model; the runner resets it."""
    call: Call | None
    """None outside network calls."""

    @property
    def factor(self) -> int:
        """Pixels to a latent cell."""
        ...

    @property
    def channels(self) -> int:
        """Latent channels."""
        ...

    @property
    def window(self) -> int:
        """Native image size in pixels."""
        ...

    @property
    def revision(self) -> str:
        """12 hex digits of the weights and configuration; the same digits mean the same function."""
        ...

    @property
    def device(self) -> torch.device:
        """Where latents live."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Precision of latents between network calls."""
        ...

    def schedule(self, steps: int) -> Schedule:
        """Noise levels for `steps` denoising steps."""
        ...

    def condition(self, prompts: Sequence[str], guidance: float, negative: str = "", **inputs: Tensor) -> Condition:
        """One row per prompt. `inputs` carries other conditions (`depth`, ...) with one row per prompt."""
        ...

    def predict(
        self, x: Float[Tensor, "views c h w"], level: Level, condition: Condition
    ) -> tuple[Float[Tensor, "views c h w"], Float[Tensor, "views c h w"]]:
        """(x0, eps) after guidance. Differentiable when gradients are enabled. Views may be chunked."""
        ...

    def whole(self) -> AbstractContextManager[None]:
        """Within the context views are never chunked, because attention processors look from one to another."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """Within the context views are denoised together by a network that was trained to; else as in `whole`."""
        ...

    def encode(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """Images in [0, 1] to latents (the mean, no sampling)."""
        ...

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 H W"]:
        """Latents of any height and width to images, clamped to [0, 1]. Differentiable."""
        ...

    def attach(
        self, processor: Callable[[str, Any], Any], where: Callable[[str, Any], bool] | None = None
    ) -> AbstractContextManager[Any]:
        """Install attention processors and restore the old ones bit for bit; see `bench.attention.replaced`.

        `processor(name, layer)` makes one for each layer that `where(name, layer)` chooses (None: self-attention).
        """
        ...
