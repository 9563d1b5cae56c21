"""The world: a seeded generator of captioned scenes in a closed grammar, at any width.

Object scenes (one object, 128 x 128) and layered landscapes (any width, stationary along x). About 300 scenes
of 128 x 128 a second on one core.
"""

from .grammar import CLASSES, COLOURS, GROUNDS, LAYERS, PATTERNS, SCENES, SHAPES, WORDS, Slots, alternatives, parse
from .panoramas import PANORAMA_CAPTIONS
from .render import batch, render, to_bytes
from .scene import Part, Scene, landscape, object_scene, sample_scene

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
    "Part",
    "Scene",
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
