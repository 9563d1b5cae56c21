"""Clips, their prompts and masks in folders: DAVIS, LOVEU-TGVE-2023, V2VBench, frame folders or files side by side."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from ...bench.errors import SyncbenchError, quoted
from ...bench.fetch.public import origin_of
from ...bench.files.reading import is_file, is_folder, read_text
from ...bench.limits import ITEMS
from .._pictures import natural_order, picture_files
from .._rows import TABLES, checked_prompt, inside, named_id, rows_of

Row = dict[str, str]
TAKES = ("source", "target", "mask", "start", "stop", "every")
"""Columns of an index file that a row may have beside `video`, `prompt`, `id` and `negative`."""
CLIPS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif", ".m4v", ".webp", ".mpg", ".mpeg", ".ogv", ".apng")
"""Endings by which the clips of a folder are recognised."""
YAML = (".yaml", ".yml")
KNOWN = (
    "a clip, a folder of frames or of clips, a list (jsonl, json, csv), DAVIS (JPEGImages/480p/NAME/00000.jpg, or a "
    "split, ImageSets/2017/val.txt), LOVEU-TGVE-2023 (its configs as yaml beside data/) or V2VBench (its index as yaml)"
)
"""What `videos.path` may be, for messages."""


def clip_rows(path: str, prompt: str) -> list[Row]:
    """Rows with `video` (a file or a folder of frames), `prompt`, `id`, `negative` and the columns TAKES, in order.

    `prompt` is for clips whose layout gives none. Raises SyncbenchError where nothing of KNOWN is found, for a file
    that a layout promises and that is missing, and for a clip without a prompt.
    """
    if not path:
        raise SyncbenchError(f"no video given: add --set videos.path=FILE, which is {KNOWN}")
    place = Path(path).expanduser()
    if not is_folder(place) and not is_file(place) and place.suffix.lower() not in TABLES:
        raise SyncbenchError(f"no video file '{quoted(path)}'{origin_of('videos', path)}")
    if place.suffix.lower() in TABLES:
        return [_numbers(row, path) for row in rows_of(str(place), "video", TAKES)]
    found = list(_layout(place))
    if not found or len(found) > ITEMS:
        many = f"more than {ITEMS:,} clips" if found else "no clips"
        raise SyncbenchError(f"{quoted(path)}: {many} here; videos.path is {KNOWN}")
    given = checked_prompt(prompt, "videos.prompt") if prompt.strip() else ""
    for row in found:
        row["prompt"] = checked_prompt(row["prompt"], row["id"]) if row["prompt"] else given
        if not row["prompt"]:
            raise SyncbenchError(
                f"{quoted(row['video'])}: a clip needs a prompt, which says what it is to become: add --set "
                "videos.prompt='...', or list clips with their prompts in a jsonl, json or csv file"
            )
    return found


def _layout(place: Path) -> Iterator[Row]:
    """Rows of a file or folder that is no table."""
    if place.suffix.lower() in YAML:
        yield from _yaml(place)
    elif place.suffix.lower() == ".txt" and place.parent.parent.name == "ImageSets":
        yield from _davis(place.parents[2], place)
    elif not is_folder(place):
        yield _row(place, place.stem)
    elif is_folder(place / "JPEGImages"):
        yield from _davis(place, None)
    elif files := sorted([*place.glob("configs/*/*/*.yaml"), *place.glob("*.yaml"), *place.glob("*_480p/*.yaml")]):
        for file in files:
            yield from _yaml(file)
    elif picture_files(place):
        yield _row(place, place.name, mask=_davis_mask(place))
    else:
        for one in sorted(place.iterdir(), key=natural_order):
            if one.suffix.lower() in CLIPS and is_file(one):
                yield _row(one, one.stem)
            elif is_folder(one) and picture_files(one):
                yield _row(one, one.name)


def _davis(root: Path, split: Path | None) -> Iterator[Row]:
    """Rows of DAVIS 2016 or 2017: the sequences of a split file, or all, with their annotations as masks."""
    sizes = [size for size in ("480p", "Full-Resolution") if is_folder(root / "JPEGImages" / size)]
    if not sizes:
        raise SyncbenchError(
            f"{quoted(root)}: no folder JPEGImages/480p or JPEGImages/Full-Resolution, as DAVIS has it"
        )
    frames = root / "JPEGImages" / sizes[0]
    names = sorted(one.name for one in frames.iterdir() if is_folder(one))
    if split is not None:
        names = [line.strip() for line in read_text(split).split("\n") if line.strip()]
    for name in names:
        folder = Path(inside(frames, name, str(split or root)))
        if not is_folder(folder):
            raise SyncbenchError(
                f"{quoted(split or root)}: no folder JPEGImages/{sizes[0]}/{quoted(name, 60)} in {root}"
            )
        yield _row(folder, name, mask=_davis_mask(folder))


def _davis_mask(frames: Path) -> str:
    """The folder of annotations beside a folder JPEGImages/SIZE/NAME of frames; empty where there is none."""
    if frames.parent.parent.name != "JPEGImages":
        return ""
    root = frames.parents[2]
    folders = [root / kind / frames.parent.name / frames.name for kind in ("Annotations", "Annotations_unsupervised")]
    return next((str(folder) for folder in folders if is_folder(folder)), "")


def _yaml(file: Path) -> Iterator[Row]:
    """Rows of a yaml file of LOVEU-TGVE-2023 (one clip, several prompts) or of V2VBench (the index of all clips)."""
    try:
        content = yaml.safe_load(read_text(file, 2**22))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f":{line + 1}" if isinstance(line, int) else ""
        raise SyncbenchError(
            f"{quoted(file)}{where}: not YAML ({quoted(getattr(error, 'problem', error), 60)})"
        ) from error
    table = _table(content)
    if "train_data" in table:
        yield from _tgve(file, _table(table["train_data"]), _table(table.get("validation_data")))
    elif isinstance(table.get("data"), list):
        yield from _v2vbench(file, table["data"])
    else:
        raise SyncbenchError(
            f"{quoted(file)}: neither the keys of LOVEU-TGVE-2023 (train_data, validation_data) nor V2VBench's data"
        )


def _tgve(file: Path, train: Mapping[str, Any], edits: Mapping[str, Any]) -> Iterator[Row]:
    given, prompts = train.get("video_path"), edits.get("prompts")
    named = (
        dict(prompts) if isinstance(prompts, dict) else dict(enumerate(prompts if isinstance(prompts, list) else ()))
    )
    if not isinstance(given, str) or not named or not all(isinstance(one, str) for one in named.values()):
        raise SyncbenchError(
            f"{quoted(file)}: no text train_data.video_path or no texts validation_data.prompts, as LOVEU-TGVE-2023 has"
        )
    given = given.removeprefix("./")
    video = _found_above(file, given)
    source = train.get("prompt")
    for name, prompt in named.items():
        row = _row(video, f"{file.stem}-{name}", str(prompt), mask="")
        yield {**row, "source": checked_prompt(source, str(file)) if isinstance(source, str) and source else ""}


def _found_above(file: Path, given: str) -> Path:
    """The clip that a configuration names relative to its repository, which is a folder above the configuration."""
    for base in file.resolve().parents[:6]:
        place = Path(inside(base, given, str(file)))
        if is_folder(place) or is_file(place):
            return place
    raise SyncbenchError(
        f"{quoted(file)}: no '{quoted(given, 80)}' in any folder above; LOVEU-TGVE-2023's data are unpacked as "
        "data/loveu-tgve-2023 beside its configs"
    )


def _v2vbench(file: Path, entries: Sequence[Any]) -> Iterator[Row]:
    folders = [base for base in (file.parent, file.parent / "videos") if is_folder(base)]
    files = [one for base in folders for one in base.iterdir() if one.suffix.lower() in CLIPS]
    clips = {one.stem: one for one in files}
    for entry in entries:
        row = _table(entry)
        name, edits = row.get("video_id"), row.get("edit")
        if not isinstance(name, str) or not isinstance(edits, list):
            raise SyncbenchError(f"{quoted(file)}: an entry of data has no video_id or no list edit, as V2VBench has")
        if name not in clips:
            raise SyncbenchError(f"{quoted(file)}: no clip '{quoted(name, 60)}.*' beside this file")
        for number, edit in enumerate(cast(list[Any], edits)):
            prompt = _table(edit).get("prompt")
            if not isinstance(prompt, str):
                raise SyncbenchError(f"{quoted(file)}: an edit of '{quoted(name, 60)}' has no prompt")
            yield _row(clips[name], f"{name}-{number}", prompt)


def _table(value: Any) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}


def _numbers(row: Row, path: str) -> Row:
    """The row, whose numbers of frames are whole. Raises SyncbenchError for others."""
    for name in ("start", "stop", "every"):
        if row[name] and not re.fullmatch(r"[0-9]{1,6}", row[name]):
            raise SyncbenchError(
                f"{quoted(path)}: {row['id']}: {name} is a number of frames, not '{quoted(row[name], 20)}'"
            )
    return row


def _row(video: Path, name: str, prompt: str = "", mask: str = "") -> Row:
    blank = dict.fromkeys(TAKES, "")
    return {**blank, "id": named_id(name), "video": str(video), "prompt": prompt, "negative": "", "mask": mask}
