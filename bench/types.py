"""The types that every part of syncbench shares: Item, Sampling, Artifact, Cost, Score, Record, Metric, Dataset.

Images are float32 RGB (sRGB) in [0, 1], channels first. Latents have whatever range the model's
network works in. Nothing here imports a model, a method or a metric.
"""

from __future__ import annotations  # tensors are named here only, so that reading records loads no torch

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, get_args, runtime_checkable

from annotated_types import Interval, MaxLen

from .errors import SyncbenchError as SyncbenchError
from .limits import TEXT, Count, Share

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from .canvas import Canvas

Family = Literal["channels", "overlap", "geometry", "prior", "frames"]
FAMILIES: dict[Family, str] = {
    "channels": "albedo, normal and shading of one image",
    "overlap": "windows of one wide image",
    "geometry": "views of a given mesh",
    "prior": "views of an imagined object",
    "frames": "frames of a video",
}
"""Every family, and what must agree in it."""
Door = Literal["controlled", "as_published", "imported"]
"""How a sample was made: on the shared loop, by a pipeline of its own, or by another program (`outputs`)."""
Anchor = Literal["floor", "trap", "ceiling"]
Role = Literal["consistency", "quality", "variety", "text", "cost"]
ROLES: tuple[Role, ...] = get_args(Role)
Json = dict[str, Any]

SCHEMA = 3
"""Version of the results folder's layout; a folder of another schema is refused, never guessed at."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The protocol: how every method samples on one dataset. The dataset or suite sets it, never the method.

    Planning checks the ranges, which are part of the types.
    """

    steps: Count = 25
    """Denoising steps."""
    guidance: Annotated[float, Interval(ge=0, le=1_000)] = 7.5
    """Classifier-free guidance scale s in eps_u + s (eps_c - eps_u); 1 switches guidance off."""
    eta: Share = 0.0
    """DDIM stochasticity, 0 (deterministic) to 1 (ancestral)."""
    negative: Annotated[str, MaxLen(TEXT)] = ""
    """Negative prompt."""


@runtime_checkable
class Surface(Protocol):
    """Something that several views look at: a strip, a sphere, an atlas, a clip. `canvas` lays the views out on it.

    A surface may have an attribute `views`, the number of views that it lays out; without it the views of its canvas
    are counted. A surface may have `check(factor, stride) -> int`, which returns the number of views and raises
    SyncbenchError where `canvas` with these arguments would, without the work of `canvas`: so a surface that does not
    fit a model is refused before the first job.
    """

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
        """The canvas of the views, with `factor` pixels to a side of a cell (1: pixels, 8: SD latents).

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
    source: str = ""
    """Prompt that describes `conditions["video"]` or `conditions["image"]`, the source of an edit; empty if unknown."""
    target: str = ""
    """Words of the prompt that name what an edit changes; empty if unknown."""
    surface: Surface
    protocol: Sampling = Sampling()
    conditions: Mapping[str, Tensor] = field(default_factory=dict[str, Any])
    """Inputs that the model may read, by name: `depth`, `image`, `camera`, ..."""
    truth: Mapping[str, Tensor] = field(default_factory=dict[str, Any])
    """Answers that only metrics and the ceiling anchor may read: `canvas` (3, H, W), `views` (N, 3, h, w), ..."""
    world: bool = False
    """Whether the item is of the reference world: its prompt is a caption of the world's grammar, which is all that the
    bundled networks know. The bundled judge scores no other items."""
    content: str = ""
    """Identity of the tensors that are made on first access, e.g. the hash of a file; see `catalogue.content`."""


@dataclass(kw_only=True)
class Cost:
    """What one sample cost, counted where it happens."""

    evaluations: int = 0
    """Latents of views sent through the denoising network; both halves of classifier-free guidance count. A picture of
    n x n views counts as n x n."""
    backward: int = 0
    """Latents whose network evaluation was differentiated."""
    encodes: int = 0
    """Images sent through the encoder."""
    decodes: int = 0
    """Images sent through the decoder, in units of one view (a canvas four views wide counts as four)."""
    seconds: float = 0.0
    """Wall time of the method after warm-up, device synchronised. While a method runs: seconds that were spent for it
    earlier, on results that it found kept, less those that it spent on measurements."""
    peak_mb: float = 0.0
    """Peak memory in MiB: allocated on the GPU, or resident set on the CPU."""


@dataclass(kw_only=True)
class Artifact:
    """One sample of a method: the views it made, and what is known about them."""

    views: Float[Tensor, "views 3 h w"]
    """The views in [0, 1], ordered as the surface lays them out."""
    canvas: Float[Tensor, "3 H W"] | None = None
    """The shared surface as one image in [0, 1], where the family has one."""
    extras: dict[str, Tensor] = field(default_factory=dict[str, Any])
    """Float tensors metrics may need, e.g. `disagreement` (steps,)."""
    notes: Json = field(default_factory=dict[str, Any])
    """JSON facts: `borders` (pixel columns where windows end), `views` (their number), `unseen` (conditions that the
    model does not read), `unread` (largest fraction of a prompt that the text encoder cuts off), deviations."""
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
        """The score of an artifact with nothing comparable: no value, coverage 0, and the `reason`."""
        return Score(value=None, coverage=0.0, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Header:
    """The columns of `Record` that are equal for every metric of one sample."""

    key: str
    """Identity of the job (method, model, dataset, item, protocol, seed): 16 hex digits."""
    family: str
    dataset: str
    dataset_version: int
    item: str
    content: str
    """Hash of the item's prompts, surface, mesh, clip and picture: 12 hex digits; see `content.content_of`."""
    model: str
    revision: str
    method: str
    """Label of the method: id, preset and overrides, e.g. `syncdiffusion@release`."""
    method_version: int
    door: str
    anchor: str | None
    params: Json
    protocol: Json
    seed: int
    machine: str
    """Device on which the sample was made, and how many of it, e.g. `2 CPU cores (AMD EPYC)`."""


