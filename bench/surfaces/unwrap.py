"""Unwrapping by xatlas; also a program, because xatlas can crash its process.

`python unwrap.py IN.npz OUT.npz` imports nothing of this package. Some finely tessellated smooth meshes crash xatlas
0.0.11 (jpcy/xatlas issue 146: flat regions grow all around them); cut into six parts by the axis they face, they do
not. Cut up, 80,000 faces also take 1 to 17 s where the whole takes 22 s to minutes.
"""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import xatlas

GUTTER = 1
"""Width of the empty border around every chart, in texels, so that no texel belongs to two charts: the default."""


def unwrapped_charts(
    vertices: npt.NDArray[Any], faces: npt.NDArray[Any], density: float, cut: bool, gutter: int = GUTTER
) -> tuple[npt.NDArray[np.float64], int, int]:
    """Texture coordinates (m, 3, 2) of the faces' corners in texels, and the texture's height and width.

    There are `density` texels to a world unit, and `gutter` empty ones around every chart. With `cut` the mesh is cut
    into six parts first.
    """
    library: Any = xatlas
    atlas = library.Atlas()
    part = _facing(vertices[faces]) if cut else np.zeros(len(faces), np.int64)
    parts = [np.flatnonzero(part == number) for number in np.unique(part)]
    for rows in parts:
        used, where = np.unique(faces[rows], return_inverse=True)
        atlas.add_mesh(vertices[used].astype(np.float32), where.reshape(-1, 3).astype(np.uint32))
    options = library.PackOptions()
    options.texels_per_unit, options.padding, options.bilinear = density, gutter, False
    atlas.generate(library.ChartOptions(), options)
    corners = np.zeros((len(faces), 3, 2))
    for number, rows in enumerate(parts):
        _, own, uv = atlas[number]
        corners[rows] = np.asarray(uv, np.float64)[np.asarray(own, np.int64)]
    return corners * [int(atlas.width), int(atlas.height)], int(atlas.height), int(atlas.width)


def _facing(triangles: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Which of the six axis directions each triangle (m, 3, 3) faces most."""
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    axis = np.abs(normal).argmax(1)
    return 2 * axis + (normal[np.arange(len(axis)), axis] > 0)


if __name__ == "__main__":
    given = np.load(sys.argv[1])
    how = float(given["density"]), bool(given["cut"]), int(given["gutter"])
    charts = unwrapped_charts(given["vertices"], given["faces"], *how)
    np.savez(sys.argv[2], corners=charts[0], size=np.array(charts[1:]))
