"""Results folders of strangers: nothing in them is executed, nothing ends in a traceback, nothing else is lost."""

import base64
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from syncbench.bench.analysis import drawing
from syncbench.bench.catalogue import registry
from syncbench.bench.catalogue.content import distinct_names
from syncbench.bench.catalogue.listing import list_components
from syncbench.bench.errors import DamagedWarning, SyncbenchError
from syncbench.bench.files.writing import unseal
from syncbench.bench.gate.baseline import update
from syncbench.bench.report.board import page
from syncbench.bench.report.cells import INPUT, input_cell, sheet_cells
from syncbench.bench.run.failures import failures
from syncbench.bench.run.loaded import Loaded
from syncbench.bench.run.sweep import run
from syncbench.bench.store.folder import Store, load_records
from syncbench.bench.store.stored import Spec
from syncbench.bench.suites import recorded

from ..hostile import call, edited

LISTED = cache(list_components)
HERE = Path(__file__).parents[1] / "tiny_components.py"
SUITE = {
    "model": "gauss",
    "datasets": [{"id": "panoramas", "width": 64, "height": 16, "window": 16}],
    "methods": ["independent", {"id": "multidiffusion", "stride": 0.5}],
    "metrics": ["network_evaluations", "seam_ratio", "seconds"],
    "limit": 2,
    "protocol": {"steps": 2, "guidance": 1.0},
}
EVIL = """
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from syncbench.{module} import {base} as Real

Path({mark!r}).touch()


@dataclass(frozen=True, kw_only=True)
class Evil(Real):
    pass
"""


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boards without their plots, whose libraries are packed by a process of their own; components listed once."""
    monkeypatch.setattr(page, "vega_bundle", lambda: b"")
    for module in (registry, recorded):
        monkeypatch.setattr(module, "list_components", LISTED)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a group metric, and its baseline beside it."""
    room = tmp_path_factory.mktemp("made")
    run({**SUITE, "metrics": [f"{HERE}:Crowd"]}, room / "run")
    run(SUITE, room / "run")
    update(room / "run", room / "base.parquet")
    return room / "run"


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def suite_file(folder: Path) -> Path:
    path = folder.with_name("suite.toml")
    path.write_text(
        'model = "gauss"\ndatasets = [{ id = "panoramas", width = 64, height = 16, window = 16 }]\n'
        'methods = ["independent", { id = "multidiffusion", stride = 0.5 }]\nlimit = 2\n'
        'metrics = ["network_evaluations", "seam_ratio", "seconds"]\nprotocol = { steps = 2, guidance = 1.0 }\n'
    )
    return path


def every_command(folder: Path, base: Path) -> list[list[object]]:
    """All that reads results, and last what writes them."""
    return [
        *(["report", folder, "--format", format] for format in ("text", "html")),
        *([command, folder] for command in ("board", "show", "cite", "power", "score")),
        ["gate", folder, "--baseline", base],
        ["run", suite_file(folder), "--out", folder],
    ]


def job_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("jobs/*/job.json"))


# --- code -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that is there if something was executed."""
    return tmp_path / "PWNED"


def named(copy: Path, mark: Path) -> dict[str, dict[str, Any]]:
    """Components that execute something, as a stored folder may name them."""
    for module, base in (("datasets.panoramas", "Panoramas"), ("metrics.sharpness", "Sharpness")):
        source = EVIL.format(mark=str(mark), module=module, base=base)
        (copy / f"{module.partition('.')[2]}.py").write_text(source)
    where = {"width": 64, "height": 16, "window": 16}
    return {
        "a call": {"spec": "subprocess:Popen", "overrides": {"args": ["touch", str(mark)]}},
        "a file": {"spec": f"{copy}/panoramas.py", "overrides": where},
        "a metric's file": {"spec": f"{copy}/sharpness.py", "overrides": {}},
        "a preset": {"spec": f"{copy}/panoramas.py:Evil@x", "overrides": where},
        "weights": {"spec": "clip_text", "overrides": {"backbone": "reference", "folder": str(copy)}},
    }


def test_the_payload_would_run_if_it_were_trusted(copy: Path, mark: Path) -> None:
    evil = named(copy, mark)["a file"]
    for path in job_files(copy):
        edited(path, ["dataset"], evil)
    edited(copy / "run.json", ["suite", "parts", 0, "metrics"], [{"spec": "sharpness", "overrides": {}}])
    done = call("score", copy)
    assert (done.exit_code, mark.exists()) == (1, False)
    assert "not scored: data set 'panoramas' is not installed; --datasets names it, or --trust" in done.stderr
    for options in (["--datasets", evil["spec"]], ["--trust"]):
        trusted = Path(shutil.copytree(copy, copy.with_name(f"copy{options[0]}")))
        assert call("score", trusted, *options).exit_code == 0
        assert mark.exists(), options
        mark.unlink()


