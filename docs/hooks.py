"""Hooks of mkdocs, which add the generated pages and the documents of the repository's root to the site.

README.md is the front page and CONTRIBUTING.md a page, from the files that a code host shows; links between them, the
pages of `docs/` and pictures are turned into links of the site.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from catalogue import pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "build" / "docs" / "syncbench"
"""The package without the environments, links and tests around it, for mkdocstrings to read: links to its parts."""
PARTS = ("__init__.py", "bench", "methods", "metrics", "datasets")
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
"""The path of a Markdown link that stays in the repository."""
PAGES = pages()
BROUGHT = {"README.md", "CHANGELOG.md"} | {
    link
    for link in LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    if not link.startswith("docs/") and (ROOT / link).is_file()
}
"""Files outside `docs/` that are part of the site, under the path they have in the repository."""


def on_startup(**_: Any) -> None:
    """Lay out the package for mkdocstrings."""
    SOURCE.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        if not (SOURCE / name).is_symlink():
            (SOURCE / name).symlink_to(ROOT / name)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the generated pages to the navigation, a section a folder, and leave out guides that are not written."""
    nav: list[Any] = list(config.nav or [])
    for section in nav:
        for title, entries in section.items():
            if title == "Guides":
                section[title] = [entry for entry in entries if entry in BROUGHT or _written(entry)]
    folders = dict.fromkeys(PurePosixPath(uri).parts[0] for uri in PAGES)
    titles = {"datasets": "Data sets", "api": "Python"}
    made = [
        {titles.get(folder, folder.capitalize()): [uri for uri in PAGES if uri.startswith(f"{folder}/")]}
        for folder in folders
    ]
    config.nav = [*nav, *made]
    return config


def _written(entry: str) -> bool:
    return (ROOT / "docs" / entry).is_file()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and the files of the root."""
    for uri, text in PAGES.items():
        files.append(File.generated(config, uri, content=text))
    for name in sorted(BROUGHT):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links that are right in the repository into links that are right in the site."""
    uri = page.file.src_uri
    if uri in PAGES:
        return markdown
    here = PurePosixPath(uri if uri in BROUGHT else f"docs/{uri}").parent

    def moved(link: re.Match[str]) -> str:
        target = os.path.normpath(here / link[1]).removeprefix("docs/")
        return os.path.relpath(target, PurePosixPath(uri).parent)

    return LINK.sub(moved, markdown)
