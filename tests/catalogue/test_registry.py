"""Specs, presets and overrides; listing without importing; errors that name cause and cure."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from syncbench.bench.catalogue.fields import convert, field_values, instantiate, parse_assignments
from syncbench.bench.catalogue.listing import KINDS, component_files, list_components
from syncbench.bench.catalogue.registry import label, load
from syncbench.bench.errors import SyncbenchError

PLUGIN = '''"""A method from outside the tree.

Longer text.
"""

from dataclasses import dataclass
from typing import ClassVar

from syncbench.bench.sampling.loop import Sync


class _Helper:
    pass


@dataclass(frozen=True, kw_only=True)
class Plugin(Sync):
    """Doc."""

    version: ClassVar[int] = 7
    paper: ClassVar[str] = "1234.56789"
    presets: ClassVar[dict] = {"strong": {"weight": 2.0}}
    weight: float = 1.0

    def step(self, state, x, s):
        return s.canvas.paint(s.move(s.x0, s.eps))
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution that registers one method, as pip would leave it on disk."""
    (tmp_path / "outside_plugin.py").write_text(PLUGIN)
    info = tmp_path / "outside_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[syncbench.methods]\noutside = outside_plugin:Plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "outside_plugin.py"


def test_listing_finds_every_component_file_and_its_class_data() -> None:
    for kind in KINDS:
        shipped = {c.id for c in list_components(kind) if c.source == "syncbench"}
        assert shipped == {path.stem for path in component_files(kind)}
    found = {c.id: c for c in list_components("methods")}
    assert found["multidiffusion"].family == "overlap"
    assert found["multidiffusion"].paper == "2302.08113"
    assert found["multidiffusion"].door == "controlled", "inherited from Sync, two files away"
    assert found["independent"].family is None
    assert found["independent"].presets == ("shared",)


def test_listing_agrees_with_the_imported_classes() -> None:
    for kind in KINDS:
        for component in list_components(kind):
            cls = type(load(kind, component.id)) if kind == "methods" else None
            if cls is not None:
                assert (cls.version, cls.door, tuple(cls.presets)) == (
                    component.version,
                    component.door,
                    component.presets,
                ), component.id


