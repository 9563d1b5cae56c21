"""Every metric as a `torchmetrics.Metric` for training loops, on any number of processes, equal to the command line."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric as Base
from torchmetrics.utilities import dim_zero_cat

from ..analysis import stats
from ..errors import SyncbenchError
from ..isolation.guard import settings
from ..types import Artifact, Item, Metric
from .match import item_names
from .read import Reading
from .scoring import ask_all, items_for, rulers_for, stored_artifact


class TrainingMetric(Base):
    """The mean of a metric over items, seeds averaged within their item first, as in a report.

    `update` takes the images of one item, `compute` returns the mean as a float64 scalar, NaN where no item has a
    value; `reasons` then says why, on this process. Several processes share what they have seen when `compute` is
    called, by states that torchmetrics gathers; an item and seed that several of them have counts once. Metrics that
    compare items with each other (`variety`) keep the pictures in 8 bits, which must be of one size.
    """

    is_differentiable = False
    full_state_update = False

    def __init__(
        self,
        metric: str | Metric,
        *,
        dataset: Any = None,
        items: Sequence[Item] | None = None,
        overrides: Sequence[str] = (),
        **how: Any,
    ) -> None:
        """`metric` is a spec or an instance; `items`, or those of a `dataset`, are what is scored, equal everywhere."""
        super().__init__(**how)
        if not items and dataset is None:
            raise SyncbenchError("a training metric needs items: give dataset= or items=")
        known = {item.id: item for item in items or ()} or items_for(None, None, dataset, overrides) or {}
        self._items: Mapping[str, Item] = known
        self._names, self._order = item_names(known.values()), sorted(known)
        [(self._ruler, self._metric)] = rulers_for([metric], next(iter(known.values())).family)
        self.reasons: dict[str, str] = {}
        self.places: list[Tensor]
        self.answers: list[Tensor]
        self.pictures: list[Tensor]
        self.add_state("places", [], dist_reduce_fx="cat")
        self.add_state("answers", [], dist_reduce_fx="cat")
        self.add_state("pictures", [], dist_reduce_fx="cat")

    @property
    def higher_is_better(self) -> bool | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether larger values are better; None for a metric with a target."""
        return {"higher": True, "lower": False}.get(self._ruler.columns["direction"])

    def update(self, images: Any, item: Item | str, seed: int = 0) -> None:
        """Score the images of an item, or keep them to be compared; see `score` for what images may be.

        Raises SyncbenchError for an item that is none of those told, and for images that do not fit it.
        """
        name = item.id if isinstance(item, Item) else item
        if name not in self._names:
            raise SyncbenchError(f"no item '{name}' among the {len(self._items)} of this metric")
        own = self._items[self._names[name]]
        artifact = stored_artifact(images, own, Reading())
        place = [self._order.index(own.id), seed]
        self.places.append(torch.tensor([place], device=self.device))
        if self._ruler.grouped:
            shown = artifact.views if artifact.canvas is None else artifact.canvas[None]
            self.pictures.append((shown[None] * 255).round().byte().to(self.device))
            return
        with settings():
            score, _ = ask_all(self._metric, self._ruler, {own.id: artifact}, {own.id: own})[own.id]
        self._note(own.id, score.reason)
        row = [np.nan if score.value is None else score.value, score.coverage]
        self.answers.append(torch.tensor([row], dtype=torch.float64, device=self.device))

    def compute(self) -> Float[Tensor, ""]:
        """The mean over items, float64; NaN where none has a value."""
        if len(self.places) == 0:
            return torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        places = dim_zero_cat(self.places).long().cpu().numpy()
        values = self._compared(places) if self._ruler.grouped else dim_zero_cat(self.answers)[:, 0].cpu().numpy()
        rows: Any = pd.DataFrame({"item": places[:, 0], "seed": places[:, 1], "value": values.astype(float)})
        means = rows.drop_duplicates(["item", "seed"]).groupby("item")["value"].mean().dropna()
        mean = stats.interval(means.to_numpy()).mean if len(means) else torch.nan
        return torch.tensor(mean, dtype=torch.float64, device=self.device)

    def reset(self) -> None:
        """Forget what was seen."""
        super().reset()
        self.reasons = {}

    def _compared(self, places: np.ndarray) -> np.ndarray:
        """The values of a metric that compares items, each seed by itself."""
        pictures = dim_zero_cat(self.pictures).cpu().float() / 255
        values = np.full(len(places), np.nan)
        for seed in np.unique(places[:, 1]):
            where: dict[str, int] = {}
            for n in np.flatnonzero(places[:, 1] == seed):
                where.setdefault(self._order[places[n, 0]], int(n))
            items = {id: self._items[id] for id in sorted(where)}
            artifacts: dict[str, Artifact] = {}
            for id, own in items.items():
                shown = pictures[where[id]]
                artifacts[id] = stored_artifact(shown[0] if own.surface.picture else shown, own, Reading())
            with settings():
                found = ask_all(self._metric, self._ruler, artifacts, items)
            for id, (score, _) in found.items():
                values[where[id]] = np.nan if score.value is None else score.value
                self._note(id, score.reason)
        return values

    def _note(self, item: str, reason: str | None) -> None:
        if reason is not None:
            self.reasons[item] = reason
