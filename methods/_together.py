"""What methods of networks trained for several views have in common: the network does it."""

from dataclasses import dataclass
from typing import Any, ClassVar

from ..bench.types import Anchor
from .independent import Independent


@dataclass(frozen=True, kw_only=True)
class Together(Independent):
    """Views move alone, but the network's trained layers look from one to another."""

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    together: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    requires: ClassVar[tuple[str, ...]] = ("joint",)