@dataclass(frozen=True, kw_only=True)
class Record(Header):
    """One row of results: one metric of one sample. Field order is column order."""

    metric: str
    metric_version: int
    fingerprint: str
    """Metric implementation, backbone, weights hash, range, resize, crop; numbers of unlike ones never share a column.

    It ends with `machine` where the number depends on the machine as much as on the method (`Metric.machine`).
    """
    role: Role
    """What the metric is for: `consistency`, `quality`, `variety`, `text` or `cost`."""
    primary: int | None
    """Place among the metrics of its role by which the family is judged first, from 1; null for the others."""
    direction: str
    """`lower`, `higher` or `target:VALUE`."""
    unit: str
    value: float | None
    coverage: float
    reason: str | None
    status: Literal["ok", "error"] = "ok"

    @staticmethod
    def columns() -> list[str]:
        """The names of the columns, in order."""
        return [f.name for f in fields(Record)]


@runtime_checkable
class Metric(Protocol):
    """Scores one artifact. Class data says what the number means; a frozen dataclass holds its options.

    Three more attributes are optional class data:

    `primary: ClassVar[dict[str, int]]` names the families that are judged by this metric first, with the metric's place
    among those of its role there, from 1 (equal places are ordered by name). Primary metrics of the role `consistency`
    order a leaderboard and are compared with corrected p-values. A brief report has them and, of every other role, the
    metric in the first place. A preset asks another question: it is primary only under a key of its own,
    `family@preset`.

    `estimates: ClassVar[str]` names, in a metric that estimates what another one knows exactly (matches for cameras,
    optical flow for true flow), that exact metric. Report cards then say how well it ranks by it; see
    `trust.calibration`. It may be a property, where a field decides whether the metric is an estimate.

    `machine: ClassVar[bool]` is true where the number depends on the machine as much as on the method, as seconds do.
    The fingerprint then ends with the machine, so that numbers of unlike machines never share a column.
    """

    version: int
    role: Role
    """What the metric is for: `consistency`, `quality`, `variety`, `text` or `cost`."""
    direction: str
    unit: str
    families: tuple[Family, ...]

    def fingerprint(self) -> str:
        """Everything that would make two numbers incomparable, in one short line."""
        ...

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The score of `artifact`, which a method made for `item`."""
        ...


@runtime_checkable
class GroupMetric(Protocol):
    """Scores every artifact against the others of its method, dataset and seed. For class data see `Metric`.

    A metric with `across: ClassVar[str] = "seeds"` compares the samples of one item instead: `group` is then called for
    each item with the artifacts of all seeds, whose names are those of the seeds.
    """

    version: int
    role: Role
    direction: str
    unit: str
    families: tuple[Family, ...]

    def fingerprint(self) -> str:
        """Everything that would make two numbers incomparable, in one short line."""
        ...

    def group(self, artifacts: Mapping[str, Artifact], items: Mapping[str, Item]) -> dict[str, Score]:
        """The score of each artifact, by item id (or seed). Both mappings have the same keys."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Makes items, always the same ones in the same order. A frozen dataclass holds its options."""

    version: int
    family: Family

    def items(self) -> list[Item]:
        """All items. Tensors that take long may be made on first access, by mappings such as `surfaces.lazy.Lazy`."""
        ...
