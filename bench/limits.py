"""Largest sizes that a plan may ask for. More is a typing error, which would hang or fill the memory, not fail.

Fields of components declare their ranges with these types, and `catalogue.fields.build` checks them. Surfaces, whose
size is a product of fields, call `check_size`.
"""

from typing import Annotated

from annotated_types import Interval

from .errors import SyncbenchError

JOBS = 500_000
"""Largest number of jobs of a sweep: method x item x seed, over all parts and models."""
PARTS = 100
"""Largest number of parts of a suite."""
ITEMS = 100_000
"""Largest number of rows of a user's file."""
SEED = 2**63 - 1
"""Largest seed: records keep seeds as 64-bit integers."""
PIXELS = 2**26
"""Largest number of pixels of all views of an item together, or of its picture: 67 million."""
NAME = 200
"""Largest number of characters of an id or of a folder's name."""
TEXT = 10_000
"""Largest number of characters of a prompt."""
PROCESSES = 256
"""Largest number of worker processes (`--jobs`)."""

VIEWS = 1_000
"""Largest number of cameras or frames of an item."""

Count = Annotated[int, Interval(ge=1, le=10_000)]
"""A number of items of a generated data set, or of denoising steps."""
Length = Annotated[int, Interval(ge=1, le=65_536)]
"""A height or width in pixels."""
Views = Annotated[int, Interval(ge=1, le=VIEWS)]
"""A number of cameras or frames of an item."""
Side = Annotated[int, Interval(ge=1, le=4_096)]
"""A height or width in pixels of a Gaussian field, whose covariance has as many rows and columns."""
Density = Annotated[float, Interval(gt=0, le=8)]
"""A number of texels per pixel of a view."""
Share = Annotated[float, Interval(ge=0, le=1)]
"""A fraction from 0 to 1, both included."""
Fraction = Annotated[float, Interval(gt=0, le=1)]
"""A fraction above 0, e.g. the step between neighbouring views."""
Scale = Annotated[float, Interval(ge=0, le=1_000)]
"""A weight, length or strength that makes no sense below 0."""
Positive = Annotated[float, Interval(gt=0, le=1_000)]
"""A scale by which something is divided."""


def check_size(what: str, count: int, height: int, width: int) -> None:
    """Raises SyncbenchError if `count` pictures of `height` x `width` pixels (or cells) have more than PIXELS together.

    The message begins with `what`, e.g. "a strip".
    """
    if count * height * width > PIXELS:
        times = f"{count:,} x " if count > 1 else ""
        raise SyncbenchError(
            f"{what} of {times}{height:,} x {width:,} px is larger than the {PIXELS:,} pixels that an item may have: "
            "lower its height, width or number of views"
        )


def check_factor(what: str, height: int, width: int, factor: int) -> None:
    """Raises SyncbenchError for a size that is no multiple of `factor`, the pixels on a side of a model's latent cell.

    The message begins with `what`, e.g. "frames".
    """
    if height % factor or width % factor:
        raise SyncbenchError(f"{what} of {height} x {width} px are no multiple of the model's factor {factor}")
