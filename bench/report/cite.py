"""BibTeX of the papers that the methods, metrics, data sets and models of a table name, and of this program."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..analysis.frame import brief_rows
from ..catalogue.listing import PACKAGE, Kind, list_components
from ..catalogue.registry import component_id
from ..escaping import visible
from ..store.records import read_records, records_of_families, stored_methods
from .latex import escape

YEAR = re.compile(r"\b(19|20)\d\d\b")
NAME = re.compile(r"[^\W\d_a-z][^\W\d_]*([ '.-]+[^\W\d_]+)*")
"""Pattern of surnames, which begin with a capital and hold no digits."""
VENUES = frozenset({"NeurIPS"})
"""Venues that are not written in capitals alone, and so look like surnames."""
KINDS: dict[Kind, str] = {"methods": "method", "metrics": "metric", "datasets": "dataset", "models": "model"}


def cite(
    folders: Sequence[str | Path] | str | Path, *, families: Sequence[str] | None = None, brief: bool = False
) -> str:
    """BibTeX entries, one per paper, for what `report` of `folders` with the same options shows.

    Authors are surnames, from the component's docstring. Components that have no paper, or are not known here, are
    named in a comment. Raises SyncbenchError for folders without results.
    """
    from importlib.metadata import version

    records: Any = records_of_families(read_records(folders), families)
    if brief:
        records = records[(records["metric"] == "") | brief_rows(records)]
    entries: dict[str, str] = {}
    without: list[str] = []
    for kind, column in KINDS.items():
        names = {str(name) for name in records[column].unique() if name}
        used = names if kind == "models" else {component_id(name) for name in names}  # a folder may be called a@b
        known = {component.id: component for component in list_components(kind)}
        outside = stored_methods(folders, used - known.keys()) if kind == "methods" else {}
        for name in sorted(used):
            one = known.get(name)
            about = {"title": one.title, "doc": one.doc, "paper": one.paper} if one else outside.get(name, {})
            if about.get("paper"):
                facts = {key: about[key] for key in ("title", "doc", "paper")}
                entries.setdefault(about["paper"], _entry(name, **facts))
            else:
                without.append(f"{column} {name}")
    own = f"@software{{{PACKAGE},\n  title   = {{{PACKAGE}}},\n  version = {{{version(PACKAGE)}}},\n}}"
    rest = visible(f"% without a paper of its own, or not known here: {', '.join(without)}") + "\n" if without else ""
    return "\n\n".join([*entries.values(), own]) + "\n" + rest.replace("@", " at ")


def _entry(id: str, title: str, doc: str, paper: str) -> str:
    """A BibTeX entry. Authors and year are read from the first sentence after the docstring's title."""
    title = title.partition(":")[0].strip().rstrip(".")
    source = doc.partition("\n\n")[2].partition(". ")[0].replace("\n", " ")
    year = YEAR.search(doc)
    names = [YEAR.sub("", part).strip() for part in re.sub(r" et al\b\.?", ", others,", source).split(",")]
    surnames = [n for n in names if n == "others" or (NAME.fullmatch(n) and not n.isupper() and n not in VENUES)]
    surnames = [] if surnames[:1] == ["others"] else surnames
    fields = {"title": title, "author": " and ".join(surnames), "year": year.group() if year else ""}
    fields = {key: bibtex(value) for key, value in fields.items()}
    if re.fullmatch(r"\d{4}\.\d{4,5}(v\d+)?", paper):
        kind, fields["eprint"], fields["archivePrefix"] = "misc", paper, "arXiv"
    else:
        kind, fields["doi"] = "article", bibtex_key(paper)
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return f"@{kind}{{{bibtex_key(id).replace(',', '')},\n" + "\n".join(lines) + "\n}"


def bibtex(text: str) -> str:
    """The value of a BibTeX field that shows `text`, with braces as parentheses so that braces stay balanced."""
    return escape(visible(" ".join(text.split())).translate(str.maketrans("{}", "()")))


def bibtex_key(text: str) -> str:
    """The text as the key of an entry, or as an identifier: only its letters, digits and ./:;()_- are kept."""
    return re.sub(r"[^A-Za-z0-9./:;()_-]", "", text)
