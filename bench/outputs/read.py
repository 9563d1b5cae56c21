"""From the files of an output to an artifact that fits its item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..errors import SyncbenchError, quoted
from ..sampling.loop import canvas_artifact, views_artifact
from ..surfaces.camera import Cameras
from ..surfaces.light import linear_to_srgb
from ..surfaces.shared import SHADING_MAX
from ..types import Artifact, Item
from . import clips, pictures, textured
from .fit import Fit, cells_of, fitted, grid_of
from .match import Output

Axes = Literal["opencv", "opengl"]
"""Camera axes of normals: x right and y down, z forward (`opencv`, as everywhere here), or y up and z backward."""
AXES: tuple[Axes, ...] = get_args(Axes)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How outputs are read where their files do not say it; part of the parameters of an imported method."""

    fit: Fit = "none"
    grid: tuple[int, int] | None = None
    """Rows and columns of a picture that shows several views; None where their size tells."""
    up: str = "y"
    """Axis of mesh files that points up."""
    normals: Axes = "opencv"
    """Axes of the pictures of normals."""


def read_output(output: Output, item: Item, how: Reading) -> Artifact:
    """The artifact of an output. Its canvas and views are those that `item.surface` lays out.

    A mesh is drawn from the item's own cameras (the views) and from its held-out ones (extra `held_views`). Raises
    SyncbenchError, with the output's name, for files that cannot be read or do not fit the item.
    """
    name = f"'{quoted(output.name)}' of item '{item.id}'"
    if output.kind == "mesh":
        return _of_mesh(output, item, how, name)
    images, linear = _images(output, view_count(item), name)
    return fit_images(images, item, how, name, linear, "frames" if output.kind == "clip" else "pictures")


def fit_images(
    images: list[Tensor], item: Item, how: Reading, name: str, linear: Sequence[bool] = (), what: str = "pictures"
) -> Artifact:
    """The artifact of pictures (3, h, w): all views in order, or one picture of all of them, or of the whole surface.

    `linear` tells which hold numbers in linear light (empty: none), `what` they are in messages, which begin with
    `name`. Raises SyncbenchError for pictures that do not fit the item.
    """
    linear = list(linear) or [False] * len(images)
    count, names = view_count(item), tuple(getattr(item.surface, "names", ()))
    high, wide = item.surface.window
    if len(images) == 1 and item.surface.picture:
        canvas = _levels(images, linear, ())
        tall, broad = item.surface.canvas().shape
        return canvas_artifact(fitted(canvas, tall, broad, how.fit, name)[0], item)
    if len(images) == 1 and count > 1:
        try:
            rows = grid_of((images[0].shape[1], images[0].shape[2]), count, (high, wide), how.grid)
        except SyncbenchError as error:
            raise SyncbenchError(f"{name}: {error}") from error
        images, linear = [*cells_of(images[0], count, rows)], linear * count
    if len(images) != count:
        many = f"more than {count}" if what == "frames" and len(images) > count else f"{len(images)}"
        raise SyncbenchError(
            f"{name}: it has {many} {what}, and the item has {count} views: leave out what is no view, or set the data "
            "set's number of views or frames to that of the outputs (--set)"
        )
    if len({tuple(image.shape) for image in images}) > 1:
        images = [fitted(image[None], high, wide, how.fit, name)[0] for image in images]
    views = _normals(fitted(_levels(images, linear, names), high, wide, how.fit, name), names, how.normals)
    return views_artifact(views, item, item.surface.canvas()) if item.surface.picture else Artifact(views=views)


def view_count(item: Item) -> int:
    """Number of views that an item's surface lays out."""
    count: int | None = getattr(item.surface, "views", None)
    return item.surface.canvas().views if count is None else count


def _images(output: Output, count: int, name: str) -> tuple[list[Tensor], list[bool]]:
    """The pictures or frames of an output, at most one more than `count`, and whether each is in linear light."""
    if len(output.files) > 16 * count:
        raise SyncbenchError(f"{name}: {len(output.files)} pictures, and the item has {count} views")
    if output.kind == "clip" or (len(output.files) == 1 and count > 1 and pictures.moves(output.files[0])):
        frames = clips.read_frames(output.files[0], count)
        return frames, [False] * len(frames)
    read = [pictures.read_picture(path) for path in output.files[: count + 1]]
    rest = [read[0].image] * (len(output.files) - len(read))  # counted only
    return [one.image for one in read] + rest, [one.linear for one in read] + [False] * len(rest)


def _levels(images: list[Tensor], linear: list[bool], names: tuple[str, ...]) -> Float[Tensor, "n 3 h w"]:
    """Pictures as the suite writes them: numbers in linear light become sRGB, or what a channel's picture means."""
    channels = names if len(names) == len(images) else ("",) * len(images)
    made = [_encoded(x, name) if light else x for x, light, name in zip(images, linear, channels, strict=True)]
    return torch.stack(made).float()


def _encoded(numbers: Float[Tensor, "3 h w"], channel: str) -> Float[Tensor, "3 h w"]:
    """The picture of a channel's numbers: (u + 1) / 2 of unit normals u, sRGB of what is light."""
    if channel == "normal":
        return (F.normalize(numbers, dim=0) + 1) / 2
    return linear_to_srgb((numbers / SHADING_MAX if channel == "shading" else numbers).clamp(0, 1))


def _normals(views: Float[Tensor, "n 3 h w"], names: tuple[str, ...], axes: Axes) -> Float[Tensor, "n 3 h w"]:
    """The views with the picture of normals in the axes that are used here."""
    if axes == "opencv" or "normal" not in names:
        return views
    turned = views.clone()
    turned[names.index("normal"), 1:] = 1 - turned[names.index("normal"), 1:]
    return turned


def _of_mesh(output: Output, item: Item, how: Reading, name: str) -> Artifact:
    """The views of a textured mesh."""
    if not {"extrinsics", "intrinsics"} <= set(item.truth):
        raise SyncbenchError(f"{name}: a mesh cannot be drawn, because the item has no cameras: leave pictures of it")
    shape = textured.read_textured(output.files[0], how.up)
    artifact = Artifact(views=textured.drawn(shape, _cameras(item.truth, "", item.surface.window)))
    if {"held_extrinsics", "held_intrinsics"} <= set(item.truth):
        held = textured.drawn(shape, _cameras(item.truth, "held_", item.surface.window))
        artifact.extras["held_views"] = (held * 255).round().byte()
    return artifact


def _cameras(truth: Mapping[str, Tensor], prefix: str, window: tuple[int, int]) -> Cameras:
    poses, lenses = (truth[f"{prefix}{name}"].double().cpu().numpy() for name in ("extrinsics", "intrinsics"))
    return Cameras(poses, lenses, *window)
