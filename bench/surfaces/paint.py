"""The colours that a mesh file gives its surface: texture images by the file's own coordinates, or vertex colours.

A textured scan knows how it looks, so renders of it are a true answer: without light, as albedo.
"""

from dataclasses import dataclass
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..errors import SyncbenchError, quoted
from ..files.reading import read_bytes
from ..limits import PIXELS
from .beside import Beside
from .buffers import cast
from .camera import Array, Cameras
from .light import linear_to_srgb, srgb_to_linear
from .mesh import Ids, Mesh, Part, fitted_mesh, joined_parts, mesh_parts
from .scene_files import SCENES

WIDEST = 4096
"""Largest side in texels of a texture; larger ones are halved until they fit, which no view of 1024 px shows."""
RAYS = 2
"""Rays per pixel along each side, so that edges and texture are smooth."""


Levels = tuple[npt.NDArray[np.float32], ...]
"""A texture (h, w, 3) in linear light, then its halves, quarters, ... by box means."""


@dataclass(frozen=True, eq=False)
class Paint:
    """Colours of the surface of a mesh with m faces."""

    corners: Array
    """Colours (m, 3, 3) at the corners of every face in linear light, which multiply the texture's."""
    texture: Ids
    """Number (m,) of each face's texture; -1 for none."""
    uv: Array
    """Texture coordinates (m, 3, 2) of the corners: to the right and up, 1 a side, repeated beyond it."""
    images: tuple[bytes, ...]
    """The textures as files, decoded only while they are used."""
    name: str
    """The file's name, for messages."""
    digest: str
    """12 hex digits of the files that the colours come from."""

    def levels(self) -> list[Levels]:
        """The decoded textures. Raises SyncbenchError for a damaged or too large one."""
        return [_pyramid(image, self.name) for image in self.images]

    def colours(self, textures: list[Levels], face: Ids, weights: Array, coarse: Array) -> Array:
        """Colours (n, 3) in linear light at barycentric `weights` (n, 3) of faces (n,), by bilinear lookup.

        `textures` are those of `levels`. `coarse` (n,) is the length of a sample's footprint in texels of the whole
        texture: lookups are in the last level whose texels are no longer.
        """
        colour = np.einsum("ni,nij->nj", weights, self.corners[face])
        level = np.floor(np.log2(np.maximum(coarse, 1))).astype(np.int64)
        uv = np.einsum("ni,nij->nj", weights, self.uv[face])
        for number, levels in enumerate(textures):
            for depth, image in enumerate(levels):
                here = (self.texture[face] == number) & (np.minimum(level, len(levels) - 1) == depth)
                if here.any():
                    colour[here] *= _bilinear(image, uv[here])
        return colour

    def scale(self, textures: list[Levels], mesh: Mesh) -> Array:
        """Texels per world unit (m,) along an edge, by the areas of the faces; 0 without a texture."""
        sides = np.array([(levels[0].shape[1], levels[0].shape[0]) for levels in textures] + [(0, 0)], float)
        flat, solid = self.uv * sides[self.texture][:, None], mesh.triangles
        u, v = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
        area = np.linalg.norm(np.cross(solid[:, 1] - solid[:, 0], solid[:, 2] - solid[:, 0]), axis=1)
        return np.sqrt(np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / np.maximum(area, 1e-300))


def read_painted(path: str | Path, up: str = "y") -> tuple[Mesh, Paint | None]:
    """The mesh of a file as `read_mesh` has it, and its colours; None where the file has none, or one for all of it.

    Colours are textures (`map_Kd` alone, as most readers do; glTF's base or diffuse colour with its factor), material
    colours (`Kd`) and vertex colours; parts without any are white, alpha is left out. Images lie in the mesh's folder,
    below it, or, as in Google Scanned Objects, in `../materials/textures`. A missing mtl file leaves a mesh without
    colours. Raises SyncbenchError for a mesh that cannot be textured, and for an image that is missing, damaged or too
    large.
    """
    file, name = Path(path), quoted(path)
    beside = Beside(file)
    parts = mesh_parts(file, beside)
    mesh, kept = fitted_mesh(joined_parts(parts), name, up)
    if beside.missing:
        raise SyncbenchError(
            f"{name}: its material names the picture '{quoted(beside.missing[0], 80)}', which is not beside it or "
            "is no picture: put it there, or leave colours out (--set meshes.colours=false)"
        )
    images: list[Any] = []
    looks: list[tuple[Ids, Array, Array]] = []
    for part in parts:
        image, colour, uv = _look(part, file.suffix.lower() in SCENES, name)
        if image is not None and not any(image is other for other in images):
            images.append(image)
        number = next((index for index, other in enumerate(images) if image is other), -1)
        looks.append((np.full(len(part.faces), number), colour, uv))
    texture, corners, coordinates = (np.concatenate(columns)[kept] for columns in zip(*looks, strict=True))
    if not images and np.ptp(corners.reshape(-1, 3), axis=0).max() < 1e-6:
        return mesh, None
    beside.seen.update(read_bytes(file))
    paint = Paint(corners, texture, coordinates, tuple(map(_encoded, images)), name, beside.seen.hexdigest()[:12])
    paint.levels()  # so that a damaged image is found now
    return mesh, paint


