"""The most that a plan may ask for. More is a slip of the keyboard: it would hang, or fill the memory, and not fail.

Fields of components declare their ranges with these types, which `options.build` checks; surfaces, whose size is a
product of fields, ask `check_size`.
"""

from typing import Annotated

from annotated_types import Interval

from .errors import SyncbenchError

JOBS = 500_000
"""Of a sweep: method x item x seed, over all parts and models."""
PARTS = 100
"""Of a suite."""
ITEMS = 100_000
"""Rows of a user's file."""
SEED = 2**63 - 1
"""The largest seed: records keep seeds as 64-bit integers."""
PIXELS = 2**26
"""Of all views of an item together, or of its picture: 67 million."""
NAME = 200
"""Characters of an id or of a folder's name."""
TEXT = 10_000
"""Characters of a prompt."""
PROCESSES = 256
"""Of `--jobs`."""

Count = Annotated[int, Interval(ge=1, le=10_000)]
"""Items of a generated data set, or steps."""
Length = Annotated[int, Interval(ge=1, le=65_536)]
"""A height or width in pixels."""
Views = Annotated[int, Interval(ge=1, le=1_000)]
"""Cameras or frames of an item."""
Side = Annotated[int, Interval(ge=1, le=4_096)]
"""Pixels of a Gaussian field, whose covariance is a matrix with as many rows and columns."""
Density = Annotated[float, Interval(gt=0, le=8)]
"""Texels per pixel."""
Share = Annotated[float, Interval(ge=0, le=1)]
"""A fraction, ends included."""
Fraction = Annotated[float, Interval(gt=0, le=1)]
"""A fraction above 0, e.g. the step between neighbouring views."""
Scale = Annotated[float, Interval(ge=0, le=1_000)]
"""A weight, length or strength that makes no sense below 0."""
Positive = Annotated[float, Interval(gt=0, le=1_000)]
"""A scale by which something is divided."""


def check_size(what: str, count: int, height: int, width: int) -> None:
    """Refuse `count` pictures of `height` x `width` pixels (or cells) that together have more than PIXELS.

    Raises SyncbenchError that begins with `what`, e.g. "a strip".
    """
    if count * height * width > PIXELS:
        times = f"{count:,} x " if count > 1 else ""
        raise SyncbenchError(
            f"{what} of {times}{height:,} x {width:,} px is larger than the {PIXELS:,} pixels that an item may have: "
            "lower its height, width or number of views"
        )


def check_factor(what: str, height: int, width: int, factor: int) -> None:
    """Refuse sizes that are no multiple of the `factor` pixels to a latent cell of a model.

    Raises SyncbenchError that begins with `what`, e.g. "frames".
    """
    if height % factor or width % factor:
        raise SyncbenchError(f"{what} of {height} x {width} px are no multiple of the model's factor {factor}")
