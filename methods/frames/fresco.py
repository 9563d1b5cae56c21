"""FRESCO: attention and features that keep what the source's tokens have in common, within frames and among them.

Yang, Zhou, Liu, Loy, CVPR 2024, arXiv 2403.12962; diffusers' community version read (`fresco_v2v.py`; upstream's code
is under the S-Lab licence). The source clip is noised and redrawn, all frames from one noise. In the two finest levels
of the decoder (a) frames attend to what each of them shows for the first time, so that no point is seen twice; (b) then
tokens attend to those of their track; (c) at the first step queries are mixed as alike tokens of the source are. (d) In
early steps the features that enter the decoder's blocks are optimised: alike along the tracks, and alike within a frame
as the source's are.

What is alike in the source is recorded once, at the last noise level. Motion is the item's tracks: exact in the
reference world, else estimated; upstream's is GMFlow. Upstream takes batches of eight keyframes, here all frames are
one. The optimisation takes no network evaluations; `seconds` tell what it costs. Left out: the smoothing of the
background, which needs a detector of salient objects (upstream has it off), the choice of keyframes, and frames between
them (EbSynth).
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from annotated_types import Interval
from torch import Tensor

from ...bench.limits import Fraction, Share
from ...bench.models.interface import Model
from ...bench.models.parts.attention import inside
from ...bench.models.parts.features import entering
from ...bench.sampling.inversion import source_clip
from ...bench.sampling.loop import Setting, Step
from ...bench.types import SyncbenchError
from ._edit import Edit, Editing, Initial
from ._fresco import Guided, sights


@dataclass(frozen=True, kw_only=True)
class Fresco(Edit):
    """Guided attention, and optimised features. Shares are of the steps that are taken, and round to one at least."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2403.12962"
    licence: ClassVar[str] = "S-Lab License 1.0"
    along_tracks: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("text", "attention")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "attention": {"optimised": 0.0},
        "features": {"sharing": False, "spatial": 0.0, "temporal": 0.0},
    }

    initial: Initial = "noised"
    redrawn: Fraction = 0.75
    shared_noise: bool = True
    sharing: bool = True
    """Whether frames attend to what all frames show for the first time; otherwise each attends to itself."""
    spatial: Share = 0.067
    """Share of the steps, from the first, in which queries are mixed: upstream's one of 15."""
    temporal: Share = 0.53
    """Share of the steps in which tokens attend along tracks: upstream's 8 of 15, those at times above 350."""
    optimised: Share = 0.67
    """Share of the steps in which features are optimised: upstream's 10 of 15."""
    updates: Annotated[int, Interval(ge=1, le=1_000)] = 20
    """Steps of the optimisation of a block's features."""

    @property
    def needs_source(self) -> bool:
        """Always: what is alike is the source's."""
        return True

    def prepare(self, setting: Setting) -> Editing:
        """The frames at the first level, with what is known of the source."""
        state, canvas, model = super().prepare(setting), setting.canvas, setting.model
        known = sights(setting.item.surface, canvas, model.factor)
        guided = Guided(self.sharing, self.updates, canvas.views, known)
        state = replace(state, kept=guided)
        if self.spatial or self.optimised:
            clean, level = model.encode(source_clip(setting.item)), [*setting.schedule][-1]
            guided.recording = True
            with self.hooks(state, setting):
                model.predict(level.a * clean + level.b * setting.noise(clean.shape), level, setting.condition)
            guided.recording = False
        return state

    def look(self, state: Editing, s: Step) -> Tensor:
        """The frames, after it is settled what is done in this step."""
        done, taken = s.level.index - state.first, s.level.total - state.first

        def within(share: float) -> bool:
            return share > 0 and done < max(1, round(share * taken))

        guided: Guided = state.kept
        guided.spatial, guided.temporal = within(self.spatial), within(self.temporal)
        guided.optimised = within(self.optimised)
        return super().look(state, s)

    def hooks(self, state: Editing, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which the decoder's layers and blocks are guided."""
        return guidance(state.kept, setting.model)


@contextmanager
def guidance(guided: Guided, model: Model) -> Generator[None]:
    """A context in which the model's decoder is guided. Raises SyncbenchError for a model that has none."""
    within: Callable[..., AbstractContextManager[Any]] | None = getattr(model, "within", None)
    if within is None:
        raise SyncbenchError(f"fresco optimises the features of a decoder, and model {model.id} shows none")

    def blocks(network: Any) -> AbstractContextManager[Any]:
        return entering(network, "up_blocks", guided.enter)

    with model.attach(guided.processor, inside("up_blocks")), within(blocks):
        yield