def test_listing_imports_neither_torch_nor_any_component() -> None:
    code = (
        "import sys; from syncbench.bench.catalogue.registry import list_components\n"
        "for kind in ('methods', 'metrics', 'datasets', 'models'): list_components(kind)\n"
        "bad = [m for m in sys.modules if m == 'torch' or m.startswith(('syncbench.methods', 'syncbench.metrics'))]\n"
        "print(bad)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_entry_points_are_listed_without_import_and_loaded(plugin: Path) -> None:
    found = {c.id: c for c in list_components("methods")}["outside"]
    assert (found.title, found.version, found.source) == ("A method from outside the tree.", 7, "outside-plugin")
    assert "outside_plugin" not in sys.modules
    assert load("methods", "outside@strong").weight == 2.0


def test_what_is_installed_and_removed_meanwhile_is_noticed(plugin: Path) -> None:
    def listed() -> bool:
        return "outside" in {c.id for c in list_components("methods")}

    assert listed()
    info = plugin.parent / "outside_plugin-1.0.dist-info"
    info.rename(plugin.parent / "gone")
    assert not listed()
    (plugin.parent / "gone").rename(info)
    assert listed()


@pytest.mark.parametrize("spec", ["{path}", "{path}@strong", "{path}:Plugin@strong", "outside_plugin:Plugin@strong"])
def test_files_and_modules_are_specs(plugin: Path, spec: str) -> None:
    method = load("methods", spec.format(path=plugin))
    assert method.weight == (2.0 if "@" in spec else 1.0)


def test_a_file_inside_the_tree_keeps_its_relative_imports() -> None:
    path = next(p for p in component_files("methods") if p.stem == "multidiffusion")
    assert load("methods", str(path)) == load("methods", "multidiffusion")


def test_overrides_win_over_presets() -> None:
    assert load("methods", "independent@shared").shared_noise is True
    assert load("methods", "independent@shared", {"shared_noise": "false"}).shared_noise is False


@pytest.mark.parametrize(
    ("kind", "spec", "overrides", "words"),
    [
        ("methods", "multidifusion", {}, "did you mean 'multidiffusion'"),
        ("methods", "zzz", {}, "known are"),
        ("methods", "independent@shard", {}, "did you mean 'shared'"),
        ("methods", "multidiffusion", {"strid": 1}, "did you mean 'stride'"),
        ("methods", "multidiffusion", {"zzz": 1}, "it has stride"),
        ("methods", "multidiffusion", {"stride": "wide"}, "multidiffusion.stride = wide is not float | None"),
        ("methods", "nope_nope:Class", {}, "cannot import 'nope_nope:Class'"),
        ("methods", "syncbench.methods.independent:Nope", {}, "has no 'Nope'"),
        ("methods", "syncbench.bench.types:SCHEMA", {}, "not a class"),
        ("methods", "nowhere.py", {}, "no file 'nowhere.py'"),
    ],
)
def test_errors_name_cause_and_cure(kind: Any, spec: str, overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(SyncbenchError) as caught:
        load(kind, spec, overrides)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_file_is_one_sentence(tmp_path: Path) -> None:
    for text, words in [
        ("def broken(:", "not readable Python"),
        ("raise RuntimeError('boom')\nclass A: pass", "boom"),
        ("class A: pass\nclass B: pass", "exactly one public class"),
        ("x = 1", "exactly one public class"),
    ]:
        path = tmp_path / f"broken_{len(text)}.py"
        path.write_text(text)
        with pytest.raises(SyncbenchError, match=words):
            load("methods", str(path))


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("0.25", float | None, 0.25),
        ("none", float | None, None),
        ("none", str, "none"),
        ("true", bool, True),
        ("3", int, 3),
        ("b", Literal["a", "b"], "b"),
        ("[1, 2]", tuple[int, ...], (1, 2)),
        (1, float, 1.0),
        ([0.5, 1], tuple[float, float], (0.5, 1.0)),
    ],
)
def test_strings_are_read_by_the_type_of_the_field(value: Any, kind: Any, expected: Any) -> None:
    read = convert(value, kind, "x.y")
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(("value", "kind"), [("1.5", int), ("c", Literal["a", "b"]), ("[1, 2]", float), ([1], int)])
def test_values_of_the_wrong_type_are_refused(value: Any, kind: Any) -> None:
    with pytest.raises(SyncbenchError, match=r"x\.y = "):
        convert(value, kind, "x.y")


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Literal["a"] | Literal["b", "c"], "'a' or 'b' or 'c'"), (Literal["a"] | float, "'a' or a valid number")],
)
def test_a_choice_of_several_kinds_is_told_whole(kind: Any, words: str) -> None:
    with pytest.raises(SyncbenchError, match=f"x.y = d: it must be {words}$"):
        convert("d", kind, "x.y")


def test_a_constructor_that_refuses_is_the_users_error() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Picky:
        version: ClassVar[int] = 1
        size: int = 1

        def __post_init__(self) -> None:
            if self.size < 1:
                raise ValueError("size must be positive")

    assert field_values(instantiate(Picky, "picky", {"size": "4"})) == {"size": 4}
    with pytest.raises(SyncbenchError, match="picky cannot be built: size must be positive"):
        instantiate(Picky, "picky", {"size": "0"})


def test_labels_hold_id_preset_and_overrides_but_no_folder(tmp_path: Path) -> None:
    assert label("independent@shared") == "independent@shared"
    assert label("multidiffusion", {"stride": 0.25}) == "multidiffusion[stride=0.25]"
    assert label("multidiffusion", {"stride": "0.25"}) == label("multidiffusion", {"stride": 0.25})
    assert label(str(tmp_path / "mine.py") + ":Mine@strong") == "mine:Mine@strong"
    assert label(str(tmp_path / "mine.py")) == "mine"


def test_assignments() -> None:
    parsed = parse_assignments(["a.b=1", "pkg.mod:Class.field=x=y", "a.c = none"])
    assert parsed == {"a": {"b": "1", "c": "none"}, "pkg.mod:Class": {"field": "x=y"}}
    for bad in ("a.b", "b=1", ".b=1", "a.=1"):
        with pytest.raises(SyncbenchError, match="component"):
            parse_assignments([bad])


def test_a_checkpoint_folder_named_like_an_id_says_how_to_write_it(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SyncbenchError, match=r"write \./mine"):
        load("models", "mine")
