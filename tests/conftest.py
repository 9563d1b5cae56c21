"""Shared by all tests: thread count, the `--update-golden` switch, a model and a suite small enough for seconds."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from . import shapes

shapes.install()
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden/ from what the code does now")


def pytest_report_header() -> list[str]:
    """What this machine lacks, and which tests are skipped for it."""
    lacks = {
        "Chromium": (("chromium", "chromium-browser", "google-chrome"), "the board is not tested in a browser"),
        "pdflatex": (("pdflatex",), "LaTeX tables are parsed, not compiled"),
    }
    said = []
    for name, (programs, result) in lacks.items():
        found = next(filter(None, map(shutil.which, programs)), None)
        said.append(f"{name}: {found or f'none here, so {result} (Debian packages: see .ci/run)'}")
    return said


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests out, unless asked for with `-m slow` (or any other -m) or by name."""
    if config.option.markexpr or any("::" in str(argument) for argument in config.args):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session", autouse=True)
def threads() -> None:
    """One thread: the tests' tensors are tiny, and waiting for a second one costs more than it saves."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Unwrapped meshes go to a cache of the tests' own."""
    os.environ["SYNCBENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder that does not exist yet."""
    return tmp_path / "results"


@pytest.fixture
def tiny_suite() -> dict[str, Any]:
    """A suite on the closed-form model: two methods, two items, two seeds, in about a second."""
    return {
        "model": "gauss",
        "datasets": [{"id": "panoramas", "width": 64, "height": 16, "window": 16}],
        "methods": ["independent", {"id": "multidiffusion", "stride": 0.5}],
        "metrics": ["network_evaluations"],
        "seeds": [0, 1],
        "limit": 2,
        "protocol": {"steps": 3, "guidance": 1.0},
    }
