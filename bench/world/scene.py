"""A scene: a caption, and every continuous parameter that a renderer needs, drawn from a seed."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from .grammar import COLOURS, GROUNDS, LAYERS, PATTERNS, SHAPES, Kind, Slots, parse

RGB = tuple[float, float, float]

# hue in degrees, saturation and value ranges: wide enough that two scenes of one caption differ, narrow
# enough that no two names meet even after the light has tinted them
_RANGES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-12, 3), (0.72, 0.90), (0.66, 0.88)),
    "orange": ((23, 33), (0.75, 0.92), (0.88, 0.98)),
    "yellow": ((49, 58), (0.62, 0.85), (0.88, 0.98)),
    "green": ((98, 142), (0.48, 0.75), (0.45, 0.72)),
    "blue": ((204, 228), (0.55, 0.82), (0.62, 0.92)),
    "purple": ((268, 292), (0.45, 0.68), (0.48, 0.74)),
    "white": ((0, 360), (0.00, 0.05), (0.93, 1.00)),
    "grey": ((0, 360), (0.00, 0.08), (0.40, 0.56)),
}


@dataclass(frozen=True)
class ScenePart:
    """One named thing: its role, its two words and its exact colour (sRGB in [0, 1])."""

    role: str
    colour: str
    word: str
    rgb: RGB


@dataclass(frozen=True)
class Scene:
    """A caption with everything needed to draw it. Lengths are in units of 1/128 of the image height.

    Colours, light, glow and haze are constant over the whole width of a panorama and differ between scenes of one
    caption.
    """

    caption: str
    kind: Kind
    seed: int
    parts: tuple[ScenePart, ...]
    """The things of the scene from front to back, the sky last."""
    cloudy: bool
    light: RGB
    """Tint of the light, by which every colour is multiplied."""
    glow: float
    """How far the sky turns pale at the horizon, in [0, 1]."""
    haze: float
    """Share of the horizon's colour in that of the farthest layer, in [0, 1]."""
    horizon: float
    """Distance from the top to the horizon."""
    centre: tuple[float, float]
    """Centre (x, y) of the object, from the top left."""
    size: float
    """Half the object's height."""
    tilt: float
    """Angle of the pattern in radians."""

    def part(self, role: str) -> ScenePart | None:
        """The first part with that role; None if there is none."""
        return next((part for part in self.parts if part.role == role), None)


def _build(slots: Slots, seed: int) -> Scene:
    rng = np.random.default_rng([seed, 7])
    parts = []
    for role, colour, word in slots.parts:
        hue, saturation, value = (rng.uniform(*span) for span in _RANGES[colour])
        rgb = colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value)
        parts.append(ScenePart(role, colour, word, rgb))
    warm, bright = rng.uniform(-1, 1), rng.uniform(0.93, 1.0)
    light = (bright * (1 + 0.05 * warm), bright, bright * (1 - 0.07 * warm))
    landscape = slots.kind == "landscape"
    size = rng.uniform(33, 39)
    horizon = rng.uniform(80, 94) if landscape else rng.uniform(62, 78)
    return Scene(
        caption=slots.caption,
        kind=slots.kind,
        seed=int(seed),
        parts=tuple(parts),
        cloudy=slots.cloudy,
        light=light,
        glow=rng.uniform(0.10, 0.50),
        haze=rng.uniform(0.0, 0.18),
        horizon=horizon,
        centre=(rng.uniform(48, 80), rng.uniform(104, 113) - size),
        size=size,
        tilt=rng.uniform(-0.5, 0.5),
    )


def _typed(caption: str, seed: int, kind: Kind) -> Scene:
    slots = parse(caption)
    if slots.kind != kind:
        raise ValueError(f"caption {caption!r} is of kind {slots.kind!r}, expected {kind!r}")
    return _build(slots, seed)


def landscape(caption: str, seed: int) -> Scene:
    """A landscape of that caption, the rest drawn from `seed`. Raises ValueError for any other caption."""
    return _typed(caption, seed, "landscape")


def object_scene(caption: str, seed: int) -> Scene:
    """An object scene of that caption, the rest drawn from `seed`. Raises ValueError for any other caption."""
    return _typed(caption, seed, "object")


def sample_slots(rng: np.random.Generator, kind: Kind | None = None) -> Slots:
    """The slots of a random caption; things that touch in the picture have different colours.

    `kind` None draws objects and landscapes with equal chance.
    """
    if kind is None:
        kind = "landscape" if rng.random() < 0.5 else "object"

    def pick(words: tuple[str, ...], *taken: str) -> str:
        words = tuple(word for word in words if word not in taken)
        return words[int(rng.integers(len(words)))]

    ground, sky = pick(COLOURS), ""
    parts: list[tuple[str, str, str]] = []
    if kind == "landscape":
        parts.append(("ground", ground, pick(GROUNDS)))
        colour, word = pick(COLOURS, ground), pick(LAYERS)
        parts.append(("layer", colour, word))
        if rng.random() < 0.5:
            colour, word = pick(COLOURS, ground, colour), pick(LAYERS, word)
            parts.append(("layer", colour, word))
        sky = pick(COLOURS, colour)
    else:
        sky = pick(COLOURS, ground)
        colour = pick(COLOURS, ground, sky)
        parts.append(("object", colour, pick(SHAPES)))
        if rng.random() < 0.6:
            parts.append(("pattern", pick(COLOURS, colour, ground, sky), pick(PATTERNS)))
        parts.append(("ground", ground, pick(GROUNDS)))
    parts.append(("sky", sky, "sky"))
    return Slots(kind, tuple(parts), bool(rng.random() < 0.3))


def sample_scene(rng: np.random.Generator, kind: Kind | None = None) -> Scene:
    """A random scene; `kind` None draws objects and landscapes with equal chance."""
    return _build(sample_slots(rng, kind), int(rng.integers(2**31)))
