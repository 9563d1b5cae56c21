"""Conditioners: prompts and an item's conditions to what the network reads, one row per view.

A conditioner answers twice: what is given, and what stands in its place where guidance drops its group.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import SyncbenchError
from .library import library_class, quiet
from .weights import Held, Weights

Rows = dict[str, Tensor]
"""Tensors by name, one row per view."""


@dataclass(frozen=True)
class Request:
    """What is asked of conditioners."""

    prompts: tuple[str, ...]
    """One per view."""
    negative: str
    guided: bool
    """Whether anything will be dropped."""
    inputs: Mapping[str, Tensor]
    """An item's conditions, one row per view, on the model's device."""
    code: Callable[[Tensor, bool], Tensor]
    """Latents of pictures; with True the encoder's own mean, neither shifted nor scaled."""
    guidance: float = 1.0
    """The scale that is asked for."""

    @property
    def views(self) -> int:
        """How many."""
        return len(self.prompts)


class Conditioner(Protocol):
    """One kind of condition."""

    @property
    def takes(self) -> frozenset[str]:
        """Conditions of an item that it reads."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """Those it cannot do without."""
        ...

    @property
    def offers(self) -> frozenset[str]:
        """Other capabilities that it gives a model."""
        ...

    @property
    def group(self) -> str:
        """With what guidance drops it: `text`, `image`, or nothing (empty)."""
        ...

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """(given, dropped); the same names in both."""
        ...


class Silent:
    """A conditioner that reads nothing of an item, offers nothing and needs nothing."""

    takes: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    offers: frozenset[str] = frozenset()
    group: str = ""


@dataclass(frozen=True)
class Text(Silent):
    """Embeddings by a diffusers pipeline's own `encode_prompt`, which knows which layers of which encoders count.

    The pipeline is made of text encoders and tokenizers alone. `outputs` names what `encode_prompt` returns, in order;
    empty for what is not read.
    """

    pipeline: str
    """Name of the class, e.g. `StableDiffusionPipeline`."""
    encoders: Mapping[str, Weights | Held]
    tokenizers: Mapping[str, Callable[[], Any]]
    outputs: tuple[str, ...] = ("text",)
    zeros: bool = False
    """An empty negative prompt is zeros, not the embedding of the empty text (`force_zeros_for_empty_prompt`)."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More arguments of `encode_prompt`."""
    parts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More arguments of the pipeline's constructor, mostly None for what it does without."""
    suffix: str = ""
    """Words at the end of every prompt that the network was trained with; a negative prompt is left as it is."""
    _known: dict[str, Rows] = field(default_factory=dict[str, Rows], compare=False, repr=False)

    offers: frozenset[str] = frozenset({"text"})
    group: str = "text"

    @cached_property
    def loaded(self) -> Any:
        """The pipeline."""
        with quiet():
            encoders = {name: weights.module for name, weights in self.encoders.items()}
            tokenizers = {name: make() for name, make in self.tokenizers.items()}
            return library_class("diffusers", self.pipeline)(**encoders, **tokenizers, **self.parts)

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """Each text is encoded once and kept."""
        given = stacked([self.encode(prompt + self.suffix) for prompt in request.prompts])
        if not request.guided:
            return given, {}
        if not request.negative and self.zeros:
            return given, {name: torch.zeros_like(rows) for name, rows in given.items()}
        return given, repeated(self.encode(request.negative), request.views)

    @torch.no_grad()
    def encode(self, text: str) -> Rows:
        """Embeddings of one text, each (1, ...)."""
        if text not in self._known:
            pipe = self.loaded
            found = pipe.encode_prompt(text, device=_device(self.encoders), **self.options)
            names = zip(self.outputs, found, strict=False)
            self._known[text] = {name: value for name, value in names if name and value is not None}
        return self._known[text]

    @torch.no_grad()
    def marks(self) -> Rows:
        """Embeddings of the empty text without padding, (1, 2, ...), by the first encoder alone."""
        pipe = self.loaded
        ids = pipe.tokenizer("", padding="do_not_pad", return_tensors="pt").input_ids
        return {self.outputs[0]: pipe.text_encoder(ids.to(_device(self.encoders)))[0]}

    def read(self, text: str) -> float:
        """Fraction of the text's tokens that the encoder with the most places has room for, in (0, 1]."""
        pipe, most = self.loaded, int(self.options.get("max_sequence_length", 77))
        shares: list[float] = []
        for name in self.tokenizers:
            tokenizer = getattr(pipe, name)
            marks = tokenizer.num_special_tokens_to_add()  # of beginning and end
            places = most if "T5" in type(tokenizer).__name__ else tokenizer.model_max_length
            count = len(tokenizer(text + self.suffix, truncation=False, verbose=False).input_ids) - marks
            shares.append((places - marks) / max(1, count))
        return min(1.0, max(shares))


