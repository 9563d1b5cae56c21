"""A mesh with one texture as files: GLB, and OBJ with MTL and PNG beside it.

Files are y up, as glTF and most OBJ programs have it, in the world's units; `import --up y` and `Meshes` read them.
"""

from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image

from ..files.writing import write_whole
from .camera import Array
from .mesh import Ids, Mesh
from .paint import Paint

Kind = Literal["glb", "obj"]
KINDS: tuple[Kind, ...] = get_args(Kind)
OUT = (1, 2, 0)
"""Which axes of the world become x, y (up) and z of a file: the inverse of `mesh.TURNS["y"]`."""


def texture_png(texture: npt.NDArray[np.float32]) -> bytes:
    """The PNG file of a texture (h, w, 3) in [0, 1]."""
    image, stream = Image.fromarray((texture * 255).round().astype(np.uint8)), BytesIO()
    image.save(stream, "PNG", optimize=False, compress_level=6)
    return stream.getvalue()


def texture_paint(corners: Array, texture: npt.NDArray[np.float32], name: str = "texture") -> Paint:
    """The texture as the colours of a mesh, to be drawn by `painted_views`.

    `corners` (m, 3, 2) are the texture coordinates of the faces' corners in texels.
    """
    faces = len(corners)
    return Paint(
        np.ones((faces, 3, 3)), np.zeros(faces, np.int64), _upward(corners, texture), (texture_png(texture),), name, ""
    )


def write_textured(
    mesh: Mesh,
    pose: Array,
    corners: Array,
    texture: npt.NDArray[np.float32],
    stem: Path,
    kinds: tuple[Kind, ...] = KINDS,
    *,
    follow: bool = True,
) -> list[Path]:
    """Write the mesh at `pose` (4, 4) in the world with its texture as `stem`.glb, .obj, .mtl, .png; return the paths.

    Each file is written whole or not at all, folders are made. Without `follow` a symbolic link in a file's place is
    replaced, for folders that may be untrusted.
    """
    library: Any = trimesh
    places, uv, faces = indexed(mesh, pose, corners, texture)
    png = texture_png(texture)
    image = Image.open(BytesIO(png))
    paths: list[Path] = []

    def written(suffix: str, data: bytes) -> None:
        path = stem.with_name(f"{stem.name}{suffix}")
        write_whole(path, data, follow=follow)
        paths.append(path)

    def made(material: Any) -> Any:
        visual = library.visual.TextureVisuals(uv=uv, material=material)
        return library.Trimesh(places, faces, visual=visual, process=False)

    if "glb" in kinds:
        plain = library.visual.material.PBRMaterial(baseColorTexture=image, metallicFactor=0.0, roughnessFactor=1.0)
        written(".glb", made(plain).export(file_type="glb"))
    if "obj" in kinds:
        simple = library.visual.material.SimpleMaterial(image=image, diffuse=(255, 255, 255), name=stem.name)
        text, _ = library.exchange.obj.export_obj(
            made(simple), include_texture=True, return_texture=True, mtl_name=f"{stem.name}.mtl", header=""
        )
        written(".obj", text.encode())
        written(".mtl", f"newmtl {stem.name}\nKd 1 1 1\nmap_Kd {stem.name}.png\n".encode())
        written(".png", png)
    return paths


def indexed(mesh: Mesh, pose: Array, corners: Array, texture: npt.NDArray[np.float32]) -> tuple[Array, Array, Ids]:
    """Vertices (v, 3) of the mesh at `pose` (4, 4), y up, their texture coordinates (v, 2), and faces (m, 3).

    Texture coordinates run to the right and up, 1 a side. Vertices are as many as differ in place or coordinates.
    """
    places = mesh.triangles.reshape(-1, 3) @ pose[:3, :3].T + pose[:3, 3]
    rows, where = np.unique(
        np.concatenate([places[:, OUT], _upward(corners, texture).reshape(-1, 2)], 1), axis=0, return_inverse=True
    )
    return rows[:, :3], rows[:, 3:], where.reshape(-1, 3).astype(np.int64)


def _upward(corners: Array, texture: npt.NDArray[np.float32]) -> Array:
    """Texture coordinates to the right and up, 1 a side, of those in texels (m, 3, 2) to the right and down."""
    high, wide = texture.shape[:2]
    return np.stack([corners[..., 0] / wide, 1 - corners[..., 1] / high], -1)
