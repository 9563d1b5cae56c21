"""What is known of a photograph, as the tensors that metrics of channels read, at the size of its item.

Maps in PNG of 8 bits are sRGB; those of 16 bits, NPY and EXR are linear light. Normals are (n + 1) / 2 in a PNG, and
numbers from -1 to 1 elsewhere. Depth is in millimetres in a PNG and in InteriorVerse's EXR, in metres elsewhere, and
infinite or 0 where unknown.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from ..bench.errors import SyncbenchError, quoted
from ..bench.files.reading import read_object
from ..bench.surfaces.light import linear_to_srgb, srgb_to_linear
from ..bench.surfaces.shared import SHADING_MAX
from ._maps import depth_of_distance, read_map

Axes = Literal["opencv", "opengl"]
"""Axes of stored normals: x right, y down, z forward; or x right, y up, z towards the viewer."""
FOCAL = 886.81 / 1024
"""Focal length of Hypersim's cameras over the width of a picture."""
BRIGHTEST = 0.98
"""Quantile of shading and residual that becomes 1, as in Marigold's loader of Hypersim."""
WHITE = 1e30
"""Light of a photograph that its file holds as infinite, as half floats above 65504 do: white, however exposed."""
GAMMA = 2.2
"""Of Hypersim's tone mapping."""
DARKER = {"1": 1.0, "2": 2.0, "E": 0.0}
"""IIW's answers to which point is darker: the first, the second, neither."""
LIST = 1_000_000
"""Largest number of points or judgements of a photograph."""