@pytest.mark.parametrize("kind", ["a call", "a file", "a metric's file", "a preset", "weights"])
def test_a_folder_executes_nothing(made: Path, copy: Path, mark: Path, kind: str) -> None:
    evil = named(copy, mark)[kind]
    for path in job_files(copy):
        edited(path, ["dataset"], evil)
    for part in ("metrics", "datasets", "methods", "models"):
        edited(copy / "run.json", ["suite", "parts", 0, part], [evil])
    outputs = {command[0]: call(*command) for command in every_command(copy, made.with_name("base.parquet"))}
    outputs["named"] = call("score", copy, "--metrics", "sharpness,clip_text")
    assert str(copy / "open_clip") not in outputs["named"].stderr, "weights of the folder were looked for"
    assert not mark.exists()
    assert "is not installed" in outputs["score"].stderr or "weights of a folder" in outputs["score"].stderr
    assert "Traceback" not in "".join(done.output for done in outputs.values())
    assert len(load_records([copy])) == 4 * 4, "what was computed is there"
    assert outputs["run"].exit_code == 0


def test_what_is_not_shown_is_said(copy: Path, mark: Path) -> None:
    for path in job_files(copy):
        edited(path, ["dataset"], named(copy, mark)["a file"])
    store = Store(copy)
    job = store.job(store.finished()[0])
    assert job is not None
    cell = input_cell(job, Loaded())
    assert cell is not None
    assert cell.why == "input not shown: data set 'panoramas' is not installed"
    assert (INPUT, job.header.item) in sheet_cells(
        store, [job], distinct_names([(job.header.item, job.header.content)])
    )
    call("board", copy)
    assert cell.why in (copy / "board.html").read_text()


def test_fields_that_would_take_hours_are_not_taken_at_a_folders_word(copy: Path) -> None:
    for path in job_files(copy):
        edited(path, ["dataset", "overrides", "width"], 10**9)
        (path.parent / "scores.json").unlink()
    done = call("score", copy)
    assert done.exit_code == 1
    assert "has a field beyond 65,536" in done.stderr
    for value in (10**9, "1e9", "1_000_000_000", "[1, [100000]]", '"100000"', [1e9], {"a": "+99999999"}):
        with pytest.raises(SyncbenchError, match="beyond"):
            recorded.entry("datasets", Spec(spec="panoramas", overrides={"width": value}))
    for value in (65_536, "512", "0.25", "a prompt of 5 words", None, True, [1, 2], "paths/1e9.txt"):
        recorded.entry("datasets", Spec(spec="panoramas", overrides={"width": value}))


@pytest.mark.parametrize(
    ("kind", "entry", "words"),
    [
        ("datasets", {"id": "subprocess:Popen", "args": ["touch", "MARK"]}, "'subprocess:Popen' is no data set"),
        ("datasets", "independent", "'independent' is a method, not a data set"),
        ("datasets", "builtins:dict", "'builtins:dict' is no data set"),
        ("methods", "sharpness", "'sharpness' is a metric, not a method"),
        ("methods", "syncbench.metrics.sharpness:Sharpness", "is a metric, not a method: a method has `door`"),
        ("metrics", "syncbench.methods.independent:Independent", "is a method, not a metric"),
        ("metrics", {"id": "subprocess:Popen", "args": ["touch", "MARK"]}, "is no metric: a metric has `fingerprint`"),
        ("models", "collections:OrderedDict", "'collections:OrderedDict' is no model: a model has `predict`"),
        ("models", "panoramas", "'panoramas' is a data set, not a model"),
    ],
)
def test_a_wrong_kind_is_named_before_it_is_called(
    tmp_path: Path, mark: Path, kind: str, entry: Any, words: str
) -> None:
    if isinstance(entry, dict):
        entry = {**entry, "args": ["touch", str(mark)]}
    suite = {name: value for name, value in SUITE.items() if name != "model"} | {"models": ["gauss"], kind: [entry]}
    with pytest.raises(SyncbenchError) as caught:
        run(suite, tmp_path / "run")
    assert words in str(caught.value)
    assert not mark.exists()


# --- damage ---------------------------------------------------------------------------------------------------------


