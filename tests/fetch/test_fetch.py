"""Fetching weights: from a hub and a file server of the test's own, cut off and gone on, checked, listed, and found."""

import ast
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from syncbench.bench.backbones.published import checkpoint
from syncbench.bench.catalogue.listing import ROOT, list_components
from syncbench.bench.cli.main import app
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.fetch import fetch, listing, where
from syncbench.bench.fetch.files import bring_file
from syncbench.bench.fetch.lock import lock_file, locked
from syncbench.bench.fetch.manifest import HUB_ID, Weights, groups, manifest, weights_named
from syncbench.bench.fetch.needs import repositories
from syncbench.bench.fetch.wanted import wanted
from syncbench.bench.models.parts.hub import snapshot
from syncbench.bench.suites.suite import Entry
from typer.testing import CliRunner

from ..hub_server import COMMIT, Hub, serving

NAME = "somebody/small"
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "image_encoder": [None, None],
}
BIG = bytes(range(256)) * 4096
REPOSITORY: dict[str, bytes] = {
    "model_index.json": json.dumps(INDEX).encode(),
    "README.md": b"# a card",
    "code.py": b"print('never')",
    "everything.safetensors": b"one file beside the folders",
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": BIG,
    "unet/diffusion_pytorch_model.fp16.safetensors": b"half of it",
    "unet/diffusion_pytorch_model.bin": b"a pickle",
    "vae/config.json": b"{}",
    "vae/diffusion_pytorch_model.fp16.safetensors": b"half a codec",
    "safety_checker/model.safetensors": b"not needed",
}
WHOLE = {
    "model_index.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.fp16.safetensors",
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Hub]:
    """A hub with one repository, and caches of the test's own."""
    with serving() as made:
        made.repositories[NAME] = dict(REPOSITORY)
        monkeypatch.setattr(constants, "ENDPOINT", made.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", made.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield made


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "torch" / "checkpoints"
    monkeypatch.setattr("syncbench.bench.fetch.torch_hub.hub_folder", lambda: place)
    return place


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_repository_is_brought_without_pickles_code_and_other_variants(hub: Hub) -> None:
    told: list[tuple[str, int, int | None]] = []
    [line] = fetch(weights_named(NAME), told=lambda *now: told.append(now))
    assert line.where is not None
    assert names_in(Path(line.where)) == WHOLE
    assert line.size == sum(len(REPOSITORY[name]) for name in WHOLE)
    assert told[0] == (NAME, 0, line.size)
    assert told[-1][1] >= len(BIG)
    assert not [path for _, path, _ in hub.asked if path.endswith((".bin", ".py", ".md"))]
    assert snapshot(NAME) == Path(line.where)
    assert snapshot(NAME, COMMIT[:8]) == Path(line.where)
    assert locked(NAME)["commit"] == COMMIT
    assert locked(NAME)["branch"] == "main"
    assert set(locked(NAME)["files"]) == WHOLE


def test_another_variant_comes_beside_the_first(hub: Hub) -> None:
    fetch(weights_named(NAME))
    [line] = fetch(weights_named(NAME), variant="fp16")
    assert line.where is not None
    assert names_in(Path(line.where)) == WHOLE | {"unet/diffusion_pytorch_model.fp16.safetensors"}
    assert set(locked(NAME)["files"]) == names_in(Path(line.where))


def test_what_is_here_is_not_brought_again(hub: Hub) -> None:
    fetch(weights_named(NAME))
    hub.asked.clear()
    fetch(weights_named(NAME))
    assert not hub.ranges("diffusion_pytorch_model.safetensors")


def test_a_cut_fetch_goes_on_where_it_stopped(hub: Hub) -> None:
    name = "unet/diffusion_pytorch_model.safetensors"
    hub.cut[name] = len(BIG) // 4
    with pytest.raises(SyncbenchError, match=r"fetching somebody/small was stopped .*: the same command goes on"):
        fetch(weights_named(NAME))
    with pytest.raises(SyncbenchError, match="was not brought to its end: syncbench fetch somebody/small goes on"):
        snapshot(NAME)
    assert where(weights_named(NAME)[0]) is None
    hub.cut.clear()
    hub.broken.clear()
    hub.asked.clear()
    [line] = fetch(weights_named(NAME))
    [start] = hub.ranges(name)
    assert start.startswith("bytes=")
    assert start == f"bytes={len(BIG) // 4}-"
    assert (snapshot(NAME) / name).read_bytes() == BIG
    assert line.where == str(snapshot(NAME))


def test_a_file_that_is_not_what_the_hub_says_is_refused_and_removed(hub: Hub) -> None:
    name = "unet/diffusion_pytorch_model.safetensors"
    hub.lies[name] = BIG[::-1]
    with pytest.raises(SyncbenchError, match=r"model.safetensors of .* came damaged .* was removed"):
        fetch(weights_named(NAME))
    blobs = Path(constants.HF_HUB_CACHE) / "models--somebody--small" / "blobs"
    assert BIG[::-1] not in [path.read_bytes() for path in blobs.iterdir()]
    hub.lies.clear()
    fetch(weights_named(NAME))
    assert (snapshot(NAME) / name).read_bytes() == BIG


def test_a_dry_run_says_what_would_come_and_brings_nothing(hub: Hub) -> None:
    [line] = fetch(weights_named(NAME), dry=True)
    assert (line.size, line.about, line.where) == (sum(len(REPOSITORY[n]) for n in WHOLE), False, None)
    assert line.commit == COMMIT
    assert not lock_file().exists()
    assert not hub.ranges(".safetensors")


def test_a_dry_run_that_may_not_ask_says_what_it_knows_or_that_it_knows_nothing(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SyncbenchError, match="HF_HUB_OFFLINE is set, and nothing is known of somebody/small"):
        fetch(weights_named(NAME), dry=True)
    [line] = fetch(weights_named("sd15"), dry=True)
    assert line.about
    assert line.size
    assert not hub.asked
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    fetch(weights_named(NAME))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    [line] = fetch(weights_named(NAME), dry=True)
    assert (line.about, line.where) == (False, str(snapshot(NAME)))


def test_refusals_are_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated.add(NAME)
    with pytest.raises(SyncbenchError, match="somebody/small is gated: accept its licence"):
        fetch(weights_named(NAME))
    hub.gated.clear()
    with pytest.raises(SyncbenchError, match="the hub has no somebody/else: the name is wrong, or it is private"):
        fetch(weights_named("somebody/else"))
    hub.repositories[NAME] = {"model.bin": b"x", "config.json": b"{}"}
    with pytest.raises(SyncbenchError, match="has the weights as pickles only"):
        fetch(weights_named(NAME))
    hub.repositories[NAME] = {"config.json": b"{}"}
    with pytest.raises(SyncbenchError, match="has no weights as safetensors"):
        fetch(weights_named(NAME))
    hub.repositories[NAME] = dict(REPOSITORY)
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 1000})())
    with pytest.raises(SyncbenchError, match=r"needs 0\.0 GB more, and .* free: free some, or set HF_HOME"):
        fetch(weights_named(NAME))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(SyncbenchError, match="fetching somebody/small was stopped"):
        fetch(weights_named(NAME))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SyncbenchError, match="HF_HUB_OFFLINE is set"):
        fetch(weights_named(NAME))