def known_names(row: Mapping[str, str], channels: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the truth of a row, in the order in which `known_tensor` is asked for them."""
    names = [name for name in ("albedo", "shading", "residual", "normal") if row[name]]
    names += ["depth"] if row["depth"] or row["distance"] else []
    names += ["reflectance"] if row["albedo"] else []
    names += ["surface"] if row["mask"] or row["albedo"] or row["normal"] else []
    names += ["judgements", "judgement_weights"] if row["judgements"] else []
    names += ["views"] if channels and set(channels) <= {"albedo", "normal", "shading"} & set(names) else []
    return tuple(names)


def known_tensor(
    name: str, row: Mapping[str, str], size: tuple[int, int], axes: Axes, channels: tuple[str, ...]
) -> Tensor:
    """One of the names of `known_names`, in the form of `bench.world.truth.truth`, at `size` (height, width).

    `reflectance` is the albedo. `residual` (1, 3, h, w) is what albedo times shading leaves of the photograph.
    `judgements` (n, 5) are x1, y1, x2, y2 in [0, 1] and which of the two points is darker (1, 2, or 0: neither), and
    `judgement_weights` (n,) how sure people are. `views` are the `channels` as images. Raises SyncbenchError for a file
    that is damaged or of another shape.
    """
    again = partial(known_tensor, row=row, size=size, axes=axes, channels=channels)
    if name in ("judgements", "judgement_weights"):
        pairs = read_judgements(Path(row["judgements"]))
        return pairs[:, :5] if name == "judgements" else pairs[:, 5]
    if name == "views":
        return torch.cat([_image(channel, again(channel)) for channel in channels])
    if name in ("albedo", "reflectance"):
        return _scaled(_light(Path(row["albedo"])), size, row["albedo"]).clamp(0, 1)
    if name in ("shading", "residual"):
        light = _scaled(_light(Path(row[name])), size, row[name]).clamp(min=0) / _brightest(row)
        light = light.clamp(0, 1 if row["residual"] else SHADING_MAX)
        return light.mean(1, keepdim=True) if name == "shading" else light
    if name == "normal":
        return _normals(Path(row["normal"]), size, axes)
    return _depth(row, size) if name == "depth" else _surface(row, size, axes)


def read_light(path: Path, height: int, width: int, entities: str = "") -> Float[Tensor, "1 3 height width"]:
    """A photograph in linear light (EXR, NPY, PNG of 16 bits) as sRGB in [0, 1]; above 1 it is white.

    A render of Hypersim (HDF5) is shown as its authors' tool shows it: exposed by `exposure`, with a gamma of 2.2.
    `entities` is its file of what every pixel shows, -1 where it shows nothing.
    """
    light, render = _light(path, WHITE), path.suffix.lower() in (".hdf5", ".h5")
    light = light.expand(1, 3, *light.shape[2:])
    if render:
        shown = torch.from_numpy(read_map(Path(entities))[..., 0] != -1) if entities else None
        if shown is not None and shown.shape != light.shape[2:]:
            raise SyncbenchError(
                f"{quoted(entities)}: {tuple(shown.shape)} px, and its render {tuple(light.shape[2:])}"
            )
        light = exposure(light[0], shown) * light
    light = _scaled(light.clamp(0, 1), (height, width), str(path))
    return light ** (1 / GAMMA) if render else linear_to_srgb(light)


def exposure(light: Float[Tensor, "3 h w"], shown: Bool[Tensor, "h w"] | None = None) -> float:
    """What linear light is multiplied by, so that the 90 % quantile of brightness is 0.8 after a gamma of 2.2.

    Brightness is 0.3 red + 0.59 green + 0.11 blue, of the pixels that are `shown` (default: all). Without any the
    factor is 1, and a picture whose quantile is below 0.0001 becomes black. Source: Hypersim (Roberts et al. 2021,
    arXiv 2011.02523), tone mapping of its toolkit, after CGIntrinsics.
    """
    brightness = (light * torch.tensor([0.3, 0.59, 0.11])[:, None, None]).sum(0)
    if shown is not None:
        brightness = brightness[shown]
    if not brightness.numel():
        return 1.0
    bright = float(np.quantile(brightness.numpy(), 0.9))
    return 0.8**GAMMA / bright if bright >= 1e-4 else 0.0


def read_judgements(path: Path) -> Float[Tensor, "n 6"]:
    """Judgements of IIW's JSON file: x1, y1, x2, y2, which is darker (1, 2, or 0) and the weight.

    Judgements without a positive score, and of points on surfaces that are not opaque, are left out. Raises
    SyncbenchError for a file that holds something else.
    """
    content = read_object(path)
    points, pairs = content.get("intrinsic_points"), content.get("intrinsic_comparisons")
    if not isinstance(points, list) or not isinstance(pairs, list) or len(points) + len(pairs) > LIST:
        raise SyncbenchError(f"{quoted(path)}: no lists intrinsic_points and intrinsic_comparisons, as IIW has")
    place: dict[Any, tuple[float, float] | None] = {}
    rows: list[list[float]] = []
    try:
        for point in cast(list[Any], points):
            x, y = float(point["x"]), float(point["y"])
            if not (0 <= x <= 1 and 0 <= y <= 1):
                raise ValueError(x)
            place[point["id"]] = (x, y) if point.get("opaque", True) else None
        for pair in cast(list[Any], pairs):
            score, answer = pair.get("darker_score"), pair.get("darker")
            first, second = place[pair["point1"]], place[pair["point2"]]
            if score is not None and float(score) > 0 and answer in DARKER and first and second:
                rows.append([*first, *second, DARKER[answer], float(score)])
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise SyncbenchError(
            f"{quoted(path)}: points have id, x and y from 0 to 1, comparisons point1, point2, darker and "
            "darker_score, as in IIW; this file is another one or damaged"
        ) from error
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)


def _light(path: Path, infinite: float = 0.0) -> Float[Tensor, "1 c h w"]:
    """A map in linear light, of 1 or 3 channels; what is not finite is 0, and what is `infinite` that."""
    levels = read_map(path)
    light = torch.from_numpy(np.nan_to_num(_shares(levels), nan=0, posinf=infinite, neginf=0)).permute(2, 0, 1)[None]
    return srgb_to_linear(light) if levels.dtype == np.uint8 else light


def _shares(levels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Integer levels as fractions of their largest, other numbers as they are; no more than three channels."""
    top = float(np.iinfo(levels.dtype).max) if levels.dtype.kind == "u" else 1.0
    few = levels[..., :1] if levels.shape[2] == 2 else levels[..., :3]
    return few.astype(np.float32) / np.float32(top)


def _scaled(map: Tensor, size: tuple[int, int], name: str, how: str = "bilinear") -> Tensor:
    """A map (1, c, h, w) at `size`. Raises SyncbenchError, with the file's `name`, for one of another shape."""
    high, wide = map.shape[2:]
    if abs(np.log((high / wide) / (size[0] / size[1]))) > 0.1:
        raise SyncbenchError(f"{quoted(name)}: {wide} x {high} px are another shape than the photograph's")
    if (high, wide) == size:
        return map
    if how == "nearest":
        return F.interpolate(map, size, mode="nearest-exact")
    return F.interpolate(map, size, mode="bilinear", antialias=True, align_corners=False)


def _brightest(row: Mapping[str, str]) -> float:
    """By what shading and residual are divided: the larger of their 98 % quantiles, where both are known; else 1."""
    if not row["shading"] or not row["residual"]:
        return 1.0
    values = (_light(Path(row[name])).numpy() for name in ("shading", "residual"))
    return max(1e-6, *(float(np.quantile(value, BRIGHTEST)) for value in values))


def _normals(path: Path, size: tuple[int, int], axes: Axes) -> Float[Tensor, "1 3 h w"]:
    levels = read_map(path)
    if levels.shape[2] < 3:
        raise SyncbenchError(f"{quoted(path)}: normals have three channels, and this map has {levels.shape[2]}")
    shares = torch.from_numpy(np.nan_to_num(_shares(levels))).permute(2, 0, 1)[None]
    normal = 2 * shares - 1 if levels.dtype.kind == "u" else shares
    normal = _scaled(normal, size, str(path), "nearest")
    if axes == "opengl":
        normal = normal * torch.tensor([1.0, -1.0, -1.0])[:, None, None]
    length = normal.norm(dim=1, keepdim=True)
    return torch.where((length > 0.5) & (length < 2), normal / length.clamp(min=0.5), 0)


def _depth(row: Mapping[str, str], size: tuple[int, int]) -> Float[Tensor, "1 1 h w"]:
    path = Path(row["depth"] or row["distance"])
    levels = read_map(path)[..., 0]
    depth = levels.astype(np.float32) * np.float32(0.001 if levels.dtype.kind == "u" or row["unit"] == "mm" else 1.0)
    depth = np.where(np.isfinite(depth) & (depth > 0), depth, 0)
    if not row["depth"]:
        depth = depth_of_distance(depth, FOCAL * depth.shape[1])
    return _scaled(torch.from_numpy(np.ascontiguousarray(depth, np.float32))[None, None], size, str(path), "nearest")


def _surface(row: Mapping[str, str], size: tuple[int, int], axes: Axes) -> Float[Tensor, "1 1 h w"]:
    """1 where the truth counts: on the mask, and where albedo is not black and normals are known."""
    known = torch.ones(1, 1, *size)
    if row["mask"]:
        path = Path(row["mask"])
        bright = torch.from_numpy(np.nan_to_num(_shares(read_map(path)))).permute(2, 0, 1)[None].mean(1, keepdim=True)
        known = (_scaled(bright, size, row["mask"], "nearest") >= 0.5).float()
    if row["albedo"]:
        black = (_light(Path(row["albedo"])) > 0).any(1, keepdim=True).float()
        known = known * (_scaled(black, size, row["albedo"], "nearest") > 0.5)
    if row["normal"] and not row["mask"] and not row["albedo"]:
        known = (_normals(Path(row["normal"]), size, axes).norm(dim=1, keepdim=True) > 0.5).float()
    return known


def _image(channel: str, truth: Tensor) -> Float[Tensor, "1 3 h w"]:
    """A channel as the image that a model makes of it; see `world.truth.channels`."""
    if channel == "normal":
        return (truth + 1) / 2
    light = truth if channel == "albedo" else (truth / SHADING_MAX).expand(1, 3, *truth.shape[2:])
    return linear_to_srgb(light.clamp(0, 1))
