"""What a model offers: noise levels, text, prediction of (x0, eps), encoding and decoding, and the cost so far.

Methods use no more of a model than this. Parameterisation (eps, v, flow), guidance, chunking, precision and device are
the model's own matter.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ..types import Cost
from .parts.schedule import Level, Schedule


@dataclass(frozen=True)
class Condition:
    """The network's inputs beside the noisy views, for each pass of guidance, and whether views are coupled."""

    guidance: float
    """Scale of classifier-free guidance."""
    passes: tuple[dict[str, Tensor], ...] = ({},)
    """Tensors by name, one row per view and the same names in every pass; the last pass drops nothing."""
    views: int = 1
    together: bool = False
    """Whether a network that can denoise views jointly (as frames, tiles) does so."""
    tiles: int = 1
    """Views that each latent shows side by side: a latent counts as so many evaluations."""

    @property
    def given(self) -> dict[str, Tensor]:
        """The inputs of the last pass, in which guidance drops nothing."""
        return self.passes[-1]

    def rows(self, index: Tensor | slice) -> "Condition":
        """The condition of the views that `index` selects."""
        passes = tuple({name: value[index] for name, value in one.items()} for one in self.passes)
        return replace(self, passes=passes, views=len(torch.arange(self.views)[index]))


@dataclass(frozen=True)
class Call:
    """The network call in progress; attention processors read it."""

    level: Level
    groups: int
    """Passes of guidance in the batch, whose rows are (groups, views): each pass has every view of the call."""
    views: int
    together: bool = False
    """Whether views are denoised together."""


@runtime_checkable
class Model(Protocol):
    """A denoiser with its codec.

    A model may also have:

    `name`: its name in tables, if not its id. `load()`: load its networks, if they are otherwise loaded when first
    used. `ready()`: load what is needed and try it, raising SyncbenchError with the reason where that fails; called
    once, before the model's first job, so that its jobs do not fail one by one. `places`: the fewest and the most views
    that can be denoised together, which planning checks. `needs`: the conditions that it cannot do without; planning
    leaves out items that lack one. `native`: the longer side in pixels that views must have, which planning checks;
    None where any size is served. `read(prompt)`: the fraction of a prompt's tokens that its text encoder reads.
    `tokens(prompt)`: the prompt's tokens, in the order in which cross-attention sees them. `unknown(prompt)`: the words
    of a prompt that are not in its vocabulary; planning refuses such items. `deviations`: options, besides its weights,
    that change its samples, by name; they stand in the notes of a sample. `settle()`: move weights that were moved to
    the device for a call back to where they are kept; called before and after a method.

    `pace` and `decode_together(latents)`, for a model whose codec compresses time: a clip of 1 + k * pace frames that
    is denoised together has 1 + k latents, which become its frames when decoded together. `makes`: the channels of a
    picture that it makes, by the suite's names and in order, which planning checks; `shown(names, views)`: its decoded
    views as the suite writes those channels.

    `within(change, together=False)`: a context in which `change(network)`, a context itself, holds of its denoising
    network, e.g. `bench.models.parts.features.entering`; views are never chunked within.

    `rehearses`: whether it only counts calls, so that what it answers must not be kept.
    """

    id: str
    capabilities: frozenset[str]
    """The conditions it takes (`depth`, `image`, `camera`, ...), and what else methods may ask for:

    `text` and `attention`; `joint`, views denoised together by layers trained for it; `time`, views that are frames
    in order; `poses`, views that are fixed poses; `channels`, views that are channels of a picture; `rows`, views that
    meet along their rows of pixels.
    """
    cost: Cost
    """Network calls, encodings and decodings so far; the runner resets it."""
    call: Call | None
    """The network call in progress; None outside network calls."""

    @property
    def factor(self) -> int:
        """Pixels along a side of a latent cell."""
        ...

    @property
    def channels(self) -> int:
        """Number of channels of a latent."""
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
        """The device that latents are on."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Precision of latents between network calls."""
        ...

    def schedule(self, steps: int) -> Schedule:
        """Noise levels for `steps` denoising steps."""
        ...

    def condition(
        self, prompts: Sequence[str], guidance: float, negative: str = "", *, together: bool = False, **inputs: Tensor
    ) -> Condition:
        """The network's inputs, one row per prompt.

        `inputs` are other conditions (`depth`, ...) with one row per prompt, or one for all.

        `together`: all views are denoised in one call, by a network that was trained to do so.
        """
        ...

    def predict(
        self, x: Float[Tensor, "views c h w"], level: Level, condition: Condition
    ) -> tuple[Float[Tensor, "views c h w"], Float[Tensor, "views c h w"]]:
        """(x0, eps) after guidance. Differentiable when gradients are enabled. Views may be chunked."""
        ...

    def encode(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """Images in [0, 1] to latents (the mean, no sampling)."""
        ...

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 H W"]:
        """Latents of any height and width to images, clamped to [0, 1]. Differentiable."""
        ...

    def attach(
        self,
        processor: Callable[[str, Any], Any],
        where: Callable[[str, Any], bool] | None = None,
        *,
        together: bool = False,
    ) -> AbstractContextManager[Any]:
        """Install attention processors, restore the old ones bit for bit; see `bench.models.parts.attention.replaced`.

        `processor(name, layer)` makes one for each layer that `where(name, layer)` chooses (None: self-attention among
        the pixels of a view); `together` says whether the calls in this context denoise views together. Within the
        context views are never chunked, because a processor may let one view attend to another.
        """
        ...
