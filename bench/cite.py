"""BibTeX of what a table used: the papers that its methods, metrics, data sets and models name, and this program."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .listing import PACKAGE, Component, Kind, list_components
from .records import load, of_families
from .registry import split
from .report import base, shown

YEAR = re.compile(r"\b(19|20)\d\d\b")
KINDS: dict[Kind, str] = {"methods": "method", "metrics": "metric", "datasets": "dataset", "models": "model"}


def cite(
    folders: Sequence[str | Path] | str | Path, *, families: Sequence[str] | None = None, brief: bool = False
) -> str:
    """BibTeX entries, one per paper, of what a report of `folders` with the same options shows.

    Authors are surnames as the component's source gives them. What has no paper of its own, or is not known here, is
    named in comments. Raises SyncbenchError for folders without results.
    """
    from importlib.metadata import version

    records: Any = of_families(load(folders), families)
    if brief:
        records = records[[shown(*pair) for pair in zip(records["family"], records["metric"], strict=True)]]
    entries: dict[str, str] = {}
    without: list[str] = []
    for kind, column in KINDS.items():
        used = {split(base(str(name)))[0] for name in records[column].unique() if name}
        known = {component.id: component for component in list_components(kind)}
        for name in sorted(used):
            if name in known and known[name].paper:
                entries.setdefault(known[name].paper, _entry(known[name]))
            else:
                without.append(f"{column} {name}")
    own = f"@software{{{PACKAGE},\n  title   = {{{PACKAGE}}},\n  version = {{{version(PACKAGE)}}},\n}}"
    said = f"% without a paper of its own: {', '.join(without)}\n" if without else ""
    return "\n\n".join([*entries.values(), own]) + "\n" + said.replace("@", " at ")


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
