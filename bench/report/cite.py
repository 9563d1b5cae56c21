"""BibTeX of what a table used: the papers that its methods, metrics, data sets and models name, and this program."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..analysis.frame import in_brief
from ..catalogue.listing import PACKAGE, Kind, list_components
from ..catalogue.registry import component_id
from ..escaping import visible
from ..store.records import read_records, records_of_families, stored_methods
from .latex import escape

YEAR = re.compile(r"\b(19|20)\d\d\b")
NAME = re.compile(r"[^\W\d_a-z][^\W\d_]*([ '.-]+[^\W\d_]+)*")
"""Surnames begin with a capital and hold no digits."""
VENUES = frozenset({"NeurIPS"})
"""Those that are not written in capitals alone."""
KINDS: dict[Kind, str] = {"methods": "method", "metrics": "metric", "datasets": "dataset", "models": "model"}


def cite(
    folders: Sequence[str | Path] | str | Path, *, families: Sequence[str] | None = None, brief: bool = False
) -> str:
    """BibTeX entries, one per paper, of what a report of `folders` with the same options shows.

    Authors are surnames as the component's source gives them. What has no paper of its own, or is not known here, is
    named in comments. Raises SyncbenchError for folders without results.
    """
    from importlib.metadata import version

    records: Any = records_of_families(read_records(folders), families)
    if brief:
        records = records[(records["metric"] == "") | in_brief(records)]
    entries: dict[str, str] = {}
    without: list[str] = []
    for kind, column in KINDS.items():
        names = {str(name) for name in records[column].unique() if name}
        used = names if kind == "models" else {component_id(name) for name in names}  # a folder may be called a@b
        known = {component.id: component for component in list_components(kind)}
        outside = stored_methods(folders, used - known.keys()) if kind == "methods" else {}
        for name in sorted(used):
            one = known.get(name)
            said = {"title": one.title, "doc": one.doc, "paper": one.paper} if one else outside.get(name, {})
            if said.get("paper"):
                entries.setdefault(said["paper"], _entry(name, **{key: said[key] for key in ("title", "doc", "paper")}))
            else:
                without.append(f"{column} {name}")
    own = f"@software{{{PACKAGE},\n  title   = {{{PACKAGE}}},\n  version = {{{version(PACKAGE)}}},\n}}"
    rest = visible(f"% without a paper of its own, or not known here: {', '.join(without)}") + "\n" if without else ""
    return "\n\n".join([*entries.values(), own]) + "\n" + rest.replace("@", " at ")


def _entry(id: str, title: str, doc: str, paper: str) -> str:
    """One entry from the first sentence after the docstring's title: authors, venue and year."""
    title = title.partition(":")[0].strip().rstrip(".")
    source = doc.partition("\n\n")[2].partition(". ")[0].replace("\n", " ")
    found = YEAR.search(doc)
    names = [YEAR.sub("", part).strip() for part in re.sub(r" et al\b\.?", ", others,", source).split(",")]
    surnames = [n for n in names if n == "others" or (NAME.fullmatch(n) and not n.isupper() and n not in VENUES)]
    surnames = [] if surnames[:1] == ["others"] else surnames
    fields = {"title": title, "author": " and ".join(surnames), "year": found.group() if found else ""}
    fields = {key: bibtex(value) for key, value in fields.items()}
    if re.fullmatch(r"\d{4}\.\d{4,5}(v\d+)?", paper):
        kind, fields["eprint"], fields["archivePrefix"] = "misc", paper, "arXiv"
    else:
        kind, fields["doi"] = "article", bibtex_key(paper)
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return f"@{kind}{{{bibtex_key(id).replace(',', '')},\n" + "\n".join(lines) + "\n}"


def bibtex(text: str) -> str:
    """The value of a BibTeX field: LaTeX that shows `text`, its braces as parentheses, so that they stay balanced."""
    return escape(visible(" ".join(text.split())).translate(str.maketrans("{}", "()")))


def bibtex_key(text: str) -> str:
    """An entry's key, or an identifier, with nothing but letters, digits and ./:;()_- in it."""
    return re.sub(r"[^A-Za-z0-9./:;()_-]", "", text)
