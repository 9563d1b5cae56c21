"""Generated pages of the site: a page for every component and suite, and for every name of the public interface.

`pages()` needs the package alone, not mkdocs; `hooks.py` adds its pages to the site. Links between pages are
relative to the page they stand on.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import syncbench
from syncbench.bench.catalogue.fields import field_types, show_type, show_value
from syncbench.bench.catalogue.listing import KINDS, Component, Kind, list_components
from syncbench.bench.catalogue.registry import NOUNS, component_id, load_class
from syncbench.bench.suites.suite import Entry, Part, list_suites, read_suite
from syncbench.bench.trust.grades import grades
from syncbench.bench.trust.verdicts import Card

BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "length ≥", "max_length": "length ≤"}
"""Attributes of annotated types that bound a field, and how a page writes them."""
KEPT = {True: "kept", False: "**broken**", None: "not asked"}


def pages() -> dict[str, str]:
    """Markdown of every generated page by its path in the site, in the order of the navigation."""
    written: dict[str, str] = {}
    for kind in KINDS:
        found = [component for component in list_components(kind) if component.source == "syncbench"]
        written[f"{kind}/index.md"] = _index(kind, found)
        written |= {f"{kind}/{component.id}.md": component_page(component) for component in found}
    rows = [(f"[`{suite['id']}`]({suite['id']}.md)", suite["title"]) for suite in list_suites()]
    written["suites/index.md"] = f"# Suites\n\n{table(('suite', 'what it is for'), rows)}"
    written |= {f"suites/{suite['id']}.md": suite_page(suite["id"]) for suite in list_suites()}
    return written | _api()


def component_page(component: Component) -> str:
    """Markdown of the page of one method, metric, data set or model."""
    cls = load_class(component.kind, component.id)
    title, _, rest = component.doc.partition("\n")
    parts = [f"# `{component.id}`", f"**{prose(title)}**", prose(rest.strip()), prose(own_doc(cls))]
    parts.append(table(("", ""), [(name, said) for name, said in _facts(component, cls) if said]))
    parts.append(_fields(cls))
    if presets := getattr(cls, "presets", {}):
        shown = [(f"`{component.id}@{name}`", code_of(values)) for name, values in presets.items()]
        parts.append("## Presets\n\n" + table(("name", "fields"), shown))
    if component.reported:
        text = "Numbers that papers report, in settings of their own; never to be mixed with measured ones.\n\n"
        names = ("metric", "value", "setting", "source")
        reported = [tuple(prose(str(row.get(name, ""))) for name in names) for row in component.reported]
        parts.append("## Reported elsewhere\n\n" + text + table(names, reported))
    if component.kind == "metrics":
        parts.append(_report_card([card for card in grades().cards if component_id(card.metric) == component.id]))
    return "\n\n".join(part for part in parts if part) + "\n"


def suite_page(name: str) -> str:
    """Markdown of the page of one suite: models, data sets, methods and metrics of each of its parts."""
    suite = read_suite(name)
    parts = [f"# `{name}`", f"**{prose(suite.title)}**", f"```sh\nsyncbench run {name}\n```"]
    for number, part in enumerate(suite.parts, 1):
        parts.append(f"## Part {number}: {', '.join(entry.label for entry in part.datasets)}")
        parts.append(table(("", ""), _crossed(part)))
    return "\n\n".join(parts) + "\n"


def _crossed(part: Part) -> list[tuple[str, str]]:
    rows = [
        (kind.replace("datasets", "data sets"), ", ".join(map(_linked, getattr(part, kind))))
        for kind in ("datasets", "models", "methods", "metrics")
    ]
    rows.append(("seeds", ", ".join(map(str, part.seeds))))
    rows.append(("items", ", ".join(part.items) or (f"the first {part.limit}" if part.limit else "all")))
    rows.append(("protocol", code_of(part.protocol) or "that of the data set"))
    return rows


def _linked(entry: Entry) -> str:
    return f"[`{entry.label}`](../{entry.kind}/{component_id(entry.spec)}.md)"


def _index(kind: Kind, found: Iterable[Component]) -> str:
    noun = NOUNS[kind]
    if kind == "metrics":
        head = (noun, "what it measures", "for", "better")
        extra = [(c.role or "", c.direction or "") for c in found]
    else:
        head = (noun, "what it is", "family", "paper")
        extra = [(c.family or "any", paper_link(c.paper)) for c in found]
    rows = [(f"[`{c.id}`]({c.id}.md)", prose(c.title), *more) for c, more in zip(found, extra, strict=True)]
    return f"# {noun.capitalize()}s\n\n{table(head, rows)}"


def _facts(component: Component, cls: type) -> list[tuple[str, str]]:
    """Names and values of the class data that the page lists: version, paper, licence, role, unit and so on."""
    one: Any = cls() if component.kind == "metrics" else cls  # a metric's unit may depend on its fields
    families = getattr(cls, "families", ()) or ([component.family] if component.family else [])
    first = [f"{family} ({place})" for family, place in getattr(cls, "primary", {}).items()]
    every = "any" if component.kind == "methods" else ""
    return [
        ("source", f"`{component.target.replace(':', '.')}`"),
        ("version", str(component.version or "")),
        ("paper", paper_link(component.paper)),
        ("licence of the code that was read" if component.kind == "methods" else "licence", prose(component.licence)),
        ("families", ", ".join(families) or every),
        ("door", f"`{component.door}`" if component.door else ""),
        ("needs of the model", ", ".join(f"`{name}`" for name in component.requires)),
        ("role", component.role or ""),
        ("direction", one.direction if component.kind == "metrics" else ""),
        ("unit", prose(one.unit) if component.kind == "metrics" else ""),
        ("first metric of", ", ".join(first)),
        ("depends on the machine", "yes" if getattr(cls, "machine", False) is True else ""),
    ]


def _fields(cls: type) -> str:
    """A table of fields with types, ranges, defaults and meanings; for a plain class, its constructor's docstring."""
    types = field_types(cls)
    said = {name: text for name, text in field_docs(cls).items() if name in types}
    if not types:
        return ""
    parameters = inspect.signature(cls).parameters
    rows = [
        (f"`{name}`", type_text(kind), _default(parameters.get(name)), prose(" ".join(said.get(name, "").split())))
        for name, kind in types.items()
    ]
    maker = "" if said else prose(inspect.cleandoc(cls.__init__.__doc__ or ""))
    head = ("field", "value", "default", "meaning") if said else ("field", "value", "default")
    return "\n\n".join(filter(None, ("## Fields", table(head, [row[: len(head)] for row in rows]), maker)))


