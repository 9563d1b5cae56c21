"""Training of the bundled models, by one resumable command each: `syncbench train NAME`.

A run continues from the folder of an earlier start, whose files are read without pickle (see `saved`).

All of them start from the base (the reference model) except codec, base, judge and raft. Shipped weights, in half
precision:

| name                | network                                     | parameters | MB   |
|---------------------|---------------------------------------------|-----------:|-----:|
| `codec`, `base`     | AutoencoderTiny, UNet, CLIP text encoder    |     5.70 M | 11.5 |
| `judge`             | CLIP in open_clip's format                  |     1.74 M |  3.5 |
| `depth`             | ControlNet of the base                      |     1.75 M |  3.5 |
| `views`             | the base's UNet with a camera MLP           |     4.04 M |  8.1 |
| `grid`              | the base's UNet                             |     3.97 M |  8.0 |
| `motion`            | MotionAdapter, for words and first frames   |     1.52 M |  3.0 |
| `channels_joint`    | a UNet of half the width, from random start |     1.70 M |  3.4 |
| `channels_prompted` | as channels_joint                           |     1.68 M |  3.4 |
| `channels_to_rgb`   | as channels_joint, attention in the middle  |     1.38 M |  2.8 |
| `raft`              | torchvision's small RAFT, for optical flow  |     0.99 M |  2.0 |
| all                 | at most 50 MB in git                        |            | 49.2 |
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval

from ..errors import SyncbenchError
from ..limits import PROCESSES, Fraction, Share
from .resumed import of_one_run, options

TRAINERS = {
    **{name: f"{name}:main" for name in ("judge", "codec", "base", "depth", "views", "motion", "grid", "raft")},
    "channels_joint": "channels:JOINT.main",
    "channels_prompted": "channels:PROMPTED.main",
    "channels_to_rgb": "channels:TO_RGB.main",
}
"""The trainer of each model: a function ``main(out, steps, minutes, resume, seed, device, ...)``, as `module:name`."""

Amount = Annotated[int, Interval(ge=1, le=10_000_000)]
RANGES: dict[str, Any] = {
    "steps": Amount,
    "minutes": Annotated[float, Interval(gt=0, le=1e6)],
    "seed": Annotated[int, Interval(ge=0, le=2**31 - 1)],
    "processes": Annotated[int, Interval(ge=1, le=PROCESSES)],
    "rate": Annotated[float, Interval(gt=0, le=1)],
    "tail": Fraction,
    **dict.fromkeys(
        ("size", "number", "flat_number", "scenes", "save_every", "crop", "width", "channels", "updates", "sets"),
        Amount,
    ),
    "frames": Annotated[int, Interval(ge=2, le=120)],
    **dict.fromkeys(("solid", "views", "measured"), Annotated[int, Interval(ge=0, le=10_000_000)]),
    **dict.fromkeys(("share", "first", "drop", "camera_drop"), Share),
    "lean": Annotated[float, Interval(gt=0, le=10)],
}
"""Ranges of the arguments of all trainers, checked before anything is rendered."""


def train(name: str, out: Path, assignments: Sequence[str] = (), *, card: bool = True, **arguments: Any) -> None:
    """Train model `name` in folder `out`, then measure it and, if `card`, write its card.

    `assignments` are further arguments of its `main` as text, `name=value`. Raises SyncbenchError for arguments that
    `main` does not have.
    """
    from ..catalogue.fields import convert, field_types
    from ..catalogue.registry import suggest

    if name not in TRAINERS:
        raise SyncbenchError(f"cannot train '{name}'{suggest(name, TRAINERS, 'there is')}")
    module, _, place = TRAINERS[name].partition(":")
    main: Callable[..., Any] = attrgetter(place)(import_module(f"{__name__}.{module}"))
    types = field_types(main)
    for text in assignments:
        key, equals, value = text.partition("=")
        if key not in types:
            raise SyncbenchError(f"{name} takes no '{key}'{suggest(key, types, 'it takes')}")
        if not equals:
            raise SyncbenchError(f"--set {text}: write FIELD=VALUE")
        arguments[key] = convert(value, types[key], f"{name}.{key}")
    for key, value in arguments.items():
        if key in RANGES and value is not None:
            convert(value, RANGES[key], f"{name}.{key}")
    of_one_run(out, {"trainer": name, **options(main, arguments)}, arguments.get("resume", True))
    if "measured" in types:  # these measure themselves
        main(out=out, **arguments, **({} if card else {"measured": 0}))
        return
    main(out=out, **arguments)
    if card:
        from .base import SHIPPED
        from .release import finish

        finish(name, out, arguments.get("codec") or SHIPPED / "vae")
