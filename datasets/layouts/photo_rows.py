"""Photographs and what is known of them: folders, IIW, MIT intrinsic images, InteriorVerse, Hypersim.

A row has `photo`, and paths of what is known of it by the names KNOWN_OF; other columns are empty. `axes` are those of
normals and `unit` is that of depth, where a layout says so. `entities` says where a render of Hypersim shows a thing.
"""

import os
import re
from pathlib import Path

from ...bench.errors import SyncbenchError, quoted
from ...bench.fetch.public import origin_of
from ...bench.files.reading import is_file, is_folder, read_bytes, read_text
from ...bench.limits import ITEMS
from .._pictures import ENDINGS, natural_order, picture_files
from .._rows import READERS, inside, named_id, read_rows

Row = dict[str, str]
KNOWN_OF = ("albedo", "shading", "residual", "normal", "depth", "distance", "mask", "judgements")
"""Columns of an index file that hold paths, beside `photo`. `depth` is camera z, `distance` that to its centre."""
LINEAR = (".exr", ".npy", ".hdf5", ".h5")
"""Endings of photographs in linear light."""
MIT = ("diffuse", "reflectance", "shading", "mask")
"""Names of the pictures of a folder of the MIT intrinsic images that are read: the photograph and its truth."""
MIT_KNOWN = ("albedo", "shading", "mask")
"""What the pictures of MIT after the first are of the photograph."""
FRAME = re.compile(r"rgb_(?P<rest>.+)\.png")
"""Name of a photograph of Hypersim as Marigold's preprocessing leaves it, with `albedo_....npy` and so on beside it."""
RENDER = re.compile(r"scene_(?P<camera>cam_\d+)_final_hdf5/(?P<frame>frame\.(?P<number>\d+)\.)color\.hdf5")
"""End of the path of a render of Hypersim as published, with `diffuse_reflectance` and so on beside it."""
RENDERS = ("", "scene_cam_*_final_hdf5/", "images/scene_cam_*_final_hdf5/")
"""Where the renders of a folder of Hypersim are: of one camera, of the pictures of a scene, or of a scene."""
KNOWN = (
    "a folder of pictures (with IIW's judgements beside them, ID.json), of the MIT intrinsic images "
    "(OBJECT/diffuse.png), of InteriorVerse (NNN_im.exr) or of Hypersim (SCENE/images/scene_cam_00_final_hdf5, or "
    "SCENE/rgb_....png as Marigold has it), a picture, or a list (txt, jsonl, json, csv)"
)
"""What `photos.path` may be, for messages."""


def photo_rows(path: str) -> list[Row]:
    """Rows of `photos.path`, in order. Raises SyncbenchError where nothing of KNOWN is found."""
    if not path:
        raise SyncbenchError(f"photos needs pictures: add --set photos.path=FOLDER, which is {KNOWN}")
    place = Path(path).expanduser()
    if not is_folder(place) and not is_file(place) and place.suffix.lower() not in READERS:
        raise SyncbenchError(f"no picture '{quoted(path)}'{origin_of('photos', path)}")
    if place.suffix.lower() == ".txt" and (marigold := _marigold(place)):
        return marigold
    if place.suffix.lower() in READERS:
        rows = read_rows(str(place), ("photo",), KNOWN_OF, prompted=False)
        names = ("photo", *KNOWN_OF)
        found = [
            _completed(
                {key: inside(place.parent, text, path) if key in names and text else text for key, text in row.items()}
            )
            for row in rows
        ]
    elif is_folder(place):
        found = _folder(place)
    else:
        found = [_with_known(place)]
    if not found or len(found) > ITEMS:
        many = f"more than {ITEMS:,} pictures" if found else f"no pictures ({', '.join(sorted(ENDINGS))})"
        raise SyncbenchError(f"{quoted(path)}: {many} in this folder; photos.path is {KNOWN}")
    return found


def _folder(root: Path) -> list[Row]:
    """Rows of a folder: of the pictures in it, or else of the folders in it that are items of a layout."""
    flat = _scene(root) or [_with_known(file) for file in picture_files(root)]
    if flat:
        return flat
    rows: list[Row] = []
    for one in sorted((one for one in root.iterdir() if is_folder(one)), key=natural_order):
        rows += _scene(one)
    return rows


def _scene(folder: Path) -> list[Row]:
    """Rows of a folder of the MIT intrinsic images (one), of InteriorVerse or Hypersim (several); else none."""
    if mit := _mit(folder / f"{MIT[0]}.png"):
        return [mit]
    rows = [row for file in sorted(folder.glob("*_im.exr"), key=natural_order) if (row := _interiorverse(file))]
    frames = [row for file in sorted(folder.glob("rgb_*.png"), key=natural_order) if (row := _hypersim(file))]
    rows += frames if any(row[name] for row in frames for name in KNOWN_OF) else []
    renders = (file for place in RENDERS for file in folder.glob(f"{place}frame.*.color.hdf5"))
    by_camera = sorted(renders, key=lambda file: (natural_order(file.parent), natural_order(file)))
    return rows + [row for file in by_camera if (row := _render(file))]


