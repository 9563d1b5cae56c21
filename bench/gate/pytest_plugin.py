"""A pytest plugin: the fixture `syncbench_gate` fails a test when a run lost quality against its baseline.

Pytest loads this file wherever syncbench is installed; nothing heavy is imported before a test uses the fixture.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .gate import Gate

    Compare = Callable[..., Gate | None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--syncbench-update`."""
    group = parser.getgroup("syncbench")
    group.addoption(
        "--syncbench-update",
        action="store_true",
        help="make the runs given to syncbench_gate the new baselines instead of comparing them",
    )


@pytest.fixture
def syncbench_gate(request: pytest.FixtureRequest) -> "Compare":
    """A function (run, baseline, margins, allow_undecided, reseeded) that fails the test or returns the `Gate`.

    `baseline` is a `.parquet` file, relative to pytest's root folder. With `--syncbench-update` the function writes the
    baseline instead and skips the test.
    """

    def compare(
        run: Sequence[str | Path] | str | Path,
        baseline: str | Path,
        *,
        margins: Mapping[str, float] | None = None,
        allow_undecided: bool = False,
        reseeded: bool = False,
    ) -> "Gate | None":
        from ..errors import SyncbenchError
        from ..escaping import visible
        from .baseline import update
        from .gate import gate

        path = request.config.rootpath / baseline
        try:
            if request.config.getoption("--syncbench-update"):
                pytest.skip(update(run, path, margins=margins, reseeded=reseeded).text().strip())
            answer = gate(run, path, margins=margins, allow_undecided=allow_undecided, reseeded=reseeded)
        except SyncbenchError as error:
            pytest.fail(f"syncbench gate: {visible(str(error))}", pytrace=False)
        if answer.code != 0:
            pytest.fail(answer.text(), pytrace=False)
        return answer

    return compare
