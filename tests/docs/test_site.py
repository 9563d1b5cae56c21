"""The site: every component has a page that says something, links hold, and it is built and read without a network."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import syncbench
from syncbench.bench.catalogue.fields import field_types
from syncbench.bench.catalogue.listing import KINDS, list_components
from syncbench.bench.catalogue.registry import load_class
from syncbench.bench.suites.suite import list_suites

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
COMPONENTS = [component for kind in KINDS for component in list_components(kind) if component.source == "syncbench"]


@pytest.fixture(scope="module")
def catalogue() -> ModuleType:
    spec = importlib.util.spec_from_file_location("catalogue", DOCS / "catalogue.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(catalogue: ModuleType) -> dict[str, str]:
    return catalogue.pages()


def test_every_component_suite_and_public_name_has_a_page_and_stands_in_its_index(pages: dict[str, str]) -> None:
    for component in COMPONENTS:
        page = pages[f"{component.kind}/{component.id}.md"]
        assert page.startswith(f"# `{component.id}`\n")
        assert f"({component.id}.md)" in pages[f"{component.kind}/index.md"]
    for suite in list_suites():
        assert f"syncbench run {suite['id']}\n" in pages[f"suites/{suite['id']}.md"]
    for name in set(syncbench.__all__) - {"__version__"}:
        assert f"]({name}.md)" in pages["api/index.md"]
        assert re.search(rf"^::: syncbench\..*\.{name}$", pages[f"api/{name}.md"], re.MULTILINE)


@pytest.mark.parametrize("component", COMPONENTS, ids=[component.id for component in COMPONENTS])
def test_a_component_explains_itself(component, catalogue: ModuleType, pages: dict[str, str]) -> None:
    cls = load_class(component.kind, component.id)
    assert component.doc.strip()
    assert catalogue.own_doc(cls), "its class has no docstring of its own"
    page = pages[f"{component.kind}/{component.id}.md"]
    for field in field_types(cls):
        assert f"| `{field}` |" in page
    for preset in getattr(cls, "presets", {}):
        assert f"| `{component.id}@{preset}` |" in page
    if component.kind == "metrics":
        for fact in ("role", "direction", "## Report card"):
            assert fact in page


def test_a_page_says_types_ranges_defaults_and_meaning(pages: dict[str, str]) -> None:
    page = pages["methods/syncdiffusion.md"]
    assert "| `weight` | `float`, ≥ 0, ≤ 1000 | `20.0` | Step length w: " in page
    assert (
        "| `stride` | `float`, > 0, ≤ 1 or `none` | `0.25` | Step between windows as a fraction of a window: " in page
    )
    assert "[arXiv 2306.05178](https://arxiv.org/abs/2306.05178)" in page
    assert "`window`, `declared`" in pages["metrics/seam_ratio.md"]
    assert "| frames | `warping_error@long_relative` | **failed** ⚠ |" in pages["metrics/warping_error.md"]


def test_what_looks_like_markup_in_a_docstring_is_text(catalogue: ModuleType) -> None:
    assert catalogue.prose("x_i <- a * b [0, 1] `a_b`") == "x\\_i &lt;- a \\* b \\[0, 1\\] `a_b`"
    assert catalogue.table(("a",), [("x|y",)]).endswith("| x\\|y |\n")


def test_links_of_the_documents_lead_somewhere() -> None:
    written = sorted(DOCS.rglob("*.md"))
    assert len(written) > 10
    for document in written:
        for link in re.findall(r"\]\((?!\w+:)([^)#\s]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), (document, link)


def test_every_written_page_is_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = set(re.findall(r"- (?:\w+: )?(\S+\.md)$", nav, re.MULTILINE))
    assert {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} <= listed


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("material", reason="the site's tools are not installed: pip install -e '.[docs]'")
    pytest.importorskip("mkdocstrings", reason="the site's tools are not installed: pip install -e '.[docs]'")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    def refuse(*_: object) -> None:
        raise AssertionError("building the site opens a connection")

    monkeypatch.setattr("socket.socket.connect", refuse)
    config = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path))
    config.plugins.on_startup(command="build", dirty=False)
    build(config)  # raises on a warning
    read = list(tmp_path.rglob("*.html"))
    assert len(read) > len(COMPONENTS)
    for page in read:
        text = page.read_text(encoding="utf-8")
        tags = re.findall(r"<(?:script|img|iframe|source|link(?=[^>]*stylesheet))\b[^>]*>", text)
        assert not [tag for tag in tags if re.search(r"(?:src|href)=[\"']?(?:https?:)?//", tag)], page
    assert "MultiDiffusion" in (tmp_path / "search" / "search_index.json").read_text(encoding="utf-8")
    assert "with_weight" in (tmp_path / "api" / "Canvas.html").read_text(encoding="utf-8"), (
        "mkdocstrings found no class"
    )
