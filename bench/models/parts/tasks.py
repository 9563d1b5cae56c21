"""The conditioner that tells GeoWizard's network which channel it is asked for, and what the picture shows."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .conditioners import Request, Rows, Silent, asked_channels

TASKS = {"depth": (0.0, 1.0), "normal": (1.0, 0.0)}
KINDS = {"indoor": (1.0, 0.0, 0.0), "outdoor": (0.0, 1.0, 0.0), "object": (0.0, 0.0, 1.0)}


@dataclass(frozen=True)
class Asked(Silent):
    """Sines and cosines of the channel that a prompt names, and of the kind of the picture."""

    kind: tuple[float, ...]
    """One of the values of KINDS."""
    offers: frozenset[str] = frozenset({"channels"})

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """Row `class_labels` (views, 10), given and dropped alike; prompts that name no channel take them in order."""
        asked = asked_channels(request.prompts, list(TASKS))
        tasks = torch.tensor([TASKS[name] for name in asked])
        rows = {"class_labels": torch.cat([waves(tasks), waves(torch.tensor([self.kind] * len(asked)))], 1)}
        return rows, rows


def waves(numbers: Float[Tensor, "n k"]) -> Float[Tensor, "n two_k"]:
    """The sines of the numbers, then their cosines."""
    return torch.cat([numbers.sin(), numbers.cos()], 1)
