"""Photographs and what is known of them: folders, IIW, MIT intrinsic images, InteriorVerse, Hypersim.

A row has `photo`, and paths of what is known of it by the names KNOWN_OF; other columns are empty. `axes` are those of
normals and `unit` is that of depth, where a layout says so. `entities` says where a render of Hypersim shows a thing.
"""

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
LINEAR = (".exr", ".npy", ".hdf5")
"""Endings of photographs in linear light."""
MIT = ("diffuse", "reflectance", "shading", "mask")
"""Names of the pictures of a folder of the MIT intrinsic images that are read: the photograph and its truth."""
FRAME = re.compile(r"rgb_(?P<rest>.+)\.png")
"""Name of a photograph of Hypersim as Marigold's preprocessing leaves it, with `albedo_....npy` and so on beside it."""
RENDER = re.compile(r"scene_(?P<camera>cam_\d+)_final_hdf5/(?P<frame>frame\.(?P<number>\d+)\.)color\.hdf5")
"""End of the path of a render of Hypersim as published, with `diffuse_reflectance` and so on beside it."""
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
            {"axes": "", "unit": "", "entities": ""}
            | {key: inside(place.parent, text, path) if key in names and text else text for key, text in row.items()}
            for row in rows
        ]
    elif is_folder(place):
        found = _folder(place)
    else:
        found = [_render(place) or _row(place, place.stem)]
    if not found or len(found) > ITEMS:
        many = f"more than {ITEMS:,} pictures" if found else f"no pictures ({', '.join(sorted(ENDINGS))})"
        raise SyncbenchError(f"{quoted(path)}: {many} in this folder; photos.path is {KNOWN}")
    return found


def _folder(root: Path) -> list[Row]:
    """Rows of a folder: of the pictures in it, or else of the folders in it that are items of a layout."""
    flat = _scene(root) or [_with_judgements(file) for file in picture_files(root)]
    if flat:
        return flat
    rows: list[Row] = []
    for one in sorted((one for one in root.iterdir() if is_folder(one)), key=natural_order):
        rows += _scene(one)
    return rows


def _scene(folder: Path) -> list[Row]:
    """Rows of a folder of the MIT intrinsic images (one), of InteriorVerse or Hypersim (several); else none."""
    if all(is_file(folder / f"{name}.png") for name in MIT):
        photo, albedo, shading, mask = (str(folder / f"{name}.png") for name in MIT)
        return [_row(Path(photo), folder.name, albedo=albedo, shading=shading, mask=mask)]
    rows: list[Row] = []
    for file in sorted(folder.glob("*_im.exr"), key=natural_order):
        stem = file.name.removesuffix("_im.exr")
        known = {name: file.with_name(f"{stem}_{name}.exr") for name in ("albedo", "normal", "depth", "mask")}
        there = {name: str(one) for name, one in known.items() if is_file(one)}
        rows.append({**_row(file, f"{folder.name}-{stem}", **there), "axes": "opengl", "unit": "mm"})
    for file in sorted(folder.glob("rgb_*.png"), key=natural_order):
        if match := FRAME.fullmatch(file.name):
            rows.append(_hypersim(file, f"{folder.name}-{match['rest']}"))
    renders = sorted(folder.glob("images/scene_cam_*_final_hdf5/frame.*.color.hdf5"), key=natural_order)
    return rows + [row for file in renders if (row := _render(file))]


def _render(photo: Path) -> Row | None:
    """A row of a render of Hypersim as published; None for another file. Normals are those with bumps, if there."""
    place = photo.absolute()
    match = RENDER.fullmatch(f"{place.parent.name}/{place.name}")
    if not match:
        return None
    shape = photo.parent.with_name(f"scene_{match['camera']}_geometry_hdf5")
    beside = {"albedo": "diffuse_reflectance", "shading": "diffuse_illumination", "residual": "residual"}
    known = {name: photo.with_name(f"{match['frame']}{file}.hdf5") for name, file in beside.items()}
    beside = {"distance": "depth_meters", "normal": "normal_bump_cam", "entities": "render_entity_id"}
    known |= {name: shape / f"{match['frame']}{file}.hdf5" for name, file in beside.items()}
    if not is_file(known["normal"]):
        known["normal"] = shape / f"{match['frame']}normal_cam.hdf5"
    there = {name: str(one) for name, one in known.items() if is_file(one)}
    name = f"{place.parent.parent.parent.name}-{match['camera']}-{match['number']}"
    return {**_row(photo, name, **there), "axes": "opengl"}


def _hypersim(photo: Path, name: str) -> Row:
    rest = photo.stem.removeprefix("rgb_")
    known = {kind: photo.with_name(f"{kind}_{rest}.npy") for kind in ("albedo", "shading", "residual")}
    known["depth"] = photo.with_name(f"depth_plane_{rest}.png")
    return _row(photo, name, **{kind: str(one) for kind, one in known.items() if is_file(one)})


def _marigold(file: Path) -> list[Row]:
    """Rows of one of Marigold's split files: several relative paths a line; none for another kind of list."""
    lines = [line.split() for line in read_text(file).split("\n") if line.strip() and not line.startswith("#")]
    if not lines or len(lines) > ITEMS or any(len(words) < 2 or "rgb_" not in words[0] for words in lines):
        return []
    rows: list[Row] = []
    for words in lines:
        maps = [word for word in words[1:] if not word.endswith(".json")]
        known = {Path(word).name.partition("_")[0]: inside(file.parent, word, str(file)) for word in maps}
        kinds = {kind: place for kind, place in known.items() if kind in KNOWN_OF}
        photo = Path(inside(file.parent, words[0], str(file)))
        rows.append(_row(photo, f"{photo.parent.name}-{photo.stem.removeprefix('rgb_')}", **kinds))
    return rows


def _with_judgements(photo: Path) -> Row:
    """A row of a picture, with the file of the same name of IIW's judgements where there is one."""
    beside = photo.with_suffix(".json")
    judged = is_file(beside) and b'"intrinsic_points"' in read_bytes(beside, 2**24)
    return _row(photo, photo.stem, judgements=str(beside) if judged else "")


def _row(photo: Path, name: str, **known: str) -> Row:
    return {
        **dict.fromkeys((*KNOWN_OF, "axes", "unit", "entities"), ""),
        **known,
        "photo": str(photo),
        "prompt": "",
        "id": named_id(name),
    }