def test_a_full_disk_is_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **how: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(SyncbenchError, match="no space left while fetching somebody/small"):
        fetch(weights_named(NAME))


def test_a_pinned_commit_is_found_by_its_first_digits_or_refused(hub: Hub) -> None:
    pinned = Weights(name="small", repository=NAME, commit=COMMIT[:7])
    [line] = fetch([pinned])
    assert line.commit == COMMIT
    assert snapshot(NAME).name == COMMIT, "found without naming the commit: the lock says which one came"
    gone = Weights(name="small", repository=NAME, commit="fedcba9")
    with pytest.raises(SyncbenchError, match="has no commit that begins with fedcba9, which syncbench pins"):
        fetch([gone])


def test_snapshots_of_other_programs_are_found(hub: Hub) -> None:
    folder = Path(constants.HF_HUB_CACHE) / "models--a--b"
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    with pytest.raises(SyncbenchError, match="'a/b' is not on this machine: syncbench fetch a/b brings it"):
        snapshot("a/b")
    (folder / "snapshots" / COMMIT / "config.json").write_text("{}")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    assert snapshot("a/b").name == COMMIT
    with pytest.raises(SyncbenchError, match="at commit fedcba9"):
        snapshot("a/b", "fedcba9")
    assert not hub.asked


@pytest.mark.parametrize("length", [7, 40])
def test_a_damaged_lock_is_as_good_as_none(hub: Hub, length: int) -> None:
    fetch(weights_named(NAME))
    lock_file().write_text("{" * length)
    assert snapshot(NAME).name == COMMIT
    fetch(weights_named(NAME))
    assert locked(NAME)["whole"] is True


