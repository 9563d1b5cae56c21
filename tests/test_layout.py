"""The layout: folder path is import path, a file is a component, nothing shadows anything, doctests run."""

import ast
import doctest
import importlib
import re
import subprocess
import sys
import zipfile
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import syncbench
from syncbench.bench.catalogue.listing import KINDS, ROOT, component_files, list_components, module_name, public_classes

TREES = ("bench", "methods", "metrics", "datasets")
FILES = sorted(path for tree in TREES for path in (ROOT / tree).rglob("*.py") if "__pycache__" not in path.parts)
COMPONENTS = [(kind, path) for kind in KINDS for path in component_files(kind)]


@pytest.mark.parametrize("folder", ["methods", "metrics", "datasets"])
def test_no_init_where_it_would_shadow_other_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()
    if folder == "methods":
        assert not list((ROOT / folder).rglob("__init__.py"))


def test_hugging_face_datasets_would_not_be_shadowed(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("here = 'the other one'\n")
    code = "import sys; sys.path.append(sys.argv[1]); import datasets; print(datasets.here)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "the other one", done.stderr


def test_the_source_link_is_relative_and_points_to_the_tree() -> None:
    link = ROOT / ".src" / "syncbench"
    if not link.exists():
        pytest.skip("installed, not a checkout")
    assert link.is_symlink()
    assert str(link.readlink()) == ".."


@pytest.mark.parametrize(("kind", "path"), COMPONENTS, ids=[f"{k}-{p.stem}" for k, p in COMPONENTS])
def test_a_file_is_one_documented_component(kind: str, path: Path) -> None:
    assert len(public_classes(path)) == 1, f"{path.name} must define exactly one public class"
    title = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    assert 5 <= len(title) <= 120, "the first line of the docstring is the title that `ls` shows"
    component = next(c for c in list_components(kind) if c.id == path.stem)
    assert component.target == f"{module_name(path)}:{public_classes(path)[0]}"
    if kind != "models":
        assert component.version is not None


def test_component_ids_are_unique_across_kinds() -> None:
    ids = [path.stem for _, path in COMPONENTS]
    assert len(ids) == len(set(ids)), "`check ID` and `--set ID.field` need to know what is meant"


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_imports_inside_the_tree_are_relative(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not [name for name in names if name.split(".")[0] in ("syncbench", *TREES[:3])], path
        for name in names:
            assert name.split(".")[0] not in ("pickle", "joblib"), f"{path}: nothing is pickled"


def arrows() -> dict[tuple[Path, Path], str]:
    """Which file of the tree imports which, at any depth and inside functions too, and the line that does."""
    modules = {module_name(path).removesuffix(".__init__"): path for path in FILES}
    found: dict[tuple[Path, Path], str] = {}
    for path in FILES:
        own = module_name(path)
        package = own.removesuffix(".__init__") if path.name == "__init__.py" else own.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                parts = package.split(".")[: len(package.split(".")) - (node.level - 1)]
                base = ".".join([*parts, *([node.module] if node.module else [])])
                for alias in node.names:
                    target = modules.get(f"{base}.{alias.name}") or modules.get(base)
                    if target is not None and target != path:
                        found[path, target] = f"{path.relative_to(ROOT)}:{node.lineno} imports {alias.name} of {base}"
    return found


def room(path: Path) -> str:
    """The room that a file is in: a folder directly below the package or below `bench`."""
    parts = path.relative_to(ROOT).parts[:-1]
    return "/".join(parts[:2]) if parts[0] == "bench" else parts[0]


FLOORS = [
    *("bench", "bench/files", "bench/isolation", "bench/catalogue", "bench/store", "bench/suites", "bench/fetch"),
    *("bench/surfaces", "bench/world"),
    *("bench/models", "bench/backbones", "bench/sampling", "bench/run", "bench/analysis", "bench/trust"),
    *("bench/outputs",),
    *("bench/report", "bench/gate", "bench/training", "bench/cli"),
    *("datasets", "methods", "metrics"),
]
"""Rooms from the ground up: each may import those before it."""


def test_imports_point_downwards() -> None:
    """No room looks up, so that there is no circle of rooms, and `bench` knows no method, metric or data set."""
    assert {room(path) for path in FILES} == set(FLOORS)
    place = {name: number for number, name in enumerate(FLOORS)}
    upward = [line for (a, b), line in arrows().items() if place[room(a)] < place[room(b)]]
    assert not upward, "\n".join(upward)


def test_no_files_import_each_other_in_a_circle() -> None:
    after: dict[Path, set[Path]] = {path: set() for path in FILES}
    for a, b in arrows():
        after[a].add(b)
    order = list(TopologicalSorter(after).static_order())  # raises CycleError, which names the circle
    assert len(order) == len(FILES)


def test_few_files_stand_outside_the_rooms() -> None:
    flat = [path.name for path in (ROOT / "bench").glob("*.py") if path.name != "__init__.py"]
    assert len(flat) <= 6, flat


def test_tests_stand_in_the_rooms_of_what_they_test() -> None:
    """Every room of `bench` has its folder of tests; components share one, and documents have theirs."""
    if not (tests := ROOT / "tests").exists():
        pytest.skip("installed, not a checkout")
    rooms = {name.removeprefix("bench/") for name in FLOORS if name.startswith("bench/")}
    others = {"components", "docs", "benchmarks"}
    assert {path.parent.relative_to(tests).as_posix() for path in tests.glob("*/test_*.py")} == rooms | others
    assert [path.name for path in tests.glob("test_*.py")] == ["test_layout.py"]


STATE = {"bench/isolation/signals.py", "bench/files/temporary.py", "bench/surfaces/atlas.py"}
"""Whose state is the process's by nature: signals that came, drafts being written, the last meshes unwrapped."""


def test_no_module_keeps_what_a_process_has_loaded() -> None:
    """Nothing empty is made when a module is imported, to be filled later: such state is an object that is passed."""
    empty = re.compile(r"\{\}|\[\]|(dict|list|set|defaultdict|OrderedDict|Counter)(\[.*\])?\(\w*\)")
    kept = {
        path.relative_to(ROOT).as_posix()
        for path in FILES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and empty.fullmatch(ast.unparse(node.value))
    }
    assert kept == STATE


def test_public_names_load_lazily_and_exist() -> None:
    code = "import sys, syncbench; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    for name in syncbench.__all__:
        assert getattr(syncbench, name) is not None
    assert set(dir(syncbench)) == set(syncbench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = syncbench.nonsense


def test_doctests_run_by_import_name() -> None:
    attempted = 0
    for path in FILES:
        if ">>> " in path.read_text():
            result = doctest.testmod(importlib.import_module(module_name(path).removesuffix(".__init__")))
            assert result.failed == 0, path
            attempted += result.attempted
    assert attempted >= 3


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", str(tmp_path), str(ROOT)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"syncbench"}
    assert {"syncbench/__init__.py", "syncbench/py.typed", "syncbench/bench/cli/main.py"} <= set(names)
    for _, path in COMPONENTS:
        assert f"syncbench/{path.relative_to(ROOT)}" in names
    assert any(name.startswith("syncbench/bench/suites/") and name.endswith(".toml") for name in names)
    assert not [name for name in names if name.startswith(("syncbench/tests", "syncbench/results"))]