def painted_views(mesh: Mesh, paint: Paint, cameras: Cameras) -> Float[Tensor, "n 3 h w"]:
    """What the cameras see of a painted mesh on white, without light: sRGB in [0, 1]."""
    textures = paint.levels()
    scale = paint.scale(textures, mesh)
    steps = (np.arange(RAYS) + 0.5) / RAYS - 0.5
    shape = (cameras.height, cameras.width, 3)
    views = np.zeros((len(cameras), *shape))
    for number, view in enumerate(views):
        focal = float(cameras.intrinsics[number, 0, 0])
        for down, right in product(steps, steps):
            rays = cast(mesh, cameras, number, (float(right), float(down)))
            seen = np.ones((cameras.height * cameras.width, 3))
            pixel = (1.0 if cameras.orthographic else rays.depth) / focal
            coarse = scale[rays.face] * pixel / RAYS
            seen[rays.hit] = paint.colours(textures, rays.face, rays.weights, coarse)
            view += seen.reshape(shape) / RAYS**2
    return linear_to_srgb(torch.from_numpy(views).permute(0, 3, 1, 2).clamp(0, 1)).float().contiguous()


def _bilinear(image: npt.NDArray[np.float32], uv: Array) -> Array:
    """Values (n, 3) of an image (h, w, 3) at coordinates (n, 2), to the right and up; the image repeats."""
    high, wide = image.shape[:2]
    x, y = np.mod(uv[:, 0], 1.0) * wide - 0.5, np.mod(1 - uv[:, 1], 1.0) * high - 0.5
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    across, down = (x - column)[:, None], (y - row)[:, None]
    above, below = (
        image[line % high, column % wide] * (1 - across) + image[line % high, (column + 1) % wide] * across
        for line in (row, row + 1)
    )
    return above * (1 - down) + below * down


def _encoded(image: Image.Image) -> bytes:
    """The file of an image that trimesh has opened."""
    stream: Any = getattr(image, "fp", None)
    if isinstance(stream, BytesIO):
        return stream.getvalue()
    image.save(stream := BytesIO(), "PNG")
    return stream.getvalue()


def _pyramid(data: bytes, name: str) -> Levels:
    """The image in linear light, and its halves by box means. Raises SyncbenchError for a damaged or too large one."""
    try:
        with Image.open(BytesIO(data)) as image:
            if image.width * image.height > PIXELS:
                raise SyncbenchError(f"{name}: a texture of {image.width:,} x {image.height:,} px is too large")
            whole = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SyncbenchError(f"{name}: a texture is damaged ({quoted(error, 80)}): export the mesh again") from error
    while max(whole.size) > WIDEST:
        whole = whole.reduce(2)
    levels = [srgb_to_linear(torch.from_numpy(np.array(whole)).float() / 255).numpy()]
    while min(levels[-1].shape[:2]) > 1:
        high, wide = (side // 2 for side in levels[-1].shape[:2])
        levels.append(levels[-1][: 2 * high, : 2 * wide].reshape(high, 2, wide, 2, 3).mean((1, 3)))
    return tuple(levels)


def _look(part: Part, scene: bool, name: str) -> tuple[Any, Array, Array]:
    """A part's texture image or None, colours (m, 3, 3) of its corners in linear light, coordinates (m, 3, 2)."""
    faces, visual = part.faces, part.visual
    factor, image, stored = np.ones(3), None, None
    uv = np.zeros((len(part.vertices), 2))
    if visual.kind in ("vertex", "face"):
        stored = visual.vertex_colors if visual.kind == "vertex" else visual.face_colors[:, None].repeat(3, 1)
    elif visual.kind == "texture":
        material = visual.material
        image = getattr(material, "baseColorTexture", None) if scene else getattr(material, "image", None)
        if image is not None and not scene and image.format is None:  # trimesh's own, for a material that is missing
            image = None
        stored = visual.vertex_attributes.get("color")
        given = getattr(material, "baseColorFactor", None) if scene else getattr(material, "diffuse", None)
        if given is not None and (scene or (image is None and material.name is not None)):
            factor = _linear(np.asarray(given)[None, :3], scene)[0]
        if visual.uv is not None and np.shape(visual.uv)[0] == len(uv):
            uv = np.asarray(visual.uv, float)[:, :2]
        elif image is not None:
            raise SyncbenchError(f"{name}: a part has a texture but no texture coordinates: unwrap it and export again")
    if not np.isfinite(uv).all():
        raise SyncbenchError(f"{name}: texture coordinates are not finite numbers; repair the mesh")
    colours = np.ones((len(faces), 3, 3))
    if stored is not None and visual.kind == "face":
        colours = _linear(np.asarray(stored)[..., :3], scene)
    elif stored is not None:
        colours = _linear(np.asarray(stored)[:, :3], scene)[faces]
    return image, colours * factor, uv[faces]


def _linear(colours: npt.NDArray[Any], linear: bool) -> Array:
    """Colours (..., 3), integers of 8 or 16 bits or fractions of 1, in linear light, which they are in if `linear`."""
    top = float(np.iinfo(colours.dtype).max) if colours.dtype.kind in "iu" else 1.0
    share = torch.from_numpy(np.nan_to_num(np.asarray(colours, np.float64) / top)).clamp(0, 1)
    return np.asarray(share if linear else srgb_to_linear(share))