def torch_file(hub: Hub, data: bytes, digits: str = "") -> Weights:
    name = f"net-{digits or hashlib.sha256(data).hexdigest()[:8]}.pth"
    hub.files[name] = data
    return Weights(name="net", url=f"{hub.url}/{name}", sha256=Path(name).stem[4:])


def test_a_file_of_torchs_own_is_resumed_and_found(hub: Hub, torch_home: Path) -> None:
    entry = torch_file(hub, BIG)
    hub.cut[entry.file] = len(BIG) // 3
    with pytest.raises(SyncbenchError, match=r"fetching net was stopped .*: the same command goes on where it was"):
        bring_file(entry, torch_home, lambda count: None)
    assert checkpoint(entry.file) is None, "a part is no file yet"
    hub.cut.clear()
    hub.broken.clear()
    got: list[int] = []
    bring_file(entry, torch_home, got.append)
    assert hub.ranges(entry.file) == ["", f"bytes={len(BIG) // 3}-"]
    assert sum(got) == len(BIG), "progress begins with what was there"
    found = checkpoint(entry.file)
    assert found is not None
    assert found.read_bytes() == BIG
    assert locked(entry.file)["sha256"] == hashlib.sha256(BIG).hexdigest()
    assert sorted(path.name for path in torch_home.iterdir()) == [entry.file]


def test_a_file_with_the_wrong_hash_is_refused_and_removed(hub: Hub, torch_home: Path) -> None:
    entry = torch_file(hub, BIG, "deadbeef")
    with pytest.raises(SyncbenchError, match=r"net-deadbeef.pth is not what its name says .* was removed"):
        bring_file(entry, torch_home, lambda count: None)
    assert not list(torch_home.iterdir())


def test_a_file_that_the_server_has_not_is_one_sentence(hub: Hub, torch_home: Path) -> None:
    entry = Weights(name="net", url=f"{hub.url}/net-00000000.pth", sha256="00000000")
    with pytest.raises(SyncbenchError, match=r"fetching net was stopped .*404"):
        bring_file(entry, torch_home, lambda count: None)


def test_the_listing_says_what_lies_here(hub: Hub, torch_home: Path) -> None:
    assert not [line for line in listing() if line.where]
    assert not hub.asked, "listing asks nothing of the network"
    hub.repositories["guoyww/animatediff-motion-adapter-v1-5-2"] = {"config.json": b"{}", "a.safetensors": b"abc"}
    fetch(weights_named("animatediff"))
    [line] = [line for line in listing() if line.where]
    assert (line.name, line.licence, line.size, line.about) == ("animatediff", "Apache-2.0", 5, False)
    done = CliRunner().invoke(app, ["fetch", "--json"])
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["animatediff"]["where"] == line.where
    assert rows["sd3"]["gated"] is True
    shown = CliRunner().invoke(app, ["fetch"]).stdout
    assert "animatediff            here      5 B" in shown.replace("0 MB", "5 B")


