"""Which output is of which item: by the names of files and folders, or by the rows of a manifest.

A file or folder is an output of an item if its name, or the end of its path joined by - or _, is the item's id; digits
of a hash that a data set adds to ids may be left out (`run.mp4` for `run-3fa2b1`). Folders named by a number, `seed1`
or `seed_1`, above an output or between an item and its outputs, are seeds.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import SyncbenchError, quoted
from ..limits import SEED
from ..types import Item
from .leaves import Found, Kind, Leaf

DIGITS = re.compile(r"-[0-9a-f]{6}$")
"""Pattern of the digits of a hash at the end of an id."""
LEVEL = re.compile(r"(?:seed[-_]?)?(\d{1,19})", re.IGNORECASE)
"""Pattern of the name of a seed's folder."""
SAME = {"normals": "normal", "shadings": "shading", "irradiance": "shading"}
"""Other names of channels."""


@dataclass(frozen=True)
class Output:
    """The files that are one output."""

    name: str
    """Path of the file or folder, for messages and notes."""
    kind: Kind
    files: tuple[Path, ...]


@dataclass
class Matched:
    """Outputs by item and seed, and the rest."""

    outputs: dict[tuple[str, int], Output] = field(default_factory=dict[tuple[str, int], Output])
    seeds_told: bool = False
    """Whether names or rows tell the seeds."""
    missing: list[str] = field(default_factory=list[str])
    """Items, with seeds where there are several, that have no output."""
    unmatched: list[str] = field(default_factory=list[str])
    """Outputs, by path, that are of no item."""
    extra: list[str] = field(default_factory=list[str])
    """Files, by path, that are no outputs."""

    def add(self, item: str, seed: int, output: Output) -> None:
        """Add an output. Raises SyncbenchError where the item has another one of that seed."""
        before = self.outputs.setdefault((item, seed), output)
        if before is not output:
            raise SyncbenchError(
                f"'{quoted(before.name)}' and '{quoted(output.name)}' are both outputs of item '{item}', seed {seed}: "
                "leave one, or put each into the folder of its seed"
            )

    def finish(self, items: Sequence[Item]) -> None:
        """List the items without an output, once all outputs are added."""
        seeds = sorted({seed for _, seed in self.outputs})
        gone = [(item.id, seed) for item in items for seed in seeds if (item.id, seed) not in self.outputs]
        self.missing = [f"{item} seed {seed}" if len(seeds) > 1 else item for item, seed in gone]


def item_names(items: Iterable[Item]) -> dict[str, str]:
    """Ids of items by the names that mean them: the id itself, and the id without the digits of a hash if unique."""
    ids = [item.id for item in items]
    short: dict[str, list[str]] = defaultdict(list)
    for id in ids:
        short[DIGITS.sub("", id)].append(id)
    return {name: of[0] for name, of in short.items() if len(of) == 1} | {id: id for id in ids}


def match_names(found: Found, items: Sequence[Item], seed: int = 0) -> Matched:
    """The outputs of items by their names; those without a seed's folder have `seed`."""
    names, channels = item_names(items), _channels(items)
    matched = Matched(extra=list(found.extra))
    taken: set[Path] = set()
    pieces: dict[tuple[str, int], dict[str, Path]] = defaultdict(dict)
    joined = {leaf.files[0] for leaf in found.leaves if not leaf.whole and _named(leaf.parts, names, least=2)[0]}
    # folders first: their files are frames or views, unless these are named like items by their paths
    for leaf in sorted(found.leaves, key=lambda one: (not one.whole, len(one.parts))):
        if taken.issuperset(leaf.files) or (leaf.whole and joined.intersection(leaf.files)):
            continue
        parts, level = _without_seed(leaf.parts, names)
        item, _ = _named(parts, names)
        piece = None if leaf.whole or leaf.kind != "pictures" else _channel(parts, names, channels)
        if piece is not None:
            item, name = piece
            if pieces[item, seed if level is None else level].setdefault(name, leaf.files[0]) != leaf.files[0]:
                raise SyncbenchError(f"'{quoted(leaf.name)}' is a second {name} of item '{item}'")
        elif item is not None:
            files, more = ordered_files(leaf, channels.get(item, ()))
            matched.add(item, seed if level is None else level, Output(leaf.name, leaf.kind, files))
            matched.extra += ["/".join((*leaf.parts, path.name)) for path in more]
        else:
            continue
        matched.seeds_told |= level is not None
        taken.update(leaf.files)
    for (item, number), by_name in pieces.items():
        lacking = [name for name in channels[item] if name not in by_name]
        if lacking:
            raise SyncbenchError(f"item '{item}' has no picture of its {lacking[0]} among '{_common(by_name)}'")
        files = tuple(by_name[name] for name in channels[item])
        matched.add(item, number, Output(_common(by_name), "pictures", files))
    matched.unmatched = _left([leaf for leaf in found.leaves if taken.isdisjoint(leaf.files)], found)
    matched.finish(items)
    return matched


