"""The reference world: a seeded generator of captioned scenes in a closed grammar, with known truth.

Flat scenes are objects (one object, 128 x 128) and layered landscapes (any width, stationary along x), about 300 of
128 x 128 a second on one core. Stages are objects in three dimensions, seen by any cameras.
"""

from .grammar import CLASSES, COLOURS, GROUNDS, LAYERS, PATTERNS, SCENES, SHAPES, WORDS, Slots, alternatives, parse
from .panoramas import PANORAMA_CAPTIONS
from .render import batch, render, to_bytes
from .scene import Scene, ScenePart, landscape, object_scene, sample_scene

__all__ = [
    "CLASSES",
    "COLOURS",
    "GROUNDS",
    "LAYERS",
    "PANORAMA_CAPTIONS",
    "PATTERNS",
    "SCENES",
    "SHAPES",
    "WORDS",
    "Scene",
    "ScenePart",
    "Slots",
    "alternatives",
    "batch",
    "landscape",
    "object_scene",
    "parse",
    "render",
    "sample_scene",
    "to_bytes",
]