def test_the_command_uses_the_endpoint_and_the_caches_of_the_environment(hub: Hub, tmp_path: Path) -> None:
    how = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "syncbench.bench.cli.main", "fetch", NAME]
    done = subprocess.run(command, env=os.environ | how, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].startswith(f"fetching {NAME}: 1")
    assert str(tmp_path / "home" / "hub" / "models--somebody--small" / "snapshots" / COMMIT) in done.stdout
    hub.gated.add(NAME)
    done = subprocess.run(command, env=os.environ | how, capture_output=True, text=True, timeout=60)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_the_manifest_is_whole() -> None:
    metrics = {component.id for component in list_components("metrics")}
    for entry in manifest().values():
        assert entry.title, entry.name
        assert entry.gigabytes, entry.name
        assert bool(entry.repository) != bool(entry.url), entry.name
        if entry.repository:
            assert HUB_ID.fullmatch(entry.repository), entry.name
        else:
            assert len(entry.sha256) in (8, 64), entry.name
            assert entry.file.removesuffix(".pth").endswith(entry.sha256[:8]), entry.name
        assert set(entry.metrics) <= metrics, entry.name
    for name, entries in groups().items():
        assert name not in manifest()
        assert set(entries) <= manifest().keys()


def test_variants_shards_and_patterns() -> None:
    shards = ["t/m-00001-of-00002.safetensors", "t/m-00002-of-00002.safetensors", "t/m.safetensors.index.json"]
    half = ["t/m.fp16-00001-of-00002.safetensors", "t/m.safetensors.index.fp16.json"]
    index = {"t": ["transformers", "T5"], "scale": 1.0}
    assert wanted("a/b", [*shards, *half, "t/config.json"], index) == sorted([*shards, "t/config.json"])
    assert wanted("a/b", [*shards, *half], index, variant="fp16") == sorted(half)
    assert wanted("a/b", ["x.safetensors", "y.safetensors"], None, ("x*",)) == ["x.safetensors"]
    with pytest.raises(SyncbenchError, match="a/b has the weights of t as pickles only"):
        wanted("a/b", ["t/pytorch_model.bin", "model_index.json"], index)


def test_repositories_of_a_model_entry(tmp_path: Path) -> None:
    assert repositories(Entry("models", "owner/name", {"commit": "abc"})) == {"owner/name": "abc"}
    assert repositories(Entry("models", "diffusers", {"path": "owner/name"})) == {"owner/name": ""}
    assert repositories(Entry("models", "reference")) == {}
    (tmp_path / "name").mkdir()
    assert repositories(Entry("models", "diffusers", {"path": str(tmp_path / "name")})) == {}


ASKING = ("from_pretrained", "from_single_file", "snapshot_download", "hf_hub_download")
NEVER = ("urlopen", "urlretrieve", "load_state_dict_from_url", "download_url_to_file", "load_lora_weights")


def test_nothing_but_fetch_can_use_the_network() -> None:
    """Whatever could ask a server is told not to, by name, everywhere outside `bench/fetch`."""
    seen = 0
    for tree in ("bench", "methods", "metrics", "datasets"):
        for path in (ROOT / tree).rglob("*.py"):
            if (ROOT / "bench" / "fetch") in path.parents:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                assert name not in NEVER, f"{path.name}:{node.lineno} calls {name}"
                if name in ASKING:
                    seen += 1
                    given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    spread = ast.unparse(node) if None in given else ""
                    assert given.get("local_files_only") == "True" or "how" in spread, f"{path.name}:{node.lineno}"
    assert seen >= 5


def test_a_sweep_opens_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from syncbench.bench.run.sweep import run

    def refused(*args: Any) -> None:
        raise AssertionError(f"a connection to {args[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    how: dict[str, Any] = {"methods": ["independent"], "limit": 1, "families": ["overlap"]}
    how["metrics"] = ["clip_text", "intra_lpips"]
    frame = run("quick", tmp_path / "out", overrides=["protocol.steps=1"], **how)
    assert (frame["status"] == "ok").all()
