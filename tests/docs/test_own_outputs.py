"""The guide to outputs of one's own: its commands and its Python run as written."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from syncbench.bench.catalogue.listing import ROOT, list_components
from syncbench.bench.catalogue.registry import load
from syncbench.bench.cli.main import app
from syncbench.bench.outputs.importing import ANCHORS
from syncbench.bench.store.png import encode_png
from typer.testing import CliRunner

PAGE = ROOT / "docs" / "own-outputs.md"
if not PAGE.exists():
    pytest.skip("installed, not a checkout", allow_module_level=True)
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_pages_commands_run_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = load("datasets", "world_videos").items()[:3]
    assert [item.id for item in items] == re.findall(r"^edits/([\w-]+)/", TEXT, re.MULTILINE)
    for item in items:
        (tmp_path / "edits" / item.id).mkdir(parents=True)
        generator = torch.Generator().manual_seed(1)
        for number, view in enumerate(item.truth["views"]):
            noisy = (view + 0.05 * torch.randn(view.shape, generator=generator)).clamp(0, 1)
            (tmp_path / "edits" / item.id / f"{number:05d}.png").write_bytes(encode_png(noisy))
    monkeypatch.chdir(tmp_path)
    [block] = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    said = ""
    for line in block.splitlines():
        done = CliRunner().invoke(app, shlex.split(line)[1:])
        assert done.exit_code == 0, (line, done.output)
        said += done.stdout
    for row in re.findall(r"^ (.+?) +│ +([\d.]+) ±", TEXT, re.MULTILINE):
        assert any(line.strip().startswith(row[0]) and row[1] in line for line in said.splitlines()), row


def test_the_pages_python_runs(tmp_path: Path) -> None:
    [block] = re.findall(r"```python\n# score.py\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "score.py").write_text(block)
    done = subprocess.run([sys.executable, str(tmp_path / "score.py")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 1, "the truth hardly errs"


def test_the_pages_anchors_are_those_of_an_import() -> None:
    methods = {one.id: one for one in list_components("methods")}
    for anchor in ANCHORS:
        name, _, preset = anchor.partition("@")
        assert name in methods
        assert not preset or preset in methods[name].presets
        assert f"`{name}`" in TEXT or f"`{name}@" in TEXT
