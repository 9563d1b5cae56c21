"""The closed grammar of the world: 35 words, two caption templates, one parser.

object:     ``a red cube [with white stripes] on a green meadow under a [cloudy] blue sky``
landscape:  ``a landscape of green meadow and purple hills [and grey mountains] under a [cloudy] orange sky``

Every colour stands directly before the one thing it colours, and everything visible is named. So a caption has one
reading and a picture has one caption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["object", "landscape"]

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "grey")
GROUNDS = ("sea", "meadow", "desert")
LAYERS = ("hills", "mountains", "forest", "city", "dunes")
SHAPES = ("ball", "cube", "cone", "cylinder", "ring", "star")
PATTERNS = ("stripes", "dots", "checks")
SCENES = GROUNDS + LAYERS
GLUE = ("a", "an", "landscape", "of", "and", "under", "on", "with", "cloudy", "sky")
WORDS = GLUE + COLOURS + SCENES + SHAPES + PATTERNS

CLASSES: dict[str, tuple[str, ...]] = {
    "colour": COLOURS,
    "ground": GROUNDS,
    "layer": LAYERS,
    "shape": SHAPES,
    "pattern": PATTERNS,
}
"""Word classes; two words of one class can replace each other in any caption."""


@dataclass(frozen=True)
class Slots:
    """A parsed caption."""

    kind: Kind
    parts: tuple[tuple[str, str, str], ...]
    """Role, colour and word of each thing, from front to back, the sky last."""
    cloudy: bool = False

    @property
    def caption(self) -> str:
        """The one caption of these slots."""
        names = {role: f"{colour} {word}" for role, colour, word in self.parts if role != "layer"}
        sky = _an(("cloudy " if self.cloudy else "") + names["sky"])
        if self.kind == "object":
            pattern = f" with {names['pattern']}" if "pattern" in names else ""
            return f"{_an(names['object'])}{pattern} on {_an(names['ground'])} under {sky}"
        layers = " and ".join(f"{colour} {word}" for role, colour, word in self.parts if role == "layer")
        return f"a landscape of {names['ground']} and {layers} under {sky}"


def _an(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


class _Reader:
    """A position in the words of a caption. Raises ValueError for a word that is not in WORDS."""

    def __init__(self, caption: str):
        self.caption = caption
        self.words = caption.lower().split()
        self.at = 0
        unknown = [word for word in self.words if word not in WORDS]
        if unknown:
            raise ValueError(f"unknown word {unknown[0]!r} in caption {caption!r}; words: {', '.join(WORDS)}")

    def skip(self, *words: str) -> bool:
        """Whether `words` come next; if so, the position moves behind them."""
        next_are_words = tuple(self.words[self.at : self.at + len(words)]) == words
        if next_are_words:
            self.at += len(words)
        return next_are_words

    def expect(self, what: str, among: tuple[str, ...]) -> str:
        """The next word. Raises ValueError, with `what` was expected, unless it is `among` the allowed ones."""
        word = self.words[self.at] if self.at < len(self.words) else None
        if word not in among:
            found = repr(word) if word else "the end"
            raise ValueError(
                f"expected {what} ({', '.join(among)}) but found {found} at word {self.at + 1} of "
                f"caption {self.caption!r}"
            )
        self.at += 1
        return word

    def part(self, role: str, what: str, among: tuple[str, ...]) -> tuple[str, str, str]:
        """Role, colour and word of the next two words. Raises ValueError unless they are a colour and `what`."""
        colour = self.expect("a colour", COLOURS)
        return role, colour, self.expect(what, among)


def parse(caption: str) -> Slots:
    """The slots of a caption. Raises ValueError that names the first word which the grammar does not allow."""
    read = _Reader(caption)
    parts: list[tuple[str, str, str]] = []
    kind: Kind
    if read.skip("a", "landscape"):
        kind = "landscape"
        read.expect("'of'", ("of",))
        parts.append(read.part("ground", "a ground", GROUNDS))
        read.expect("'and'", ("and",))
        parts.append(read.part("layer", "a layer", LAYERS))
        if read.skip("and"):
            parts.append(read.part("layer", "a layer", LAYERS))
    else:
        kind = "object"
        read.expect("an article", ("a", "an"))
        parts.append(read.part("object", "a shape", SHAPES))
        if read.skip("with"):
            parts.append(read.part("pattern", "a pattern", PATTERNS))
        read.expect("'on'", ("on",))
        read.expect("an article", ("a", "an"))
        parts.append(read.part("ground", "a ground", GROUNDS))
    read.expect("'under'", ("under",))
    read.expect("an article", ("a", "an"))
    cloudy = read.skip("cloudy")
    parts.append(read.part("sky", "'sky'", ("sky",)))
    if read.at < len(read.words):
        raise ValueError(f"unexpected {read.words[read.at]!r} after the sky of caption {caption!r}")
    return Slots(kind, tuple(parts), cloudy)


def is_caption(caption: str) -> bool:
    """Whether a text is a caption of the grammar.

    >>> is_caption("a red ball on a green meadow under a blue sky")
    True
    >>> is_caption("a woman running in a garden"), is_caption("")
    (False, False)
    """
    try:
        parse(caption)
    except ValueError:
        return False
    return True


def alternatives(caption: str) -> list[tuple[str, str, list[str]]]:
    """For every slot of a caption: its word class (a key of `CLASSES`), its word, and all captions with another word.

    Those captions are grammatical and differ from the given one in that slot only.
    """
    slots = parse(caption)
    rivals: list[tuple[str, str, list[str]]] = []
    roles = {"ground": "ground", "layer": "layer", "object": "shape", "pattern": "pattern"}
    for i, (role, colour, word) in enumerate(slots.parts):

        def swap(part: tuple[str, str, str], i: int = i) -> str:
            parts = (*slots.parts[:i], part, *slots.parts[i + 1 :])
            return Slots(slots.kind, parts, slots.cloudy).caption

        others = [swap((role, other, word)) for other in COLOURS if other != colour]
        rivals.append(("colour", colour, others))
        if role in roles:
            name = roles[role]
            rivals.append((name, word, [swap((role, colour, w)) for w in CLASSES[name] if w != word]))
    return rivals
