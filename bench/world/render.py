"""Rendering of flat scenes, back to front: sky, clouds, layers, ground, object."""

from __future__ import annotations

import numpy as np

from .fields import bumps, spline_noise
from .grammar import Kind
from .layers import SOFT, layer
from .objects import object_fields, pattern
from .scene import Scene, ScenePart, sample_scene


def _over(image: np.ndarray, alpha: np.ndarray, colour: np.ndarray) -> None:
    """Blend `colour` over the image, in place, with opacity `alpha` (h, w)."""
    image += alpha[..., None] * (colour - image)


def lit(rgb: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """The colour (3,) under a relative shade (h, w): times 1 + shade, and whitened a little where it is bright."""
    shade = shade[..., None]
    return rgb * (1 + np.minimum(shade, 0.0) + 0.5 * np.maximum(shade, 0)) + 0.45 * np.maximum(shade, 0)


def _sky(scene: Scene, x: np.ndarray, y: np.ndarray, rgb: np.ndarray, pale: np.ndarray) -> np.ndarray:
    t = np.clip(y / scene.horizon, 0, 1)[:, None] ** 1.6
    column = (rgb * (0.90 + 0.10 * t) + t * (pale - rgb)).astype(np.float32)
    image = np.broadcast_to(column[:, None], (len(y), len(x), 3)).copy()
    if scene.cloudy:
        puff = spline_noise(scene.seed, 11, x / 30, y / 11) + 0.5 * spline_noise(scene.seed, 12, x / 13, y / 6)
        fade = np.clip((scene.horizon - 8 - y) / 25, 0, 1)[:, None]
        # clouds are paler than any sky but a white one, which gets grey clouds
        white = rgb.min() > 0.8
        cloud = np.array([0.70, 0.71, 0.74] if white else [0.97, 0.96, 0.95], np.float32)
        _over(image, 0.75 * np.clip(puff * 0.9 - 0.1, 0, 1) * fade, cloud)
    return image


def _crest(scene: Scene, word: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rise of the ground's far edge over the horizon, and offset from the highest crest there, each (w,)."""
    if word == "meadow":
        return 1.5 + 1.7 * spline_noise(scene.seed, 24, x / 9, np.zeros(1))[0], np.zeros(len(x))
    if word == "desert":
        dx, a, b, _ = bumps(scene.seed, 25, x, 58, 2)
        rise = (4.5 + 4 * b) * (1 - np.abs(dx) / np.where(dx < 0, 48 + 10 * a, 22 + 6 * a))
        best = rise.argmax(0)[None]
        return np.take_along_axis(rise, best, 0)[0], np.take_along_axis(dx, best, 0)[0]
    return np.zeros(len(x)), np.zeros(len(x))


def _ground(scene: Scene, word: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coverage, shade and share of mirrored sky, each (h, w), of the ground in the rows `y` near and under the horizon.

    The three grounds differ in their far edge (level, tufted, crested) as well as in texture, so that they can be
    distinguished at any contrast.
    """
    unit = float(x[1] - x[0])
    rise, dx = _crest(scene, word, x)
    depth = y[:, None] - (scene.horizon - rise)[None]
    cover = np.clip(depth / max(SOFT, unit) + 0.5, 0, 1)
    down = np.maximum(y - scene.horizon, 0)
    near = np.log1p(down / 9) * 6  # perspective: far rows are seen squeezed
    fade = np.clip(down / 6, 0, 1)[:, None]
    mirror = np.zeros_like(cover)
    if word == "sea":
        wave = spline_noise(scene.seed, 21, x / 17, near * 1.25)
        shade = -0.05 * np.clip(-wave, 0, 1) * fade - 0.06 * fade
        far = np.exp(-down / 7)[:, None]
        mirror = 0.36 * np.clip(wave * 0.6 - 0.1, 0, 1) * fade + 0.45 * far
    elif word == "meadow":
        tufts = spline_noise(scene.seed, 22, x / 8, near)
        shade = (0.12 * np.tanh(1.5 * tufts) - 0.02) * fade + 0.10 * np.exp(-np.maximum(depth, 0) / 4)
    else:
        bend = spline_noise(scene.seed, 23, x / 34, near * 0.25)
        shade = 0.08 * np.sin(near[:, None] * 1.9 + 2.2 * bend) * fade + 0.02
        below = np.maximum(depth, 0)
        shade = shade - 0.13 * np.tanh((dx[None] - 0.5 * below) / 2.0) * np.exp(-below / 10)
    return cover.astype(np.float32), shade.astype(np.float32), mirror.astype(np.float32)


def render(scene: Scene, width: int = 128, height: int = 128, left: float = 0.0) -> np.ndarray:
    """The picture of a scene, float32 (height, width, 3), sRGB in [0, 1]; equal arguments give equal bytes.

    The scene's height fills that of the picture, and a wider picture shows more of it. `left` (pixels) moves the
    picture along: `render(s, 128, left=64)` shows columns 64 to 191 of `render(s, 256)`.
    """
    unit = 128 / height
    x = (np.arange(width, dtype=np.float64) + 0.5 + left) * unit
    y = (np.arange(height, dtype=np.float64) + 0.5) * unit
    light = np.array(scene.light, np.float32)
    rgb = {part: np.array(part.rgb, np.float32) * light for part in scene.parts}
    sky = scene.parts[-1]
    pale = rgb[sky] + scene.glow * (np.array([0.98, 0.95, 0.90], np.float32) * light - rgb[sky])
    image = _sky(scene, x, y, rgb[sky], pale)

    layers = [part for part in scene.parts if part.role == "layer"]
    for i in reversed(range(len(layers))):
        part = layers[i]
        both = len(layers) == 2
        base = scene.horizon - (27 if i == 1 else 4 if both else 10)
        scale = 0.75 if both and i == 0 else 1.0  # the far layer must show over the near one
        coverage, shade = layer(part.word, scene.seed, 40 + 10 * i, x, y, base, scale)
        colour = rgb[part]
        if i == len(layers) - 1:
            colour = colour + scene.haze * (pale - colour)
        _over(image, coverage, lit(colour, shade))

    ground = scene.part("ground")
    assert ground is not None
    top = int(np.searchsorted(y, scene.horizon - 14))
    cover, shade, mirror = _ground(scene, ground.word, x, y[top:])
    colour = lit(rgb[ground], shade)
    _over(colour, mirror, np.minimum(pale * 0.5 + 0.5, 1))
    _over(image[top:], cover, colour)
    if scene.kind == "object":
        _object(scene, image, x, y, unit, rgb)
    return np.clip(image, 0, 1, out=image)


def _object(
    scene: Scene, image: np.ndarray, x: np.ndarray, y: np.ndarray, unit: float, rgb: dict[ScenePart, np.ndarray]
) -> None:
    part, second = scene.part("object"), scene.part("pattern")
    assert part is not None
    px = ((x - scene.centre[0]) / scene.size)[None].astype(np.float32)
    py = ((y - scene.centre[1]) / scene.size)[:, None].astype(np.float32)
    shadow = np.exp(-((((px - 0.15) / 1.0) ** 2 + ((py - 1.0) / 0.16) ** 2) ** 2) * 0.7)
    image *= (1 - 0.42 * shadow)[..., None]
    distance, u, v, shade = object_fields(part.word, *np.broadcast_arrays(px, py))
    soft = max(SOFT, unit) / scene.size
    colour = lit(rgb[part], shade)
    if second is not None:
        share = pattern(second.word, u, v, scene.tilt, 1.3 * soft)
        _over(colour, share.astype(np.float32), lit(rgb[second], shade))
    _over(image, np.clip(0.5 - distance / soft, 0, 1).astype(np.float32), colour)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """uint8 of a float image in [0, 1], rounded to the nearest."""
    return (image * 255 + 0.5).astype(np.uint8)


def batch(seed: int, n: int, kind: Kind | None = None, size: int = 128) -> tuple[np.ndarray, list[str]]:
    """Pictures of n random scenes, uint8 (n, size, size, 3), and their captions; a pure function of the arguments.

    Object scenes and crops of landscapes are equally likely unless `kind` names one.
    """
    rng = np.random.default_rng([seed, 1])
    scenes = [sample_scene(rng, kind) for _ in range(n)]
    images = np.stack([to_bytes(render(scene, size, size)) for scene in scenes])
    return images, [scene.caption for scene in scenes]
