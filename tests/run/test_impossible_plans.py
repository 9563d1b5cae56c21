"""Plans that cannot be carried out: one sentence that names the field, exit code 2, before anything is written."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from syncbench import run
from syncbench.bench.catalogue.registry import load
from syncbench.bench.cli.main import app
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.files.reading import read_text
from syncbench.bench.limits import JOBS, PIXELS, check_size
from syncbench.bench.run.events import Event
from syncbench.bench.run.job import job_key
from syncbench.bench.run.plan import chosen, listed
from syncbench.bench.run.sweep import MANY
from syncbench.bench.store import parquet as baseline
from syncbench.bench.suites.narrow import narrowed
from syncbench.bench.suites.suite import read_suite
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Sampling
from typer.testing import CliRunner, Result

from ..report_records import frame, records

NAN, INF = float("nan"), float("inf")
SUITE = """
model = "gauss"
datasets = [{ id = "panoramas", width = 64, height = 16, window = 16 }]
methods = ["independent", { id = "multidiffusion", stride = 0.5 }]
metrics = ["network_evaluations"]
limit = 2
protocol = { steps = 2, guidance = 1.0 }
"""
STRIP = {"id": "panoramas", "width": 64, "height": 16, "window": 16}


def nested(depth: int, inner: Any = 0) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


def tables(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(depth):
        inner = {"a": inner}
    return inner


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "no steps": ({"protocol": {"steps": 0}}, "protocol.steps = 0"),
    "negative steps": ({"protocol": {"steps": -5}}, "protocol.steps = -5"),
    "a billion steps": ({"protocol": {"steps": 10**9}}, "protocol.steps = 1000000000"),
    "more steps than the model has": (
        {"model": {"id": "gauss", "levels": "scaled_linear"}, "protocol": {"steps": 2000}},
        "2000 denoising steps",
    ),
    "half a step": ({"protocol": {"steps": 2.5}}, "protocol.steps = 2.5"),
    "steps are true": ({"protocol": {"steps": True}}, "protocol.steps = true is no number"),
    "NaN guidance": ({"protocol": {"guidance": NAN}}, "protocol.guidance"),
    "infinite guidance": ({"protocol": {"guidance": INF}}, "protocol.guidance"),
    "negative eta": ({"protocol": {"eta": -5}}, "protocol.eta = -5"),
    "eta of 2": ({"protocol": {"eta": 2}}, "protocol.eta = 2"),
    "endless negative prompt": ({"protocol": {"negative": "x" * 20_000}}, "at most 10000 characters"),
    "half a character": ({"protocol": {"negative": "\ud800"}}, "lone surrogate"),
    "protocol is nested": ({"protocol": tables(5000)}, "levels deep"),
    "NaN option": ({"methods": [{"id": "multidiffusion", "stride": NAN}]}, "multidiffusion.stride"),
    "NaN in a list": ({"methods": [{"id": "multidiffusion", "stride": [NAN]}]}, "multidiffusion.stride"),
    "no stride": ({"methods": [{"id": "multidiffusion", "stride": 0}]}, "multidiffusion.stride = 0"),
    "stride of -1": ({"methods": [{"id": "multidiffusion", "stride": -1}]}, "multidiffusion.stride = -1"),
    "NaN variance": ({"model": {"id": "gauss", "variance": NAN}}, "gauss.variance"),
    "no density": ({"datasets": [{"id": "world_meshes", "density": 0}]}, "world_meshes.density = 0"),
    "negative density": ({"datasets": [{"id": "world_meshes", "density": -1}]}, "world_meshes.density = -1"),
    "a strip of 1e8 px": ({"datasets": [{**STRIP, "width": 10**8}]}, "panoramas.width = 100000000"),
    "a strip of 4e9 px": ({"datasets": [{**STRIP, "width": 65_536, "height": 65_536}]}, "larger than the 67,108,864"),
    "windows without end": (
        {
            "datasets": [{**STRIP, "width": 65_536, "height": 128, "window": 128}],
            "methods": [{"id": "multidiffusion", "stride": 0.01}],
        },
        "larger stride",
    ),
    "a width that no model of factor 8 has": (
        {"model": "tiny", "datasets": [{**STRIP, "width": 60, "window": 20}]},
        "factor 8",
    ),
    "a field as wide as its matrix": (
        {"datasets": [{"id": "gaussian_fields", "width": 10**6}]},
        "gaussian_fields.width",
    ),
    "100,000 views": ({"datasets": [{"id": "world_meshes", "views": 100_000}]}, "world_meshes.views = 100000"),
    "no held-out view": ({"datasets": [{"id": "world_views", "held": 0}]}, "world_views.held = 0"),
    "a clip of a million frames": ({"datasets": [{"id": "world_videos", "frames": 10**6}]}, "world_videos.frames"),
    "a million pictures": ({"datasets": [{"id": "world_channels", "count": 10**6}]}, "world_channels.count"),
    "more captions than there are": (
        {"datasets": [{"id": "world_panoramas", "count": 10**6}]},
        "world_panoramas.count",
    ),
    "40 frames for 32 places": (
        {"model": "motion", "datasets": [{"id": "world_videos", "frames": 40}], "methods": ["animatediff"]},
        "places for at most 32",
    ),
    "4 views for 6 places": (
        {"model": "grid", "datasets": [{"id": "world_views"}], "methods": ["zero123plus"]},
        "places for exactly 6",
    ),
    "a million seeds": ({"seeds": list(range(10**6))}, "1,000,000 seeds"),
    "seed of 2^63": ({"seeds": [2**63]}, "2^63"),
    "negative seed": ({"seeds": [-1]}, "from 0 to 2^63"),
    "seed is true": ({"seeds": [True]}, "seeds = true is no number"),
    "seeds are nested": ({"seeds": nested(5000)}, "levels deep"),
    "a thousand parts": ({"parts": [{}] * 1000}, "1,000 parts are more than the 100"),
    "no model": ({"models": [], "model": None}, "'models' is missing or empty"),
    "key that is no text": ({3: 1}, "the key 3 is no text"),
    "name that is no text": ({"methods": [b"x"]}, "neither a name nor a table"),
    "name without letters": ({"methods": [""]}, "can be no name"),
    "name over two lines": ({"methods": ["a\nb"]}, r"'a\nb' can be no name"),
    "endless name": ({"methods": ["x" * 5000]}, "can be no name"),
    "endless path": ({"model": "x/" * 1500}, "no folder"),
    "item over two lines": ({"items": ["a\nb"]}, r"no item 'a\nb'"),
    "table for a list": ({"methods": {"id": "independent"}}, "'methods' must be a list"),
    "list for a table": ({"protocol": [1]}, "protocol"),
    "limit is true": ({"limit": True}, "limit = true is no number"),
    "half a limit": ({"limit": 0.5}, "limit = 0.5"),
    "title is a number": ({"title": 3}, "title = 3"),
}
"""What is changed in a suite, and words of the sentence."""


def asked(changes: dict[str, Any]) -> dict[str, Any]:
    """The small suite with changes; None takes a key away."""
    base = {"model": "gauss", "datasets": [STRIP], "methods": ["independent"], "metrics": [], "limit": 2}
    return {key: value for key, value in {**base, "protocol": {"steps": 2}, **changes}.items() if value is not None}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_plans_are_one_sentence(name: str, tmp_path: Path) -> None:
    changes, words = IMPOSSIBLE[name]
    with pytest.raises(SyncbenchError) as caught:
        run(asked(changes), tmp_path / "out")
    said = str(caught.value)
    assert words in said
    assert "\n" not in said
    assert len(said) < 500
    assert not list(tmp_path.glob("out/jobs/*")), "nothing was sampled"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "protocol.steps=1e9"], "protocol.steps = 1e9"),
        (["--set", "protocol.eta=nan"], "protocol.eta = nan"),
        (["--set", "multidiffusion.stride=inf"], "multidiffusion.stride = inf"),
        (["--set", "multidiffusion.stride=" + "[" * 5000], "multidiffusion.stride"),
        (["--set", "panoramas.width=" + "9" * 5000], "panoramas.width"),
        (["--set", "multidiffusion.stride=\udcff"], "lone surrogate"),
        (["--seeds", "²"], "--seeds ²"),
        (["--seeds", "0,٣"], "--seeds 0,٣"),
        (["--seeds", str(2**63)], "2^63"),
        (["--seeds", "9" * 5000], "--seeds 999"),
        (["--shard", "²/3"], "--shard ²/3"),
        (["--shard", "1/" + "9" * 30], "--shard 1/999"),
        (["--jobs", "100000"], "--jobs 100000"),
        (["--out", "x" * 300], "File name too long"),
        (["--model", "x" * 300], "unknown model"),
        (["--model", "x" * 300 + "/y"], "no folder"),
        (["--items", "a\x1b[31m"], r"no item 'a\x1b[31m'"),
        (["--items", "00-green-medow"], "did you mean '00-green-meadow'"),
        (["--datasets", "meshes"], "'meshes' is of the family geometry, and the suite has only overlap"),
        (["--datasets", "videos"], "'videos' is of the family frames"),
    ],
)
def test_impossible_options_are_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "suite.toml").write_text(SUITE)
    where = [] if "--out" in arguments else ["--out", str(tmp_path / "out")]
    done = call("run", tmp_path / "suite.toml", *where, *arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x = " + b"[" * 5000, "nested"),
        (b"limit = " + b"9" * 5000, "not TOML"),
        (b"title = 'a\xff'", ":1: not UTF-8"),
        (b"title = 3\x00", "not TOML"),
        (b"#" + b"x" * 2**23, "at most 4 MiB"),
    ],
    ids=["nested", "digits", "not UTF-8", "NUL", "huge"],
)
def test_suite_files_that_are_none_are_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "suite.toml").write_bytes(content)
    done = call("run", tmp_path / "suite.toml", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_suite_may_begin_with_a_mark_of_utf_8(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_bytes(b"\xef\xbb\xbf" + SUITE.encode())
    assert len(read_suite(tmp_path / "suite.toml").listed("methods")) == 2


def test_a_device_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "endless.txt").symlink_to("/dev/zero")
    with pytest.raises(SyncbenchError, match="device or a pipe"):
        read_text(tmp_path / "endless.txt")


@pytest.mark.parametrize("options", [["--steps", "0"], ["--steps", "-1"], ["--minutes", "nan"], ["--minutes", "0"]])
def test_training_checks_its_numbers_before_it_renders(tmp_path: Path, options: list[str]) -> None:
    done = call("train", "judge", "--out", tmp_path / "out", *options)
    assert done.exit_code == 2
    assert options[0].strip("-") in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_limit_fits_a_suite_that_names_its_items() -> None:
    suite = read_suite("quick")
    named = next(part for part in suite.parts if part.items)
    assert len(named.items) > 1
    dataset = named.datasets[0]
    items = listed(dataset, dataset.load())
    [first] = chosen(narrowed(suite, limit=1, datasets=["world_meshes"]).parts[0], items)
    assert first.id == named.items[0]


def test_a_limit_is_taken_of_the_items_named(tmp_path: Path) -> None:
    named = [item.id for item in load("datasets", "panoramas").items()[1:4]]
    frame = run(asked({"items": named, "limit": 1, "metrics": ["network_evaluations"]}), tmp_path / "out")
    assert set(frame["item"]) == {named[0]}


def test_a_new_data_set_goes_where_its_family_is_with_all_of_its_items() -> None:
    suite = read_suite("quick")
    [part] = narrowed(suite, datasets=["meshes"]).parts
    assert (part.models[0].spec, part.items) == ("depth", ())
    both = narrowed(suite, datasets=["world_meshes", "meshes"]).parts
    assert [[d.spec for d in part.datasets] for part in both] == [["world_meshes"], ["meshes"]]
    assert [bool(part.items) for part in both] == [True, False]
    [again] = narrowed(suite, datasets=["meshes"], items=["mine"]).parts
    assert again.items == ("mine",)
    assert {part.models[0].spec for part in narrowed(suite, datasets=["videos", "prompts"]).parts} == {
        "reference",
        "motion",
    }


def test_a_large_plan_says_its_size_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Event] = []
    monkeypatch.setattr("syncbench.bench.run.sweep.MANY", 3)
    run(asked({"seeds": [0, 1]}), tmp_path / "out", progress=heard.append)
    assert heard[0] == Event("plan", 0, 4)
    assert 3 < MANY < JOBS


def test_presets_and_defaults_are_checked_too(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\n"
        "from syncbench.methods.independent import Independent\n\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Odd(Independent):\n    'Odd.'\n\n    version: ClassVar[int] = 1\n"
        "    presets: ClassVar[dict] = {'lost': {'weight': float('nan')}}\n    weight: float = 1.0\n"
    )
    assert load("methods", str(file)).weight == 1.0
    with pytest.raises(SyncbenchError, match="weight = NaN"):
        load("methods", f"{file}@lost")
    file.write_text(file.read_text().replace("float = 1.0", "float = float('inf')"))
    with pytest.raises(SyncbenchError, match="weight = inf is not a finite number"):
        load("methods", str(file))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise KeyError('x')", "its items() failed with KeyError: 'x'"),
        ("return None", "its items() answered None, not a list of items"),
        ("return [3]", "its item 0 is an int, not an Item"),
        ("return super().items()[:1] * 2", "repeats an item id"),
        ("return [__import__('dataclasses').replace(super().items()[0], id='a' * 300)]", "can be no id"),
        ("return [__import__('dataclasses').replace(super().items()[0], prompts=('\\ud800',))]", "lone surrogate"),
    ],
)
def test_a_data_set_that_cannot_list_its_items_is_named(tmp_path: Path, body: str, words: str) -> None:
    file = tmp_path / "odd.py"
    file.write_text(
        "from dataclasses import dataclass\nfrom syncbench.datasets.panoramas import Panoramas\n\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Odd(Panoramas):\n    'Odd.'\n\n"
        f"    def items(self):\n        {body}\n"
    )
    with pytest.raises(SyncbenchError) as caught:
        run(asked({"datasets": [{**STRIP, "id": str(file)}]}), tmp_path / "out")
    assert words in str(caught.value)
    assert "odd" in str(caught.value)


def test_what_has_no_name_is_said_where_it_stands() -> None:
    with pytest.raises(SyncbenchError, match=r"item\.surface is NaN"):
        job_key({"item": {"surface": [1.0, NAN]}})


def test_ranges_of_a_data_sets_own_protocol_are_checked(tmp_path: Path) -> None:
    from syncbench.bench.run.job import sampling

    assert sampling(Sampling(steps=3), {"eta": "0.5"}) == Sampling(steps=3, eta=0.5)
    assert isinstance(sampling(Sampling(guidance=4), {}).guidance, int), "what nobody changed keeps its identity"
    with pytest.raises(SyncbenchError, match=r"protocol\.steps = 0"):
        sampling(Sampling(steps=0), {})


def test_sizes_are_bounded_for_python_too() -> None:
    with pytest.raises(SyncbenchError, match="a strip of 65,536 x 65,536 px is larger"):
        Strip(65_536, 65_536, 128)
    check_size("an item", 1, 1, PIXELS)
    with pytest.raises(SyncbenchError, match="an item of 2 x"):
        check_size("an item", 2, 1, PIXELS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["validate", "disagreement", "--items", "1000000000"], "at most 1,000 items"),
        (["validate", "disagreement", "--levels", "1000000000"], "100 levels"),
        (["oracle", "--samples", "100000000000"], "use at most 1,000,000"),
        (["oracle", "--steps", "1000000000"], "1000000000 denoising steps"),
    ],
)
def test_instruments_have_limits_too(arguments: list[str], words: str) -> None:
    done = call(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr


@pytest.mark.parametrize("command", ["report", "board", "power"])
def test_values_too_large_to_average_are_named(tmp_path: Path, command: str) -> None:
    huge = frame(records())
    huge.loc[huge.index[0], "value"] = 1e308
    baseline.write_parquet(huge, tmp_path / "records.parquet")
    done = call(command, tmp_path / "records.parquet")
    assert done.exit_code == 2
    assert "at most 1e+50" in done.stderr


def little_memory() -> None:
    """A process with 12 GiB of address space, as under `ulimit -v`."""
    resource.setrlimit(resource.RLIMIT_AS, (12 * 2**30, 12 * 2**30))


def test_a_board_under_a_limit_of_address_space_is_made_or_says_why_not(tmp_path: Path) -> None:
    """The engine of its plots ends its whole process there."""
    file = tmp_path / "records.parquet"
    baseline.write_parquet(frame(records()), file)
    command = [sys.executable, "-m", "syncbench.bench.cli.main", "board", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=little_memory)
    assert done.returncode in (0, 2), done.stderr
    if done.returncode:
        assert "ulimit -v unlimited" in done.stderr.splitlines()[-1]


def small_files() -> None:
    """A process that may write 100 bytes to a file, as on a disk that is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


def test_an_answer_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "syncbench.bench.cli.main", "ls"]
    with (tmp_path / "answer").open("w") as answer:
        done = subprocess.run(command, stdout=answer, stderr=subprocess.PIPE, text=True, preexec_fn=small_files)
    assert done.returncode == 2
    assert done.stderr == "error: cannot write the answer: File too large\n"


@pytest.mark.parametrize("surroundings", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}])
def test_any_alphabet_takes_an_answer(tmp_path: Path, surroundings: dict[str, str]) -> None:
    file = tmp_path / "records.parquet"
    baseline.write_parquet(frame(records()), file)
    command = [sys.executable, "-m", "syncbench.bench.cli.main", "report", str(file)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **surroundings})
    assert done.returncode == 0, done.stderr
    assert b"independent" in done.stdout