def harm(copy: Path) -> Iterator[tuple[str, int, Callable[[], Any]]]:
    """Ways to damage one job, its scores or a group: a name, how many records are lost, and what does it."""
    job, scores = job_files(copy)[0], job_files(copy)[0].with_name("scores.json")
    group = next(copy.glob("groups/*.json"))
    for path, lost in ((job, 0), (scores, 3), (group, 2), (job.with_name("canvas.png"), 0)):
        data, name = path.read_bytes(), "group" if path == group else path.name
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 16
        for how, content in (("half", data[: len(data) // 2]), ("empty", b""), ("NUL", bytes(len(data)))):
            yield f"{name} {how}", lost, partial(path.write_bytes, content)
        yield f"{name} one bit", lost, partial(path.write_bytes, bytes(flipped))
        yield f"{name} a pipe", lost, lambda p=path: (p.unlink(), os.mkfifo(p))
        yield f"{name} a folder", lost, lambda p=path: (p.unlink(), p.mkdir())
        yield f"{name} no end", lost, lambda p=path: (p.unlink(), p.symlink_to("/dev/zero"))
    for at, value in (
        ([], []),
        ([], [1]),
        (["header"], []),
        (["header", "item"], 7),
        (["header", "seed"], 2**70),
        (["header", "params"], {"a": float("inf")}),
        (["header", "key"], "../../x"),
        (["key"], "other"),
        (["identity"], {}),
        (["identity", "item", "prompts"], []),
        (["notes"], {"borders": "x"}),
        (["cost", "seconds"], "fast"),
        (["status"], "done"),
        (["files"], {"../../../secret.png": "0" * 64}),
        (["files"], {"a\0b": "0" * 64}),
        (["files"], {}),
        (["dataset"], None),
    ):
        yield f"job.json {at} {value!r}", 0, partial(edited, job, at, value)
    for at, value in (
        ([], [1]),
        (["rows"], [{}]),
        (["rows"], [1]),
        (["rows", 0, "value"], "high"),
        (["rows", 0, "value"], 1e60),
        (["rows", 0, "key"], "../../secret/jobs/x"),
        (["rows", 0, "seed"], True),
        (["rows", 0, "protocol"], [1]),
    ):
        yield f"scores.json {at} {value!r}", 3, partial(edited, scores, at, value)
        yield f"group {at} {value!r}", 2, partial(edited, group, at, value)
    yield "job a file", 3, lambda: (shutil.rmtree(job.parent), job.parent.write_text("x"))
    yield "job a link", 3, lambda: (job.parent.rename(copy / "gone"), job.parent.symlink_to(copy / "gone"))


def test_a_damaged_job_is_a_missing_one(made: Path, copy: Path) -> None:
    whole, old = len(load_records([made])), Store(made)
    known = [old.job(key).files for key in old.finished()]
    names = [name for name, *_ in harm(copy)]
    assert len(set(names)) == len(names) == 63
    for number, name in enumerate(names):
        shutil.rmtree(copy)
        shutil.copytree(made, copy)
        lost, do = next((lost, do) for one, lost, do in harm(copy) if one == name)
        do()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert len(load_records([copy])) == whole - lost, name
        assert len(told) == (lost > 0), name
        # each way is read by `run`, and every other one by one of the other commands
        others = (["report", copy], ["show", copy], ["board", copy], ["score", copy, "--metrics", "seconds"])
        other = others[number // 2 % 4] if number % 2 else ["run"]
        assert other == ["run"] or call(*other).exit_code in (0, 1), name
        done = call("run", suite_file(copy), "--out", copy)
        assert done.exit_code == 0, (name, done.output)
        assert "warning: of what" in done.stderr or other[0] == "score", name
        if number % 4 == 0:
            again = call("run", suite_file(copy), "--out", copy)
            assert "0 sampled and 0 scored now" in again.output, (name, again.output)
            assert "warning" not in again.stderr, (name, again.stderr)
        store = Store(copy)
        assert [store.job(key).files for key in store.finished()] == known, name


def test_one_damaged_picture_is_said_in_its_place(copy: Path) -> None:
    store = Store(copy)
    key = store.finished()[0]
    data = (store.folder(key) / "canvas.png").read_bytes()
    (store.folder(key) / "canvas.png").write_bytes(data[:-20] + b"x" * 20)
    done = call("board", copy)
    assert done.exit_code == 0
    assert "does not match its hash" in done.stderr
    content = (copy / "board.html").read_text()
    assert content.count('"why":"damaged"') == 1
    assert content.count('"kind":"picture"') == 3
    assert call("show", copy).exit_code == 0
    assert Image.open(copy / "sheet.png").format == "PNG"
    edited(store.folder(key) / "job.json", ["status"], 3)
    call("board", copy)
    assert (copy / "board.html").read_text().count('"why":"damaged"') == 1


def test_an_edited_score_is_named(copy: Path) -> None:
    path = job_files(copy)[0].with_name("scores.json")
    content = json.loads(path.read_text())
    content["rows"][0]["value"] = 0.001
    path.write_text(json.dumps(content, indent=1))
    with pytest.warns(DamagedWarning, match=r"scores\.json does not match its checksum: it was damaged or edited"):
        load_records([copy])


def test_a_suite_that_does_not_fit_is_one_sentence(copy: Path) -> None:
    for value in (None, [], "x", {"parts": 1}, {"parts": [{"metrics": [{"spec": 1}]}]}, {"name": []}):
        edited(copy / "run.json", ["suite"], value)
        for command in ("report", "board", "show", "score", "cite"):
            done = call(command, copy)
            assert done.exit_code == 2, (command, value)
            assert f"{copy}/run.json: suite" in done.stderr
            assert done.stderr.count("\n") == 1


def test_keys_never_lead_out_of_a_folder(made: Path) -> None:
    for key in ("../../x", "/etc", "a/b", "", ".", "..", "a\0b", "x" * 65):
        with pytest.raises(SyncbenchError, match="is no key of a job"):
            Store(made).folder(key)
        assert Store(made).job(key) is None


def test_nothing_outside_is_shown_or_written_through_links(copy: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("token")
    for name in ("board.html", "sheet.png"):
        (copy / name).symlink_to(secret)
    (copy / "sheet-x.png").symlink_to(secret)
    private = tmp_path / "private.png"
    Image.new("RGB", (9, 9)).save(private)
    (copy / "sheet-y.png").symlink_to(private)
    page = call("report", copy, "--format", "html").output
    for path in (secret, private):
        assert base64.b64encode(path.read_bytes()).decode()[:-4] not in page
    call("board", copy)
    call("show", copy)
    assert secret.read_text() == "token"
    assert not (copy / "board.html").is_symlink()
    assert (copy / "sheet.png").read_bytes()[:4] == b"\x89PNG"


# --- memory ---------------------------------------------------------------------------------------------------------


def rehash(folder: Path, name: str, data: bytes) -> None:
    """Put a file into a job, with the hash that belongs to it."""
    from hashlib import sha256

    (folder / name).write_bytes(data)
    edited(folder / "job.json", ["files", name], sha256(data).hexdigest())


def test_pictures_that_would_fill_the_memory_are_not_decoded(copy: Path, tmp_path: Path) -> None:
    import io

    large, other = io.BytesIO(), io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(large, "PNG")
    Image.fromarray(np.zeros((16, 64, 3), np.uint8)).save(other, "GIF")
    for data, words in (
        (large.getvalue(), "13000 x 13000 px is larger than the 67,108,864 px"),
        (other.getvalue(), "is no PNG"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "is no PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "is no PNG"),
    ):
        folder = job_files(copy)[0].parent
        rehash(folder, "canvas.png", data)
        done = call("show", copy)
        assert done.exit_code == 0
        assert words in done.stderr, done.stderr
        assert call("score", copy, "--metrics", "sharpness").exit_code == 1
        assert call("board", copy).exit_code == 0


def test_errors_look_each_key_up_once(made: Path) -> None:
    class Keys(list[str]):
        asked = 0

        def __iter__(self) -> Iterator[str]:
            Keys.asked += 1
            return super().__iter__()

    store = Store(made)
    failures(store, Keys(store.finished()))
    assert Keys.asked <= 3, "not once for every row"


def test_plots_that_cannot_be_made_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33)); "
    with pytest.raises(SyncbenchError, match=r"vl-convert cannot make the plots: its process ended with SIG[A-Z]+; it"):
        drawing._output(limited + drawing.BUNDLE)
    with pytest.raises(SyncbenchError, match="vl-convert cannot make the plots: ValueError: no"):
        drawing._output("raise ValueError('no')")


def test_a_module_of_the_working_folder_is_not_taken_for_a_package(
    tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("vl_convert", "altair", "json"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert drawing._output("import json, sys; sys.stdout.write('x')") == b"x"
    assert not mark.exists()


def test_a_seal_is_of_every_byte(copy: Path) -> None:
    path = job_files(copy)[0]
    data = path.read_bytes()
    unseal(path)
    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(SyncbenchError, match="checksum"):
            unseal(path)