def _default(parameter: inspect.Parameter | None) -> str:
    if parameter is None:
        return "(off)"
    if parameter.default is inspect.Parameter.empty:
        return "(must be given)"
    return f"`{show_value(parameter.default) or '(empty)'}`"


def field_docs(cls: type) -> dict[str, str]:
    """The string under each field of a class and of its bases, by field; a class comes before its bases."""
    said: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith("syncbench"):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            match field, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    said[name] = inspect.cleandoc(text)
    return said


def own_doc(cls: type) -> str:
    """The docstring that a class has in its own source; empty where it is a base's or was made by Python."""
    return inspect.cleandoc(cls.__dict__.get("__doc__") or "")


def type_text(kind: Any) -> str:
    """A field's type and range, in the notation in which a user writes its values."""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        bounds = [
            f"{sign} {getattr(note, name):g}"
            for note in notes
            for name, sign in BOUNDS.items()
            if getattr(note, name, None) is not None
        ]
        return ", ".join([type_text(inner), *bounds])
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(type_text(part) for part in get_args(kind))
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    return "`none`" if kind is NoneType else f"`{show_type(kind)}`"


def _report_card(cards: list[Card]) -> str:
    if not cards:
        return "## Report card\n\nNone ships with this tree."
    intro = (
        "What the metric does under controlled damage of true scenes (`syncbench validate`): from which strength on it "
        "notices, what it is blind to, what it rewards and which metric stands guard there."
    )
    rows: list[tuple[str, ...]] = []
    for card in cards:
        seen = {check.name: check.seen for check in card.checks}
        blind = ", ".join(x.corruption for x in card.ladders if x.told == "blind" and not x.harmless)
        verdict = "no answer to judge" if not card.ladders else "passed" if card.passed else "**failed** ⚠"
        shown = (seen.get("notices", "nothing"), blind, seen.get("guarded", ""))
        rows.append((card.family, f"`{card.metric}`", verdict, *map(prose, shown)))
    head = ("family", "metric", "card", "notices, from", "blind to", "rewards: guard")
    parts = ["## Report card", intro, table(head, rows)]
    for card in cards:
        promises = [(check.name, KEPT[check.passed], prose(check.seen)) for check in card.checks]
        parts.append(f"### {card.family}: `{card.metric}`\n\n" + table(("promise", "", "seen"), promises))
    return "\n\n".join(parts)


def _api() -> dict[str, str]:
    """Markdown of a page per public name, filled by mkdocstrings, and of their index, by path."""
    names = [name for name in syncbench.__all__ if not name.startswith("__")]
    homes: dict[str, str] = vars(syncbench)["_HOME"]
    written: dict[str, str] = {}
    rows: list[tuple[str, str, str]] = []
    for name in names:
        found = getattr(syncbench, name)
        # An alias, such as `Family`, is where the package takes it from; its docstring is that of what it stands for.
        alias = not hasattr(found, "__qualname__") or found.__module__ == "typing"
        home = f"syncbench.bench.{homes[name]}.{name}" if alias else f"{found.__module__}.{found.__qualname__}"
        doc = "" if alias else inspect.cleandoc(found.__doc__ or "")
        title = doc.partition("\n")[0] or "What must agree: the family of a method and of data."
        rows.append((f"[`{name}`]({name}.md)", prose(title), f"`{home}`"))
        written[f"api/{name}.md"] = f"# `{name}`\n\n```py\nfrom syncbench import {name}\n```\n\n::: {home}\n"
    intro = "# Python\n\nThe public names of `syncbench`; each is loaded when it is first asked for.\n\n"
    return {"api/index.md": intro + table(("name", "what it is", "defined as"), rows), **written}


def paper_link(paper: str) -> str:
    """An arXiv id or a DOI as a link."""
    if not paper:
        return ""
    if paper.startswith("10."):
        return f"[doi {paper}](https://doi.org/{paper})"
    return f"[arXiv {paper}](https://arxiv.org/abs/{paper})" if re.match(r"\d{4}\.\d", paper) else prose(paper)


def prose(text: str) -> str:
    """A docstring as Markdown, in which characters of markup outside code are escaped."""
    lines = [
        line if line.startswith("    ") else "`".join(_text(part, n % 2 == 1) for n, part in enumerate(line.split("`")))
        for line in text.splitlines()
    ]
    return "\n".join(lines)


def _text(part: str, code: bool) -> str:
    return part if code else re.sub(r"([*_\[\]])", r"\\\1", part.replace("&", "&amp;").replace("<", "&lt;"))


def code_of(values: Any) -> str:
    """Fields and values as `name = value`, in code."""
    return ", ".join(f"`{name} = {show_value(value)}`" for name, value in values.items())


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A pipe table; empty where there are no rows."""
    head, rows = tuple(head), [tuple(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    lines = [head, ("---",) * len(head), *rows] if rows else []
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
