"""Attention sharing: in self-attention layers, samples of one batch attend to each other's keys and values.

There is one processor. Methods differ in the selector, "which samples feed the keys and values of sample i":

    extended attention, MVDream, ImageDream, Wonder3D, GeoWizard, ControlVideo,      everyone (several objects or
        TokenFlow's keyframes, FLATTEN's dense attention                             images in a batch: in_blocks)
    Text2Video-Zero                                                                  first
    FateZero (released configurations)                                               middle; where=wide(640)
    Pix2Video, Tune-A-Video, Rerender-A-Video                                        first_and_previous;
        (all frames of a step in one batch: the same as cached features of           where=inside("up_blocks"),
        frames done before)                                                          Tune-A-Video everywhere
    Zero123++ (the reference image is sample 0)                                      first, keep_self

Not covered: attention along image rows (Era3D, MV-Adapter) or flow trajectories (FLATTEN's second attention), which
choose tokens, not samples.

Keys and values are never copied once per sample. Samples with the same sources are folded into one long query
sequence, (groups, heads, samples * tokens, d) against (groups, heads, sources * tokens, d), which attention treats
row by row; where sources are consecutive nothing is copied at all. Halves of guidance are groups and never mix.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .attention import Processor, Where, spatial
from .models.interface import Model
from .types import SyncbenchError

Selector = Callable[[int, int], Iterable[int]]
"""(i, n) -> which of the n samples feed the keys and values of sample i. A sample named twice counts twice."""
Layout = Callable[[int], int | None]
"""Rows of a batch -> how many groups of samples they are, (groups, samples); None: plain attention this time."""


def everyone(i: int, n: int) -> Iterable[int]:
    """All samples."""
    return range(n)


def others(i: int, n: int) -> Iterable[int]:
    """All samples but this one; a lone sample has itself."""
    return [j for j in range(n) if j != i] or [i]


def itself(i: int, n: int) -> Iterable[int]:
    """Plain attention."""
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


def attend(
    query: Float[Tensor, "groups samples tokens heads d"],
    key: Float[Tensor, "groups samples tokens heads d"],
    value: Float[Tensor, "groups samples tokens heads d"],
    sources: Sequence[Sequence[int]],
) -> Float[Tensor, "groups samples tokens heads d"]:
    """O_i = softmax(Q_i K^T / sqrt(d)) V, with K and V those of the samples in `sources[i]`, one after another."""
    takers: dict[tuple[int, ...], list[int]] = {}
    for i, chosen in enumerate(sources):
        takers.setdefault(tuple(sorted(chosen)), []).append(i)
    if len(takers) == 1:
        [chosen] = takers
        return _folded(query, _pick(key, chosen), _pick(value, chosen))
    out = torch.empty_like(query)
    for chosen, those in takers.items():
        out[:, those] = _folded(_pick(query, those), _pick(key, chosen), _pick(value, chosen))
    return out


class SharedAttention:
    """The processor of one layer.

    Inside a sampling loop `Sharing.attach` makes these. A network trained with shared attention keeps them, with a
    layout of its own: `SharedAttention(layer.processor, lambda rows: rows // 4)` shares among every 4 rows.
    """

    def __init__(
        self,
        inner: Processor,
        layout: Layout,
        select: Selector = everyone,
        *,
        keep_self: bool = False,
        strength: float = 1.0,
    ) -> None:
        """`inner` is called where nothing is shared; the other fields are those of `Sharing`."""
        self.inner, self.layout, self.select = inner, layout, select
        self.keep_self, self.strength = keep_self, strength
        self.calls = 0

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Hidden states (rows, tokens, channels) to the same shape.

        Encoder hidden states, if given, are what each sample's keys and values are made of, e.g. its own tokens and
        those of a reference image; they are shared alike.
        """
        self.calls += 1
        rows = len(hidden_states)
        groups = self.layout(rows)
        if groups is None or groups == rows or self.strength == 0:
            more = {} if temb is None else {"temb": temb}
            return self.inner(attn, hidden_states, encoder_hidden_states, attention_mask, **more)
        if rows % groups or attention_mask is not None:
            raise SyncbenchError(
                f"shared attention needs whole groups of samples and no mask, not {rows} rows in {groups} groups"
            )
        # As diffusers' AttnProcessor2_0, but for the shape in which attention sees the batch.
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            project(tokens).unflatten(-1, (attn.heads, -1)).unflatten(0, (groups, -1))
            for project, tokens in ((attn.to_q, hidden_states), (attn.to_k, context), (attn.to_v, context))
        )
        mixed = attend(query, key, value, self.sources(rows // groups))
        if self.strength != 1:
            alone = [x.flatten(0, 1)[:, None] for x in (query, key, value)]
            own = attend(alone[0], alone[1], alone[2], [(0,)]).reshape(query.shape)
            mixed = torch.lerp(own, mixed, self.strength)
        linear, dropout = attn.to_out
        return dropout(linear(mixed.flatten(0, 1).flatten(2))) / attn.rescale_output_factor

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


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Who attends to whom, in which layers, how much and when."""

    select: Selector = everyone
    keep_self: bool = False
    """Whether sample i's own tokens are added where `select` does not name it."""
    where: Where = spatial
    strength: float = 1.0
    """Layer output = (1 - strength) * plain + strength * shared."""
    begin: float = 0.0
    end: float = 1.0
    """Sharing acts on this part of the denoising steps: from round(begin * steps) to before round(end * steps)."""

    @contextmanager
    def attach(self, model: Model) -> Generator[None]:
        """Within the context the model's views attend to each other; they all go through its network in one call.

        Raises SyncbenchError for layers that are no plain self-attention and, on leaving, if the model predicted but
        some chosen layer never asked its processor (a compiled graph or another backend went around it).
        """
        spent, bill = model.cost.evaluations, model.cost

        def layout(rows: int) -> int | None:
            call = model.call
            if call is None or rows != call.groups * call.views:
                known = "nothing" if call is None else f"{call.groups} groups of {call.views} views"
                raise SyncbenchError(
                    f"no sharing: a layer of model {model.id} saw {rows} rows where the model announced "
                    f"{known}; choose spatial layers, and a model that gives each view a row of its own"
                )
            step, total = call.level.index, call.level.total
            return call.groups if round(self.begin * total) <= step < round(self.end * total) else None

        def make(name: str, layer: Any) -> SharedAttention:
            _require_plain(name, layer)
            return SharedAttention(
                layer.processor, layout, self.select, keep_self=self.keep_self, strength=self.strength
            )

        with model.whole(), model.attach(make, self.where) as made:
            yield
        silent = [name for name, processor in made.items() if processor.calls == 0]
        if silent and model.cost is bill and bill.evaluations > spent:
            raise SyncbenchError(
                f"attention sharing had no effect in {len(silent)} of {len(made)} layers (the first: {silent[0]}): "
                "something replaced the attention processors; switch off compilation, xformers and attention slicing"
            )


def _pick(x: Tensor, samples: Sequence[int]) -> Tensor:
    """Some samples; a view, not a copy, where they are consecutive."""
    if list(samples) == list(range(samples[0], samples[0] + len(samples))):
        return x[:, samples[0] : samples[0] + len(samples)]
    return x[:, list(samples)]


def _folded(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Every query sample attends to all key samples, in one call."""
    q, k, v = (x.flatten(1, 2).transpose(1, 2) for x in (query, key, value))
    out = F.scaled_dot_product_attention(q, k, v)
    return out.transpose(1, 2).unflatten(1, query.shape[1:3])


def _require_plain(name: str, layer: nn.Module) -> None:
    """Refuse layers that do more than project, attend and project back, since sharing would drop the rest."""
    parts = ("group_norm", "spatial_norm", "norm_q", "norm_k", "add_k_proj")
    flags = ("is_cross_attention", "residual_connection", "is_causal")
    extras = [key for key in parts if getattr(layer, key, None) is not None]
    extras += [key for key in flags if getattr(layer, key, False)]
    if extras:
        raise SyncbenchError(f"layer {name} cannot share attention because of its {', '.join(extras)}: narrow `where`")
