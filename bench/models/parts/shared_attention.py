"""Attention among samples: in self-attention layers, samples of one batch attend to each other's keys and values.

There is one processor. Methods differ in the selector, "which samples feed the keys and values of sample i":

    extended attention, MVDream, ImageDream, Wonder3D, GeoWizard, ControlVideo,      everyone (several objects or
        TokenFlow's keyframes, FLATTEN's dense attention                             images in a batch: in_blocks)
    Text2Video-Zero                                                                  first
    FateZero (released configurations)                                               middle; where=wide(640)
    Pix2Video, Tune-A-Video, Rerender-A-Video                                        first_and_previous;
        (all frames of a step in one batch: the same as cached features of           where=inside("up_blocks"),
        frames done before)                                                          Tune-A-Video everywhere
    Zero123++ (the reference image is sample 0)                                      first, keep_self
    MV-Adapter, Era3D (the same row of pixels in every view)                         everyone, with lines

Not covered: attention along flow trajectories (FLATTEN's second attention), whose tokens lie anywhere.

Keys and values are never copied once per sample. Samples with the same sources are folded into one long query
sequence, (groups, heads, samples * tokens, d) against (groups, heads, sources * tokens, d), which attention treats
row by row; where sources are consecutive nothing is copied at all. Halves of guidance are groups and never mix.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ...types import SyncbenchError
from .attention import Processor
from .tapped import Wrapping, intercepted

Selector = Callable[[int, int], Iterable[int]]
"""(i, n) -> which of the n samples feed the keys and values of sample i. A sample named twice counts twice."""
Layout = Callable[[int], int | None]
"""Rows of a batch -> how many groups of samples they are, (groups, samples); None: plain attention this time."""
Lines = Callable[[int], int]
"""Tokens of one sample -> how many rows of pixels they are, one after another."""


def everyone(i: int, n: int) -> Iterable[int]:
    """All samples."""
    return range(n)


def others(i: int, n: int) -> Iterable[int]:
    """All samples but this one; a lone sample has itself."""
    return [j for j in range(n) if j != i] or [i]


def itself(i: int, n: int) -> Iterable[int]:
    """The sample itself, as in plain attention."""
    return (i,)


def first(i: int, n: int) -> Iterable[int]:
    """The first sample."""
    return (0,)


def middle(i: int, n: int) -> Iterable[int]:
    """The sample in the middle."""
    return ((n - 1) // 2,)


def first_and_previous(i: int, n: int) -> Iterable[int]:
    """The first sample and the one before; the first two have the first alone."""
    return (0,) if i < 2 else (0, i - 1)


def in_blocks(size: int) -> Selector:
    """All samples of the same block of `size` consecutive ones; the last block may be smaller."""
    return lambda i, n: range(i // size * size, min((i // size + 1) * size, n))


def lines_of(height: int, width: int) -> Lines:
    """A function from the tokens of a UNet's layer to their rows of pixels, for latents of `height` x `width`.

    The function raises SyncbenchError for a number of tokens that no level of such a network has.
    """

    def lines(tokens: int) -> int:
        rows, columns = height, width
        while rows * columns > max(tokens, 1):
            rows, columns = -(-rows // 2), -(-columns // 2)  # convolutions of stride 2 round up
        if rows * columns != tokens:
            raise SyncbenchError(f"{tokens} tokens are no rows of pixels of a latent of {height}x{width} cells")
        return rows

    return lines


def attend(
    query: Float[Tensor, "groups samples tokens heads d"],
    key: Float[Tensor, "groups samples keys heads d"],
    value: Float[Tensor, "groups samples keys heads d"],
    sources: Sequence[Sequence[int]],
    scale: float | None = None,
) -> Float[Tensor, "groups samples tokens heads d"]:
    """O_i = softmax(Q_i K^T scale) V, with K and V those of the samples in `sources[i]`, one after another.

    `scale` is 1 / sqrt(d) if not given.
    """
    takers: dict[tuple[int, ...], list[int]] = {}
    for i, chosen in enumerate(sources):
        takers.setdefault(tuple(sorted(chosen)), []).append(i)
    if len(takers) == 1:
        [chosen] = takers
        return _folded(query, _pick(key, chosen), _pick(value, chosen), scale)
    out = torch.empty_like(query)
    for chosen, those in takers.items():
        out[:, those] = _folded(_pick(query, those), _pick(key, chosen), _pick(value, chosen), scale)
    return out


class SharedAttention(Wrapping):
    """The processor of one layer: the layer's own, with keys and values of other samples where it attends.

    Everything else (projections, normalisation, rotary positions, adapters, text tokens in the same sequence) stays as
    in the wrapped processor, so that it serves layers of UNets and blocks of transformers. Inside a sampling loop
    `Sharing.attach` makes these; a network trained with shared attention keeps them, with a layout of its own:
    `SharedAttention(layer.processor, lambda rows: rows // 4)` shares among every 4 rows.
    """

    def __init__(
        self,
        inner: Processor,
        layout: Layout,
        select: Selector = everyone,
        *,
        keep_self: bool = False,
        strength: float = 1.0,
        lines: Lines | None = None,
    ) -> None:
        """`inner` is the processor that is wrapped; the other options are those of `Sharing`.

        With `lines` a token attends to those of its own row of pixels only, in its own sample and in the others.
        """
        super().__init__(inner)
        self.layout, self.select = layout, select
        self.keep_self, self.strength, self.lines = keep_self, strength, lines

    def run(
        self, attn: Any, hidden: Tensor, others: Tensor | None, mask: Tensor | None, *args: Any, **more: Any
    ) -> Any:
        """The wrapped processor's output for hidden states (rows, tokens, channels), with keys and values shared.

        Encoder hidden states, if given, are made into each sample's keys and values, in addition to its own tokens or
        instead of them; they are shared alike. Raises SyncbenchError for a number of rows that is no whole number of
        groups, and where the wrapped processor does not attend by PyTorch's scaled_dot_product_attention.
        """
        rows = len(hidden)
        groups = self.layout(rows)
        if groups is None or (groups == rows and self.lines is None) or self.strength == 0:
            return self.inner(attn, hidden, others, mask, *args, **more)
        if rows % groups or mask is not None:
            raise SyncbenchError(
                f"shared attention needs whole groups of samples and no mask, not {rows} rows in {groups} groups"
            )
        if self.lines is None:
            return self._shared(groups, attn, hidden, others, *args, **more)
        if others is not None:
            raise SyncbenchError("attention along rows of pixels has no place for other tokens: narrow `where`")
        # Each row of pixels becomes a group of its own, of as many samples as there are.
        apart = hidden.unflatten(0, (groups, -1)).unflatten(2, (self.lines(hidden.shape[1]), -1))
        lines = apart.transpose(1, 2)
        found = self._shared(lines.shape[0] * lines.shape[1], attn, lines.flatten(0, 2), None, *args, **more)
        return found.unflatten(0, lines.shape[:3]).transpose(1, 2).reshape(hidden.shape)

    def _shared(
        self, groups: int, attn: Any, hidden_states: Tensor, others: Tensor | None, *args: Any, **more: Any
    ) -> Any:
        """The wrapped processor's output for groups of samples, (groups * samples, tokens, channels)."""
        if groups == len(hidden_states):
            return self.inner(attn, hidden_states, others, None, *args, **more)
        if self.select is everyone and self.strength == 1 and others is None and not args:
            # All tokens of a group are one long sequence, for whatever kernel the layer uses.
            whole = hidden_states.reshape(groups, -1, hidden_states.shape[-1])
            return self.inner(attn, whole, None, None, **more).reshape(hidden_states.shape)

        def attended(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
            q, k, v = (x.unflatten(0, (groups, -1)).transpose(2, 3) for x in (query, key, value))
            mixed = attend(q, k, v, self.sources(q.shape[1]), scale).transpose(2, 3).flatten(0, 1)
            if self.strength == 1:
                return mixed
            return torch.lerp(F.scaled_dot_product_attention(query, key, value, scale=scale), mixed, self.strength)

        return intercepted(attended, self.inner, attn, hidden_states, others, None, *args, **more)

    def sources(self, n: int) -> list[list[int]]:
        """Samples whose keys and values each of `n` samples attends to."""
        found = [list(self.select(i, n)) for i in range(n)]
        if self.keep_self:
            found = [chosen if i in chosen else [*chosen, i] for i, chosen in enumerate(found)]
        for i, chosen in enumerate(found):
            if not chosen or not all(0 <= j < n for j in chosen):
                raise SyncbenchError(
                    f"the selector chose {chosen} for sample {i} of {n}: name at least one of 0..{n - 1}"
                )
        return found


def _pick(x: Tensor, samples: Sequence[int]) -> Tensor:
    """Some samples; a view, not a copy, where they are consecutive."""
    if list(samples) == list(range(samples[0], samples[0] + len(samples))):
        return x[:, samples[0] : samples[0] + len(samples)]
    return x[:, list(samples)]


def _folded(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
    """Every query sample attends to all key samples, in one call."""
    q, k, v = (x.flatten(1, 2).transpose(1, 2) for x in (query, key, value))
    out = F.scaled_dot_product_attention(q, k, v, scale=scale)
    return out.transpose(1, 2).unflatten(1, query.shape[1:3])
