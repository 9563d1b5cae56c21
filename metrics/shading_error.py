"""Shading error, scale-invariant

si-MSE = min over a of mean (a S - S*)^2 over the pixels with a surface, in linear light, S the grey shading of the
artifact and S* the true one; a = 1 in the preset `plain`. In units of 1e-2; lower is better.

Grosse et al., ICCV 2009, whole image instead of windows (see `lmse` for those): the counterpart of `albedo_error`.

Traps. The error depends on how bright the scenes are. One grey is a strong baseline where the light is even. Squared
error rewards blur, and shading is smooth: read it beside `edge_alignment`. Shading images end at 1.25, so a true
shading that is brighter costs a little even to the truth.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from .views.scaled import ScaledError


@dataclass(frozen=True, kw_only=True)
class ShadingError(ScaledError):
    """Mean squared error of the predicted shading against the true one, after fitting one scale."""

    version: ClassVar[int] = 1
    channel: ClassVar[Literal["albedo", "shading"]] = "shading"
    described: ClassVar[str] = "grey shading"