@dataclass(frozen=True)
class Unloaded:
    """What stands for a network in a pipeline of text encoders that asks it for nothing but its configuration."""

    config: Any

    @staticmethod
    def of(config: Mapping[str, Any]) -> "Unloaded":
        """Of a `config.json`."""
        return Unloaded(SimpleNamespace(**config))


@dataclass(frozen=True)
class Words:
    """Text whose prompts are words of the network's own, such as the names of channels.

    A prompt that is none of them says nothing here: its views are the words in order.
    """

    text: Text
    words: Mapping[str, str]
    """What the network was trained to read, by the word that asks for it."""
    offers: frozenset[str] = frozenset({"text", "channels"})
    takes: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    group: str = "text"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The words' embeddings."""
        names = list(self.words)
        asked = [p if p in self.words else names[i % len(names)] for i, p in enumerate(request.prompts)]
        said = tuple(self.words[name] for name in asked)
        return self.text(replace(request, prompts=said))


@dataclass(frozen=True)
class Silence(Silent):
    """The empty text, whatever the prompt: a network of pictures alone that was trained with text layers."""

    text: Text
    short: bool = False
    """The two marks of beginning and end alone, not padded to the encoder's places, as Marigold was trained."""
    offers: frozenset[str] = frozenset({"text"})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The same in every pass."""
        rows = repeated(self.text.marks() if self.short else self.text.encode(""), request.views)
        return rows, rows


@dataclass(frozen=True)
class Picture:
    """A picture's latent, under the name `out`: one for each view, or one for `per` consecutive views."""

    name: str = "image"
    out: str = "image"
    raw: bool = False
    """The encoder's own mean, neither shifted nor scaled."""
    absent: Literal["same", "zeros", "grey"] = "same"
    """Where guidance drops it: itself, a latent of zeros, or the code of a grey picture."""
    missing: Literal["refused", "nothing", "zeros"] = "refused"
    """Where the item has none: a sentence, no row, or a latent of zeros."""
    per: int | None = 1
    """Views that share a picture; None: all, the first row serves every view."""
    scale: float | tuple[float, ...] = 1.0
    """Another factor on the latent, or one a channel."""
    prepared: Callable[[Tensor], Tensor] | None = None
    """What is done to the picture (n, 3, h, w) in [0, 1] before it is coded, e.g. from sRGB to linear light."""
    shape: tuple[int, ...] = ()
    """Of a latent (c, h, w), for `zeros` of a missing one."""
    size: int = 0
    """Pixels along the short side to which the picture is resized, and the middle square kept; 0: as it is."""

    @property
    def takes(self) -> frozenset[str]:
        """The condition."""
        return frozenset({self.name})

    @property
    def needs(self) -> frozenset[str]:
        """The condition, unless it may be missing."""
        return self.takes if self.missing == "refused" else frozenset()

    @property
    def offers(self) -> frozenset[str]:
        """Nothing else."""
        return frozenset()

    @property
    def group(self) -> str:
        """`image`, where something else stands for its absence."""
        return "" if self.absent == "same" else "image"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The latents. Raises SyncbenchError where a needed condition is missing."""
        found = needed(request, self.name) if self.missing == "refused" else request.inputs.get(self.name)
        if found is None:
            named = {self.out: torch.zeros(request.views, *self.shape)} if self.missing == "zeros" else {}
            return named, named
        per = request.views if self.per is None else self.per
        found = squared(found, self.size) if self.size else found
        kept = found[::per]
        kept = kept if self.prepared is None else self.prepared(kept)
        rows = self._code(kept, request).repeat_interleave(per, 0)[: request.views]
        if self.absent == "grey" and request.guided:
            grey = self._code(torch.full_like(found[:1], 0.5), request)
            return {self.out: rows}, {self.out: grey.expand_as(rows)}
        return {self.out: rows}, {self.out: rows if self.absent == "same" else torch.zeros_like(rows)}

    def _code(self, images: Tensor, request: Request) -> Tensor:
        scale = torch.tensor(self.scale, dtype=images.dtype, device=images.device)
        return request.code(images, self.raw) * scale.view(-1, *[1] * (2 * scale.ndim))


@dataclass(frozen=True)
class Hint(Silent):
    """A picture-like condition that is passed on as it is, repeated to so many channels. Absent, it is no row."""

    name: str = "depth"
    channels: int = 3
    out: str = ""
    needed: bool = False
    """Whether the model cannot do without it."""

    @property
    def takes(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The condition."""
        return frozenset({self.name})

    @property
    def needs(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The condition, if it is needed."""
        return self.takes if self.needed else frozenset()

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The same in every pass. Raises SyncbenchError for one that is needed and missing, or of other channels."""
        if self.name not in request.inputs and not self.needed:
            return {}, {}
        found = needed(request, self.name)
        if found.shape[1] not in (1, self.channels):
            raise SyncbenchError(
                f"condition `{self.name}` has {found.shape[1]} channels, and the model reads {self.channels}"
            )
        rows = found.expand(-1, self.channels, -1, -1) if found.shape[1] == 1 else found
        named = {self.out or self.name: rows}
        return named, named


@dataclass(frozen=True)
class Strength(Silent):
    """The guidance scale as a number that the network reads: one that was distilled from guided passes (FLUX.1-dev)."""

    out: str = "guidance"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """One number a view, (views,)."""
        rows = {self.out: torch.full((request.views,), request.guidance)}
        return rows, rows


@dataclass(frozen=True)
class Inverse(Silent):
    """Condition `depth`, normalised inverse depth (N, 1, H, W), as a latent channel in [-1, 1]: 1 nearest, -1 farthest.

    Stable Diffusion 2 with depth reads it so. The stretch is each view's own, as in every published use, or one of all
    views, which keeps equal depths equal between them.
    """

    factor: int
    """Pixels to a latent cell."""
    normalise: Literal["per_view", "shared"] = "per_view"
    out: str = "depth"
    takes: frozenset[str] = frozenset({"depth"})
    needs: frozenset[str] = frozenset({"depth"})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The same in every pass. Raises SyncbenchError for no depth, and for depth that is the same everywhere."""
        found = needed(request, "depth")
        size = tuple(side // self.factor for side in found.shape[-2:])
        small = F.interpolate(found, size=size, mode="bicubic", align_corners=False)
        over = (1, 2, 3) if self.normalise == "per_view" else (0, 1, 2, 3)
        low, high = small.amin(over, keepdim=True), small.amax(over, keepdim=True)
        flat = (found.amax((1, 2, 3)) == found.amin((1, 2, 3))) if self.normalise == "per_view" else high == low
        if bool(flat.any()):
            which = f"view {int(flat.flatten().nonzero()[0])}" if self.normalise == "per_view" else "all views"
            raise SyncbenchError(
                f"condition `depth` is the same everywhere in {which}, which cannot be stretched to [-1, 1]: show the "
                "object in every view, or set model.normalise=shared"
            )
        rows = {self.out: 2 * (small - low) / (high - low) - 1}
        return rows, rows


@dataclass(frozen=True)
class Masked(Silent):
    """Conditions `mask`, 1 where to paint, and `image`: the mask at latent size and the latent of the rest, on grey."""

    factor: int
    """Pixels to a latent cell."""
    takes: frozenset[str] = frozenset({"image", "mask"})
    needs: frozenset[str] = frozenset({"image", "mask"})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """Rows `mask` and `masked`, the same in every pass. Raises SyncbenchError for a mask of another size."""
        image, mask = needed(request, "image"), (needed(request, "mask") >= 0.5).to(request.inputs["image"])
        if mask.shape[-2:] != image.shape[-2:] or mask.shape[1] != 1:
            raise SyncbenchError(
                f"condition `mask` is {tuple(mask.shape[1:])}: one channel of the size of `image`, "
                f"{tuple(image.shape[-2:])}, is read"
            )
        rest = request.code(0.5 + (image - 0.5) * (1 - mask), False)
        size = tuple(side // self.factor for side in mask.shape[-2:])
        rows = {"mask": F.interpolate(mask, size=size), "masked": rest}
        return rows, rows


@dataclass(frozen=True)
class Thumbnail(Silent):
    """A picture that is shrunk to the latent's size (bilinear, antialiased) in [-1, 1], and not coded.

    Where guidance drops it, zeros. Absent, it is no row.
    """

    name: str
    out: str
    factor: int = 8
    """Pixels to a latent cell."""
    prepared: Callable[[Tensor], Tensor] | None = None
    """See `Picture`."""
    group: str = "image"

    @property
    def takes(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The condition."""
        return frozenset({self.name})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The pictures (views, c, h, w)."""
        found = request.inputs.get(self.name)
        if found is None:
            return {}, {}
        size = [side // self.factor for side in found.shape[-2:]]
        shown = 2 * (found if self.prepared is None else self.prepared(found)) - 1
        rows = F.interpolate(shown, size, mode="bilinear", align_corners=False, antialias=True)
        return {self.out: rows}, {self.out: torch.zeros_like(rows)}


@dataclass(frozen=True)
class Camera(Silent):
    """The 16 numbers of a camera-to-world matrix, rows first, its place at distance 1; zeros where there is none."""

    takes: frozenset[str] = frozenset({"camera"})
    out: str = "class_labels"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The same in every pass."""
        found = request.inputs.get("camera")
        rows = torch.zeros(request.views, 16) if found is None else camera_numbers(found)
        return {self.out: rows}, {self.out: rows}


def camera_numbers(to_world: Tensor) -> Tensor:
    """The 16 numbers (n, 16) a multi-view network reads of cameras (n, 4, 4) or (n, 16): rows of camera-to-world.

    The place is divided by its distance from the world's origin. MVDream's views lie on a unit orbit of the point that
    cameras look at, which in the reference world is half a unit above the origin.
    """
    found = to_world.reshape(-1, 4, 4).clone()
    found[:, :3, 3] /= found[:, :3, 3].norm(dim=1, keepdim=True).clamp_min(1e-6)
    return found.flatten(1)


def squared(images: Tensor, size: int) -> Tensor:
    """Pictures (n, c, H, W) resized until the short side fits, the middle (n, c, size, size) kept."""
    height, width = images.shape[-2:]
    scale = size / min(height, width)
    new = max(size, round(height * scale)), max(size, round(width * scale))
    if new != (height, width):
        images = torch.nn.functional.interpolate(images, new, mode="bilinear", antialias=True, align_corners=False)
    top, left = (new[0] - size) // 2, (new[1] - size) // 2
    return images[..., top : top + size, left : left + size]


def needed(request: Request, name: str) -> Tensor:
    """A condition that the model cannot do without. Raises SyncbenchError where the item has none."""
    if name not in request.inputs:
        raise SyncbenchError(f"the model needs condition `{name}`: choose a dataset that has it")
    return request.inputs[name]


def stacked(parts: Sequence[Rows]) -> Rows:
    """Rows of several texts, one after another."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def repeated(rows: Rows, views: int) -> Rows:
    """One row for every view."""
    return {name: value.expand(views, *value.shape[1:]) for name, value in rows.items()}


def _device(encoders: Mapping[str, Weights | Held]) -> torch.device:
    return next(next(iter(encoders.values())).module.parameters()).device
