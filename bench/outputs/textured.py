"""Textured meshes that other programs write (GLB, OBJ, PLY with colours), drawn from the cameras of an item.

The file's own UVs, textures, vertex colours and colour factors are used, unlit: what is shown is the base colour, on
white. The mesh is put where `surfaces.mesh.read_mesh` puts the item's own: upright, centred, standing on the ground,
at the world's size, so that a program may have moved and scaled it, but not turned it about another axis.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import SyncbenchError, quoted
from ..files.reading import is_file
from ..surfaces.beside import Beside
from ..surfaces.buffers import cast
from ..surfaces.camera import Array, Cameras
from ..surfaces.mesh import FORMATS, MAX_FACES, Ids, Mesh, check_declared, checked_mesh
from ..surfaces.scene_files import load_scene
from .pictures import check_pixels

ENDINGS = frozenset(FORMATS)
"""Endings of names of mesh files."""
SAMPLES = 2
"""Rays along each side of a pixel, whose colours are averaged."""


@dataclass(frozen=True)
class Textured:
    """A mesh and what colours it."""

    mesh: Mesh
    part: Ids
    """The part (m,) that each face belongs to."""
    corners: Array
    """For each face's corners (m, 3, 3): texture coordinates u, v and 0 of a textured part, or else colours."""
    textures: list[Array | None]
    """Texture (h, w, 3) in [0, 1] of each part, its colour factor multiplied in; None for colours at the corners."""

    def colours(self, face: Ids, weights: Array) -> Array:
        """Colours (n, 3) in [0, 1] at barycentric `weights` (n, 3) of `face` (n,); textures are bilinear and repeat."""
        at = np.einsum("ni,nij->nj", weights, self.corners[face])
        found = np.clip(at, 0, 1)
        for number, texture in enumerate(self.textures):
            own = self.part[face] == number
            if texture is not None and own.any():
                found[own] = _looked_up(texture, at[own, :2])
        return found


def read_textured(path: Path, up: str = "y") -> Textured:
    """The textured mesh in a file. Raises SyncbenchError for one that cannot be read, or that nothing colours."""
    name = quoted(path)
    if not is_file(path):
        raise SyncbenchError(f"no mesh file '{name}'")
    check_declared(path, name)
    try:
        scene = load_scene(path, Beside(path))
        parts = [(np.asarray(pose, float), scene.geometry[key]) for pose, key in map(scene.graph.get, _nodes(scene))]
        parts = [(pose, part) for pose, part in parts if len(getattr(part, "faces", ()))]
        if sum(len(part.faces) for _, part in parts) > MAX_FACES:
            raise SyncbenchError(f"{name}: more than {MAX_FACES:,} faces: simplify the mesh first")
        looks = [_look(part, path) for _, part in parts]
    except SyncbenchError:
        raise
    except Exception as error:  # every format has its own
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SyncbenchError(f"{name}: trimesh cannot read this mesh ({quoted(cause, 120)})") from error
    if not parts:
        raise SyncbenchError(f"{name}: this mesh has no faces, so there is nothing to draw")
    starts = np.cumsum([0, *(len(part.vertices) for _, part in parts)])
    vertices = np.concatenate([np.asarray(part.vertices, float) @ pose[:3, :3].T + pose[:3, 3] for pose, part in parts])
    faces = np.concatenate(
        [np.asarray(p.faces, np.int64) + start for (_, p), start in zip(parts, starts, strict=False)]
    )
    part = np.concatenate([np.full(len(p.faces), number) for number, (_, p) in enumerate(parts)])
    corners = np.concatenate([corner for corner, _ in looks])
    kept = _with_area(vertices, faces)  # as checked_mesh keeps them, so that corners stay with their faces
    mesh = checked_mesh(Mesh(vertices, faces), name, up)
    if len(mesh.faces) != kept.sum():
        raise SyncbenchError(f"{name}: some faces are too thin to be told from none: repair the mesh")
    return Textured(mesh, part[kept], corners[kept], [texture for _, texture in looks])


