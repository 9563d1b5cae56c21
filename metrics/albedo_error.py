"""Albedo error, scale-invariant

si-MSE = min over a of mean (a A - A*)^2 over the pixels with a surface and the colour channels, in linear light, A the
albedo of the artifact and A* the true one; a = 1 in the preset `plain`. In units of 1e-2; lower is better.

Grosse et al., Ground truth dataset and baseline evaluations for intrinsic image algorithms, ICCV 2009, whole image
instead of windows: one scale for the picture and all three colours, so that a wrong colour balance counts. A method
that knows albedo only up to a factor is not punished for it, except by `plain`.

Traps. The error depends on how bright the scenes are. The picture itself, taken for its albedo, scores well (that is
the baseline to beat), and so does one flat colour, whose error is the variance of the true albedo. Squared error
rewards blur: read it beside `sharpness`. Published numbers differ in windows, masks and in summing over channels.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from .views.scaled import ScaledError


@dataclass(frozen=True, kw_only=True)
class AlbedoError(ScaledError):
    """Mean squared error of the predicted albedo against the true one, after fitting one scale."""

    version: ClassVar[int] = 1
    primary: ClassVar[dict[str, int]] = {"channels": 1}
    channel: ClassVar[Literal["albedo", "shading"]] = "albedo"
    described: ClassVar[str] = "albedo"