def seed_of(text: str) -> int | None:
    """The seed that a folder's name says; None for other names."""
    level = LEVEL.fullmatch(text)
    return int(level[1]) if level is not None and int(level[1]) <= SEED else None


def _named(parts: Sequence[str], names: dict[str, str], least: int = 1) -> tuple[str | None, int]:
    """The item that the end of a path names, by as many of its parts as possible, and how many; at least `least`."""
    for count in range(len(parts), least - 1, -1):
        for joint in "-_":
            item = names.get(joint.join(parts[len(parts) - count :]))
            if item is not None:
                return item, count
    return None, 0


def _without_seed(parts: tuple[str, ...], names: dict[str, str]) -> tuple[tuple[str, ...], int | None]:
    """A path without the part that is a seed, and the seed; the path itself, and None, where none is."""
    item, count = _named(parts, names)
    if item is None and len(parts) > 1 and _named(parts[:-1], names)[0] and (level := seed_of(parts[-1])) is not None:
        return parts[:-1], level
    for place, part in enumerate(parts[: len(parts) - max(count, 1)]):
        if part not in names and (level := seed_of(part)) is not None:
            return (*parts[:place], *parts[place + 1 :]), level
    return parts, None


def _channels(items: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    """The channels of each item that has some, in the order of its views."""
    named = {item.id: tuple(getattr(item.surface, "names", ())) for item in items}
    return {id: names for id, names in named.items() if names}


def _words(text: str) -> list[str]:
    return [SAME.get(word, word) for word in re.split(r"[^a-z0-9]+", text.lower()) if word]


def _channel(
    parts: Sequence[str], names: dict[str, str], channels: dict[str, tuple[str, ...]]
) -> tuple[str, str] | None:
    """The item and channel of a picture `<item>_<channel>` or `<channel>/<item>`; None for other names."""
    stem = parts[-1]
    for cut in (place for place, letter in enumerate(stem) if letter in "_-."):
        item = names.get(stem[:cut])
        if item in channels:
            for name in channels[item]:
                if name in _words(stem[cut:]):
                    return item, name
    item = names.get(stem)
    if item in channels and len(parts) > 1:
        return next(((item, name) for name in channels[item] if name in _words(parts[-2])), None)
    return None


def ordered_files(leaf: Leaf, channels: tuple[str, ...]) -> tuple[tuple[Path, ...], list[Path]]:
    """The files of an output in the order of its views, and those that are none of them.

    Pictures of channels are told by the channel's name in theirs. Raises SyncbenchError where one has no picture.
    """
    if not (leaf.whole and channels and leaf.kind == "pictures" and len(leaf.files) > 1):
        return leaf.files, []
    own: dict[str, Path] = {}
    for path in leaf.files:
        for name in channels:
            if name in _words(path.stem) and own.setdefault(name, path) != path:
                raise SyncbenchError(f"'{leaf.name}' has two pictures of its {name}: {own[name].name} and {path.name}")
    lacking = [name for name in channels if name not in own]
    if lacking:
        raise SyncbenchError(
            f"'{quoted(leaf.name)}' has no picture of its {lacking[0]}: name the pictures {', '.join(channels)}"
        )
    files = tuple(own[name] for name in channels)
    return files, [path for path in leaf.files if path not in files]


def _common(by_name: dict[str, Path]) -> str:
    return ", ".join(path.name for path in by_name.values())


def _left(leaves: Sequence[Leaf], found: Found) -> list[str]:
    """Names of outputs that are of no item: a folder of pictures once, and not what belongs to a mesh beside it."""
    whole = {path for leaf in leaves if leaf.whole for path in leaf.files}
    meshes = {path.parent for leaf in found.leaves if leaf.kind == "mesh" for path in leaf.files}
    return [
        leaf.name
        for leaf in leaves
        if leaf.whole
        or not (whole.intersection(leaf.files) or (leaf.kind == "pictures" and leaf.files[0].parent in meshes))
    ]