def _completed(row: Row) -> Row:
    """A row of a list, with what the photograph's layout keeps beside it and the row does not name."""
    beside = _with_known(Path(row["photo"]))
    if row["normal"]:
        beside["axes"] = ""
    if row["depth"] or row["distance"]:
        beside |= {"depth": "", "distance": "", "unit": ""}
    return {**beside, **{key: text for key, text in row.items() if text or key not in KNOWN_OF}}


def _with_known(photo: Path) -> Row:
    """A row of a photograph, with what its layout keeps beside it."""
    if row := _mit(photo) or _interiorverse(photo) or _render(photo):
        return row
    if (row := _hypersim(photo)) and any(row[name] for name in KNOWN_OF):
        return row
    beside = photo.with_suffix(".json") if photo.name else photo
    judged = is_file(beside) and b'"intrinsic_points"' in read_bytes(beside, 2**24)
    return _row(photo, photo.stem, judgements=str(beside) if judged else "")


def _mit(photo: Path) -> Row | None:
    """A row of an object of the MIT intrinsic images; None unless all its pictures are there."""
    if photo.name != f"{MIT[0]}.png" or not all(is_file(photo.with_name(f"{name}.png")) for name in MIT):
        return None
    known = {kind: str(photo.with_name(f"{name}.png")) for kind, name in zip(MIT_KNOWN, MIT[1:], strict=True)}
    return _row(photo, _whole(photo).parent.name, **known)


def _interiorverse(photo: Path) -> Row | None:
    """A row of a picture of InteriorVerse; None for another file."""
    if not photo.name.endswith("_im.exr"):
        return None
    stem = photo.name.removesuffix("_im.exr")
    known = {name: photo.with_name(f"{stem}_{name}.exr") for name in ("albedo", "normal", "depth", "mask")}
    row = _row(photo, f"{_whole(photo).parent.name}-{stem}", **_there(known))
    return {**row, "axes": "opengl", "unit": "mm"}


def _hypersim(photo: Path) -> Row | None:
    """A row of a picture of Hypersim as Marigold has it; None for another file."""
    match = FRAME.fullmatch(photo.name)
    if not match:
        return None
    known = {kind: photo.with_name(f"{kind}_{match['rest']}.npy") for kind in ("albedo", "shading", "residual")}
    known["depth"] = photo.with_name(f"depth_plane_{match['rest']}.png")
    return _row(photo, f"{_whole(photo).parent.name}-{match['rest']}", **_there(known))


def _render(photo: Path) -> Row | None:
    """A row of a render of Hypersim as published; None for another file. Normals are those with bumps, if there."""
    place = _whole(photo)
    match = RENDER.fullmatch(f"{place.parent.name}/{place.name}")
    if not match:
        return None
    shape = place.parent.with_name(f"scene_{match['camera']}_geometry_hdf5")
    beside = {"albedo": "diffuse_reflectance", "shading": "diffuse_illumination", "residual": "residual"}
    known = {name: photo.with_name(f"{match['frame']}{file}.hdf5") for name, file in beside.items()}
    beside = {"distance": "depth_meters", "normal": "normal_bump_cam", "entities": "render_entity_id"}
    known |= {name: shape / f"{match['frame']}{file}.hdf5" for name, file in beside.items()}
    if not is_file(known["normal"]):
        known["normal"] = shape / f"{match['frame']}normal_cam.hdf5"
    name = f"{place.parent.parent.parent.name}-{match['camera']}-{match['number']}"
    return {**_row(photo, name, **_there(known)), "axes": "opengl"}


def _whole(path: Path) -> Path:
    """The path from the root, so that the folders above it have names; links are not followed."""
    return Path(os.path.abspath(path))


def _there(files: dict[str, Path]) -> dict[str, str]:
    return {kind: str(file) for kind, file in files.items() if is_file(file)}


def _marigold(file: Path) -> list[Row]:
    """Rows of one of Marigold's split files: several relative paths a line; none for another kind of list."""
    lines = [line.split() for line in read_text(file).split("\n") if line.strip() and not line.startswith("#")]
    if (
        not lines
        or len(lines) > ITEMS
        or any(len(words) < 2 or not FRAME.fullmatch(Path(words[0]).name) for words in lines)
    ):
        return []
    rows: list[Row] = []
    for words in lines:
        maps = [word for word in words[1:] if not word.endswith(".json")]
        known = {Path(word).name.partition("_")[0]: inside(file.parent, word, str(file)) for word in maps}
        kinds = {kind: place for kind, place in known.items() if kind in KNOWN_OF}
        photo = Path(inside(file.parent, words[0], str(file)))
        rows.append(_row(photo, f"{photo.parent.name}-{photo.stem.removeprefix('rgb_')}", **kinds))
    return rows


def _row(photo: Path, name: str, **known: str) -> Row:
    return {
        **dict.fromkeys((*KNOWN_OF, "axes", "unit", "entities"), ""),
        **known,
        "photo": str(photo),
        "prompt": "",
        "id": named_id(name),
    }
