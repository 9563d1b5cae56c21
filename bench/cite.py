"""BibTeX of what a results folder used: the papers that its methods and metrics name, and this program."""

import re
from pathlib import Path

from . import store
from .listing import PACKAGE, Component, Kind, list_components
from .registry import split

YEAR = re.compile(r"\b(19|20)\d\d\b")


def cite(folder: str | Path) -> str:
    """BibTeX entries, one per paper, in order of id. Authors are surnames as the component's source gives them."""
    from importlib.metadata import version

    results = store.Store(Path(folder))
    kinds: tuple[Kind, ...] = ("methods", "metrics", "datasets", "models")
    entries: dict[str, str] = {}
    for kind in kinds:
        used = {split(entry["spec"])[0] for entry in results.used(kind)}
        for component in list_components(kind):
            if component.id in used and component.paper:
                entries.setdefault(component.paper, _entry(component))
    own = f"@software{{{PACKAGE},\n  title   = {{{PACKAGE}}},\n  version = {{{version(PACKAGE)}}},\n}}"
    return "\n\n".join([*entries.values(), own]) + "\n"


def _entry(component: Component) -> str:
    """One entry from the first sentence after the docstring's title: authors, venue and year."""
    title = component.title.partition(":")[0].strip().rstrip(".")
    source = component.doc.partition("\n\n")[2].partition(". ")[0].replace("\n", " ")
    found = YEAR.search(component.doc)
    names = [part.strip() for part in source.split(",")]
    surnames = [
        n for n in names if re.fullmatch(r"[^\W\d_][\w'. -]*", n) and not n.isupper() and not re.search(r"\d|arXiv", n)
    ]
    fields = {"title": title, "author": " and ".join(surnames), "year": found.group() if found else ""}
    if re.fullmatch(r"\d{4}\.\d{4,5}(v\d+)?", component.paper):
        kind, fields["eprint"], fields["archivePrefix"] = "misc", component.paper, "arXiv"
    else:
        kind, fields["doi"] = "article", component.paper
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return f"@{kind}{{{component.id},\n" + "\n".join(lines) + "\n}"
