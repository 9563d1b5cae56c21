"""Mesh files as trimesh's scenes, without the one step of trimesh that decodes their pictures."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import trimesh

from ..files.reading import read_bytes
from .beside import Beside

SCENES = (".glb", ".gltf")
"""Endings of glTF files, whose factors and vertex colours are linear light; in other files they are sRGB."""
GLOSS = "KHR_materials_pbrSpecularGlossiness"
"""The older glTF materials of diffuse and specular colours."""


def load_scene(file: Path, beside: Beside) -> Any:
    """Trimesh's scene of a mesh file, whose other files come from `beside`. Raises what trimesh raises."""
    library: Any = trimesh
    kind = file.suffix.lower()
    if kind not in SCENES:
        return library.load_scene(file, process=False, resolver=beside)
    data = diffuse_as_base(read_bytes(file), kind == ".glb")
    return library.load_scene(BytesIO(data), file_type=kind[1:], process=False, resolver=beside)


def diffuse_as_base(data: bytes, binary: bool) -> bytes:
    """A glTF file (`binary`: GLB) in which the diffuse colours of GLOSS are base colours, and GLOSS is left out.

    Trimesh would blend diffuse and specular colours into base colours, for which it decodes pictures of any size into
    many copies of 8 bytes a number.
    """
    size = int.from_bytes(data[12:16], "little")
    content = json.loads(data[20 : 20 + size] if binary else data)
    glossy = [one for one in content.get("materials", ()) if GLOSS in (one.get("extensions") or ())]
    if not glossy:
        return data
    for material in glossy:
        gloss = material["extensions"].pop(GLOSS)
        given = (("baseColorFactor", "diffuseFactor"), ("baseColorTexture", "diffuseTexture"))
        material["pbrMetallicRoughness"] = {base: gloss[diffuse] for base, diffuse in given if diffuse in gloss}
    text = json.dumps(content).encode()
    if not binary:
        return text
    text += b" " * (-len(text) % 4)
    rest = data[20 + size :]
    lengths = (20 + len(text) + len(rest)).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    return data[:8] + lengths + data[16:20] + text + rest
