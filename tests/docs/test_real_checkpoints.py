"""The guide to real checkpoints: its recipe works on a replica as it is printed, and its commands exist."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from syncbench.bench.catalogue.listing import ROOT
from syncbench.bench.catalogue.registry import load, load_class
from syncbench.bench.cli.main import app
from syncbench.bench.fetch.manifest import weights_named as named_weights
from syncbench.bench.models.parts.composed import Composed
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.store.folder import load_records
from syncbench.bench.suites.suite import list_suites
from typer.main import get_command
from typer.testing import CliRunner

PAGE = ROOT / "docs" / "real-checkpoints.md"
if not PAGE.exists():
    pytest.skip("installed, not a checkout", allow_module_level=True)
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's recipe and a tiny checkpoint for it."""
    [recipe] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    file = tmp_path / recipe.partition("\n")[0].removeprefix("# ")
    file.parent.mkdir()
    file.write_text(recipe)
    Tiny(device="cpu").pipeline.save_pretrained(tmp_path / "painted")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_the_pages_recipe_runs_through_the_suites_own_code(place: Path) -> None:
    command = next(line for line in TEXT.splitlines() if "painted.py --set" in line)
    small = ["--set", "prompts.window=64", "--set", "prompts.width=128", "--set", "protocol.steps=2"]
    chosen = ["--methods", "independent,multidiffusion", "--metrics", "seam_ratio,network_evaluations", "--out", "out"]
    refused = call(*shlex.split(command)[1:], *small, *chosen)
    assert refused.exit_code == 2
    assert "--set prompts.window=512 --set prompts.width=1024; or" in refused.stderr, "its window says 512"
    done = call(*shlex.split(command)[1:], *small, *chosen, "--any-size")
    assert done.exit_code == 0, done.output
    frame = load_records([place / "out"])
    assert set(frame["status"]) == {"ok"}
    assert set(frame["model"]) == {"painted"}


def test_the_pages_recipe_changes_what_its_folder_says(place: Path) -> None:
    found = load("models", "mine/painted.py", {"path": "painted", "device": "cpu"})
    assert found.made.levels.prediction == "v"
    assert load("models", "./painted", {"device": "cpu"}).made.levels.prediction == "eps"


def test_what_is_added_to_a_checkpoint_is_a_model_and_can_be_fetched() -> None:
    section = TEXT[TEXT.index("## What is added") :].split("\n## ")[0]
    rows = [re.findall(r"`([^`]+)`", row) for row in re.findall(r"^\| (?!beside|-).*", section, re.MULTILINE)]
    assert len(rows) == 6
    for id, *named in rows:
        assert issubclass(load_class("models", id), Composed)
        for one in (word for group in named if " " in group for word in group.split()):
            assert named_weights(one), one


def test_the_pages_commands_and_suites_exist() -> None:
    suites = {one["id"] for one in list_suites()}
    for row in re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE):
        assert row in suites
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in "".join(blocks).splitlines():
        _, name, *rest = shlex.split(line)
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, line
        if name == "run":
            assert rest[0] in suites, line
