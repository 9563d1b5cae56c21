"""What the documents show is run as it stands."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from syncbench.bench.catalogue.listing import list_components
from syncbench.bench.cli.main import app as cli
from syncbench.bench.trust.check import check
from syncbench.bench.types import Record
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", GUIDE, re.DOTALL))


def test_the_guide_shows_one_of_each():
    assert sorted(Path(name).parts[0] for name in BLOCKS) == ["datasets", "methods", "metrics", "mine"]


@pytest.mark.parametrize("name", [name for name in BLOCKS if not name.startswith("mine")])
def test_component_inside_the_tree_keeps_its_contract(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / Path(name).name
    path.write_text(BLOCKS[name], encoding="utf-8")
    module = ".".join(["syncbench", *Path(name).with_suffix("").parts])
    spec = importlib.util.spec_from_file_location(module, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, module, loaded)
    spec.loader.exec_module(loaded)
    shown = re.search(r"^class (\w+)", BLOCKS[name], re.MULTILINE)
    assert shown is not None
    verdicts = check(f"{module}:{shown[1]}")
    assert verdicts
    assert [verdict for verdict in verdicts if not verdict.kept] == []


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The guide's outside component as an installed package with its entry point."""
    for name, text in BLOCKS.items():
        if name.startswith("mine"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    found = re.search(r'\[project\.entry-points\."(.+?)"\]\n(.+?)\n```', GUIDE, re.DOTALL)
    assert found is not None
    installed = tmp_path / "mine-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n", encoding="utf-8")
    entry = found[2].replace('"', "")
    (installed / "entry_points.txt").write_text(f"[{found[1]}]\n{entry}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_component_outside_the_tree_works_by_file_module_and_entry_point(outside: Path):
    file = next(name for name in BLOCKS if name.startswith("mine"))
    for spec in (str(outside / file), file[:-3].replace("/", ".") + ":SoftWindows"):
        assert [verdict for verdict in check(spec) if not verdict.kept] == []
    listed = {component.id: component for component in list_components("methods")}
    assert listed["soft_windows"].source == "mine"


@pytest.mark.slow
def test_the_path_from_an_idea_to_a_gate_works_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every command of the section, in order, in a folder that has what a checkout has."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "soft_windows.py").write_text(BLOCKS["mine/soft_windows.py"], encoding="utf-8")
    (tmp_path / "results").mkdir()
    shutil.copy(ROOT / "results" / "quick.parquet", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    demo = ["--methods", "independent,multidiffusion", "--limit", "1", "--out", "results/runs/quick"]
    assert CliRunner().invoke(cli, ["run", "quick", "--families", "overlap", *demo]).exit_code == 0  # of `make demo`
    section = GUIDE[GUIDE.index("## From an idea") : GUIDE.index("## One method, one file")]
    commands = [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]
    said: dict[str, str] = {}
    for command in commands:
        done = CliRunner().invoke(cli, command.split()[1:])
        assert done.exit_code == 0, (command, done.output)
        said[command] = done.stdout
    brief = next(text for command, text in said.items() if command.endswith("--brief") and "report" in command)
    rows = {line.split("│")[0].strip() for line in brief.splitlines() if "│" in line}
    assert {"soft_windows", "multidiffusion[stride=0.25]", "independent (floor)"} <= rows
    assert any(
        "soft_windows" in text and "independent" in text for command, text in said.items() if "--primary" in command
    )
    assert "soft\\_windows" in (tmp_path / "table.tex").read_text()
    page = (tmp_path / "results" / "runs" / "soft" / "board.html").read_text(encoding="utf-8")
    [one] = json.loads(re.findall(r'id="content">(.*?)</script>', page, re.DOTALL)[0])["boards"]
    shown = one["gallery"]["pictures"][one["gallery"]["items"][0]]
    assert {"soft_windows", "independent"} <= {name for name, picture in shown.items() if picture["kind"] == "picture"}
    cited = next(text for command, text in said.items() if "cite" in command)
    assert "2302.02412" in cited, "a method from outside is cited by what it says of itself"
    assert "author = {Jimenez}" in cited
    assert "2302.08113" in cited


@pytest.mark.slow
def test_the_commands_of_a_method_in_the_tree_work_as_written(tmp_path: Path):
    """In a copy of the tree that has the guide's file, as a contributor's checkout would."""
    package = tmp_path / "syncbench"
    for name in ("bench", "methods", "metrics", "datasets"):
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, package / name, ignore=left_out, copy_function=_linked)
    shutil.copy(ROOT / "__init__.py", package)
    (package / "methods" / "overlap" / "x0_fusion.py").write_text(BLOCKS["methods/overlap/x0_fusion.py"])
    section = GUIDE[GUIDE.index("## One method, one file") : GUIDE.index("## One metric, one file")]
    commands = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[0].splitlines()
    assert len(commands) == 3
    for command in commands:
        call = [sys.executable, "-m", "syncbench.bench.cli.main", *command.split()[1:]]
        surroundings = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(call, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert "x0_fusion" in done.stdout


def _linked(source: str, target: str) -> str:
    """A file of the copy: the same one where the disk can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def test_the_guides_metric_fails_its_card_alone_and_passes_with_its_guards(tmp_path: Path):
    source = BLOCKS["metrics/drift.py"].replace("from ..bench.types", "from syncbench.bench.types")
    (tmp_path / "drift.py").write_text(source, encoding="utf-8")
    alone = CliRunner().invoke(cli, ["validate", str(tmp_path / "drift.py"), "--levels", "3", "--json"])
    assert alone.exit_code == 1
    [card] = json.loads(alone.stdout)
    assert [check["name"] for check in card["checks"] if check["passed"] is False] == ["guarded"]


def test_the_record_table_names_every_column():
    table = GUIDE[GUIDE.index("| column | meaning |") : GUIDE.index("## House rules")]
    named = [name for row in table.splitlines()[2:] if row for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert named == Record.columns()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_commands_and_options_shown_exist(document: str):
    group = typer.main.get_command(cli)
    commands = group.commands  # pyright: ignore[reportAttributeAccessIssue]
    text = (ROOT / document).read_text(encoding="utf-8")
    shown = re.findall(r"^syncbench (\w+)(.*)$", text, re.MULTILINE) + re.findall(r"`syncbench (\w+)([^`]*)`", text)
    assert shown
    for command, rest in shown:
        assert command in commands, command
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, (command, rest)


def test_links_lead_somewhere():
    for document in ("README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / document).read_text(encoding="utf-8")):
            assert (ROOT / link).exists() or link == "results/sheet.png", (document, link)


def test_the_five_families_and_the_overlap_methods_are_in_the_table():
    from syncbench.bench.types import FAMILIES

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for family in FAMILIES:
        assert f"| `{family}` |" in text
    row = next(line for line in text.splitlines() if line.startswith("| `overlap`"))
    listed = {component.id for component in list_components("methods") if component.family == "overlap"}
    assert listed == set(re.findall(r"`(\w+)`", row.split("|")[4]))
