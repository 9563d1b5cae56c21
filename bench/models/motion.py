"""The reference model with temporal attention between its spatial layers: clips, from words or from a first frame.

AnimateDiff (Guo et al. 2023, arXiv 2307.04725) at the reference world's size. Trained by `syncbench train motion`;
diffusers' `MotionAdapter` and `UNetMotionModel` read it, too. Frames may follow depth through the `depth` model's
ControlNet, which was trained without the temporal layers, as in diffusers' AnimateDiffControlNetPipeline.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..attention import replaced, spatial
from ..files import read_object
from ..schedule import Level
from ._denoiser import Precision
from ._extended import WEIGHTS
from ._served import quiet
from .depth import Depth
from .interface import Condition


class Motion(Depth):
    """Optional conditions: `image` (1, 3, H, W), the clip's first frame, which the sample keeps; `depth` of frames.

    Inside `together()` the views of a call are a clip's frames in order; else they are the reference's own pictures.
    """

    id = "motion"
    capabilities = frozenset({"text", "attention", "image", "depth", "joint", "time"})
    couples = True

    def __init__(
        self,
        *,
        path: str = "",
        base: str = "",
        control: str = "",
        device: str = "auto",
        dtype: Precision = "bfloat16",
        batch: int = 32,
    ) -> None:
        """`control` tries another folder of the depth ControlNet than the shipped one; the others as elsewhere."""
        super().__init__(path=path, base=base, device=device, dtype=dtype, batch=batch)
        self.places = (1, int(read_object(self.own / "config.json").get("motion_max_seq_length", 32)))
        self._following = Path(control).expanduser() if control else WEIGHTS / Depth.id

    def ready(self) -> None:
        """Load the networks."""
        super().ready()
        _ = self.clip

    @property
    def following(self) -> Path:
        """Folder of the ControlNet."""
        return self._following

    @property
    def folders(self) -> tuple[Path, ...]:
        """Weights beside the reference's: adapter and ControlNet."""
        return self.own, self.following

    @cached_property
    def clip(self) -> Any:
        """The network of whole clips: the reference's layers and the temporal ones."""
        library: Any = import_module("diffusers")
        adapter = self._own("MotionAdapter")
        with quiet():
            made = library.UNetMotionModel.from_unet2d(self.pipeline.unet, adapter)
            return made.eval().requires_grad_(False).to(device=self.device, dtype=self.precision)

    def attach(
        self, processor: Callable[[str, Any], Any], where: Callable[[str, Any], bool] | None = None
    ) -> AbstractContextManager[Any]:
        """Attention processors for the network in use; temporal layers are left alone unless `where` asks for them."""
        if not self.joint:
            return super().attach(processor, where)
        return replaced(self.clip, processor, where or spatial)

    def _rows(self, inputs: dict[str, Tensor], views: int) -> dict[str, Tensor]:
        rows = super()._rows(inputs, views)
        if "image" in inputs:
            rows["image"] = self.encode(inputs["image"][:1]).expand(views, -1, -1, -1)
        return rows

    def _predict(self, x: Tensor, level: Level, condition: Condition) -> tuple[Tensor, Tensor]:
        self._frames = len(x)
        if not (self.joint and "image" in condition.positive):
            return super()._predict(x, level, condition)
        # the given frame enters clean, and leaves as the prediction that the sampler carries on
        given = condition.positive["image"][:1]
        x0, _ = super()._predict(torch.cat([given, x[1:]]), level, condition)
        x0 = torch.cat([given, x0[1:]])
        return x0, level.eps_of(x, x0)

    def _network(self, x: Tensor, t: float, text: dict[str, Tensor]) -> Tensor:
        if not self.joint:
            return super()._network(x, t, text)
        frames = self._frames
        rows = x.to(self.precision).unflatten(0, (-1, frames)).transpose(1, 2)
        found = self.clip(rows, t, text["text"].to(self.precision), **self._residuals(x, t, text)).sample
        return found.transpose(1, 2).flatten(0, 1).to(self.dtype)