def drawn(textured: Textured, cameras: Cameras) -> Float[Tensor, "n 3 h w"]:
    """What the cameras see of the mesh, on white: SAMPLES x SAMPLES rays a pixel, averaged."""
    offsets = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    views: list[Array] = []
    for number in range(len(cameras)):
        total = np.zeros((cameras.height * cameras.width, 3))
        for right in offsets:
            for down in offsets:
                seen = cast(textured.mesh, cameras, number, (float(right), float(down)))
                colour = np.ones((cameras.height * cameras.width, 3))
                colour[seen.hit] = textured.colours(seen.face, seen.weights)
                total += colour
        views.append((total / SAMPLES**2).reshape(cameras.height, cameras.width, 3))
    return torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float().contiguous()


def _nodes(scene: Any) -> list[str]:
    return list(scene.graph.nodes_geometry)


def _look(part: Any, path: Path) -> tuple[Array, Array | None]:
    """What colours the corners (m, 3, 3) of a part's faces, and its texture, if it has one."""
    faces = np.asarray(part.faces, np.int64)
    visual = part.visual
    uv = getattr(visual, "uv", None)
    material = getattr(visual, "material", None)
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if uv is not None and image is not None:
        check_pixels(image.width, image.height, path)
        levels = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
        # OBJ programs write a grey diffuse factor beside a texture and ignore it; glTF multiplies its own
        factor = getattr(material, "baseColorFactor", None)
        corners = np.pad(np.asarray(uv, float)[:, :2], ((0, 0), (0, 1)))[faces]
        return corners, np.clip(levels * _colour(factor), 0, 1)
    if getattr(visual, "kind", None) in ("vertex", "face"):
        if visual.kind == "face":
            return np.repeat(np.asarray(visual.face_colors, float)[:, None, :3] / 255, 3, 1), None
        return (np.asarray(visual.vertex_colors, float)[:, :3] / 255)[faces], None
    factor = getattr(material, "baseColorFactor", None)
    factor = getattr(material, "diffuse", None) if factor is None else factor
    if factor is None:
        raise SyncbenchError(f"{quoted(path)}: the mesh has neither a texture nor colours, so there is no output in it")
    return np.broadcast_to(_colour(factor), (len(faces), 3, 3)).copy(), None


def _colour(factor: Any) -> Array:
    """A material's colour factor (3,) in [0, 1]: bytes in trimesh, or fractions; white for None."""
    if factor is None:
        return np.ones(3)
    given = np.asarray(factor)
    return np.clip(given[:3].astype(float) / (255 if given.dtype.kind in "iu" else 1), 0, 1)


def _with_area(vertices: Array, faces: Ids) -> Any:
    """Which faces have an area, in units of the mesh's extent, by the rule of `checked_mesh`."""
    used = np.unique(faces)
    centre = (vertices[used].min(0) + vertices[used].max(0)) / 2
    radius = float(np.linalg.norm(vertices[used] - centre, axis=1).max())
    corner = (vertices[faces] - centre) * (0.6 / max(radius, 1e-300))
    cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    return np.linalg.norm(cross, axis=1) > 1e-12


def _looked_up(texture: Array, uv: Array) -> Array:
    """Bilinear lookup (n, 3) in a texture (h, w, 3) whose v runs upwards; coordinates outside [0, 1] repeat."""
    high, wide = texture.shape[:2]
    column, row = (uv[:, 0] % 1) * wide - 0.5, (1 - uv[:, 1] % 1) * high - 0.5
    left, top = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    across, down = (column - left)[:, None], (row - top)[:, None]
    at = [texture[(top + i) % high, (left + j) % wide] for i in (0, 1) for j in (0, 1)]
    return (1 - down) * ((1 - across) * at[0] + across * at[1]) + down * ((1 - across) * at[2] + across * at[3])
