"""The nouns every part of syncbench shares: Item, Protocol, Artifact, Cost, Score, Record.

Images are float32 RGB (sRGB) in [0, 1], channels first. Latents have whatever range the model's
network works in. Nothing here imports a model, a method or a metric.
"""

from __future__ import annotations  # tensors are named here only, so that reading records loads no torch

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from .errors import SyncbenchError as SyncbenchError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from .canvas import Canvas

Family = Literal["channels", "overlap", "geometry", "prior", "frames"]
FAMILIES: tuple[Family, ...] = ("channels", "overlap", "geometry", "prior", "frames")
Door = Literal["controlled", "as_published"]
Anchor = Literal["floor", "trap", "ceiling"]
Json = dict[str, Any]

SCHEMA = 2
"""Version of the results folder's layout; a folder of another schema is refused, never guessed at."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How every method samples on one dataset. Owned by the dataset or suite, never by the method."""

    steps: int = 25
    """Denoising steps."""
    guidance: float = 7.5
    """Classifier-free guidance scale s in eps_u + s (eps_c - eps_u); 1 switches guidance off."""
    eta: float = 0.0
    """DDIM stochasticity, 0 (deterministic) to 1 (ancestral)."""
    negative: str = ""
    """Negative prompt."""


@runtime_checkable
class Surface(Protocol):
    """Something several views look at: a strip, a sphere, an atlas, a clip. It lays out canvases."""

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of one view in pixels."""
        ...

    @property
    def picture(self) -> bool:
        """Whether the surface is one image that views are pasted into, as windows are into a strip.

        False where the views themselves are the result: of a mesh, frames of a clip, channels.
        """
        ...

    def canvas(self, factor: int = 1, stride: float | None = None) -> Canvas:
        """Lay views out on the surface, with `factor` pixels to a cell (1: pixels, 8: SD latents).

        `stride` is the step between neighbouring views as a fraction of a view's width, for surfaces
        that leave it open; surfaces with fixed views ignore it.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing to make: prompts, the surface its views share, conditions, and the truth where known."""

    id: str
    family: Family
    prompts: tuple[str, ...]
    """One prompt for all views, or one per view."""
    surface: Surface
    protocol: Sampling = Sampling()
    conditions: Mapping[str, Tensor] = field(default_factory=dict[str, Any])
    """What the model may see, by name: `depth`, `image`, `camera`, ..."""
    truth: Mapping[str, Tensor] = field(default_factory=dict[str, Any])
    """What only metrics and the ceiling anchor may see: `canvas` (3, H, W), `views` (N, 3, h, w), ..."""


@dataclass(kw_only=True)
class Cost:
    """What a sample cost, counted where it happens."""

    evaluations: int = 0
    """Latents sent through the denoising network; both halves of classifier-free guidance count."""
    backward: int = 0
    """Latents whose network evaluation was differentiated."""
    encodes: int = 0
    """Images through the encoder."""
    decodes: int = 0
    """Images through the decoder, in units of one view (a canvas four views wide counts as four)."""
    seconds: float = 0.0
    """Wall time of the method after warm-up, device synchronised."""
    peak_mb: float = 0.0
    """Peak memory in MiB: allocated on the GPU, or resident set on the CPU."""


@dataclass(kw_only=True)
class Artifact:
    """What a method made."""

    views: Float[Tensor, "views 3 h w"]
    """The views in [0, 1], ordered as the surface lays them out."""
    canvas: Float[Tensor, "3 H W"] | None = None
    """The shared surface as one image in [0, 1], where the family has one."""
    extras: dict[str, Tensor] = field(default_factory=dict[str, Any])
    """Float tensors metrics may need, e.g. `disagreement` (steps,)."""
    notes: Json = field(default_factory=dict[str, Any])
    """JSON facts: `borders` (pixel columns where windows end), `views` (count), `unseen` (conditions the model takes
    no notice of), deviations."""
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True, kw_only=True)
class Score:
    """A metric's answer: a number and how much of the artifact it covers, or no number and why."""

    value: float | None
    coverage: float = 1.0
    """Fraction of the comparable pixels, pairs or crops that were scored, in [0, 1]."""
    reason: str | None = None
    """Why there is no value; None when there is one."""

    @staticmethod
    def none(reason: str) -> Score:
        """Nothing comparable: null, coverage 0, and the reason."""
        return Score(value=None, coverage=0.0, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Header:
    """The columns of `Record` that are the same for every metric of one sample."""

    key: str
    """Identity of the job (method, model, dataset, item, protocol, seed): 16 hex digits."""
    family: str
    dataset: str
    dataset_version: int
    item: str
    model: str
    revision: str
    method: str
    """Label: id, preset and overrides, e.g. `syncdiffusion@release`."""
    method_version: int
    door: str
    anchor: str | None
    params: Json
    protocol: Json
    seed: int


@dataclass(frozen=True, kw_only=True)
class Record(Header):
    """One row of results: one metric of one sample. Field order is column order."""

    metric: str
    metric_version: int
    fingerprint: str
    """Metric implementation, backbone, weights hash, range, resize, crop; unlike ones never share a column."""
    direction: str
    """`lower`, `higher` or `target:VALUE`."""
    unit: str
    value: float | None
    coverage: float
    reason: str | None
    status: Literal["ok", "error"] = "ok"

    @staticmethod
    def columns() -> list[str]:
        """Names of the columns, in order."""
        return [f.name for f in fields(Record)]


@runtime_checkable
class Metric(Protocol):
    """Scores one artifact. Class data says what the number means; a frozen dataclass holds its options."""

    version: int
    direction: str
    unit: str
    families: tuple[Family, ...]

    def fingerprint(self) -> str:
        """Everything that would make two numbers incomparable, in one short line."""
        ...

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """Score `artifact` as an answer to `item`."""
        ...


@runtime_checkable
class GroupMetric(Protocol):
    """Scores every artifact against the others of the same method, dataset and seed."""

    version: int
    direction: str
    unit: str
    families: tuple[Family, ...]

    def fingerprint(self) -> str:
        """See Metric.fingerprint."""
        ...

    def group(self, artifacts: Mapping[str, Artifact], items: Mapping[str, Item]) -> dict[str, Score]:
        """Score each artifact by item id. Both mappings have the same keys."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Yields items, always the same ones in the same order. A frozen dataclass holds its options."""

    version: int
    family: Family

    def items(self) -> list[Item]:
        """All items. Heavy content may be produced lazily by the mapping types of the item."""
        ...
