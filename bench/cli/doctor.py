"""Checks of this machine and installation, one line each, with a cure where something is wrong.

The checks are quick: no network library is imported and no weights are read, only the existence of files is checked.
"""

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from ..catalogue.listing import FOLDERS, KINDS, list_components
from ..isolation.threads import allowed_cores


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    """What was checked."""
    status: Literal["ok", "warn"]
    found: str
    """The result in words."""
    cure: str = ""
    """What to do about a warning."""


def doctor(results: Path = Path("results")) -> list[Finding]:
    """The results of all checks. Nothing is downloaded, and nothing is raised: a check that fails is a warning."""
    checks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("python", _python),
        ("machine", _machine),
        ("accelerator", _accelerator),
        ("packages", _packages),
        ("components", _components),
        ("reference model", lambda: _bundled("reference model", "reference/model_index.json")),
        ("reference judge", lambda: _bundled("reference judge", "judge/open_clip_config.json")),
        ("lpips weights", lambda: _torch_weights("lpips weights", "VGG16")),
        ("style weights", lambda: _torch_weights("style weights", "VGG19")),
        ("clip weights", _clip),
        ("flow weights", _flow),
        ("results folder", lambda: _writable(results)),
    )
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings.append(check())
        except Exception as error:
            findings.append(Finding(name, "warn", f"{type(error).__name__}: {error}", "reinstall syncbench"))
    return findings


def _python() -> Finding:
    fine = sys.version_info >= (3, 11)
    return Finding("python", "ok" if fine else "warn", platform.python_version(), "" if fine else "use 3.11 or newer")


def _machine() -> Finding:
    memory = psutil.virtual_memory().total / 2**30
    text = f"{platform.system()} {platform.machine()}, {allowed_cores():g} cores, {memory:.1f} GiB memory"
    small = memory < 4
    return Finding("machine", "warn" if small else "ok", text, "4 GiB or more are comfortable" if small else "")


def _accelerator() -> Finding:
    gpus, build = _gpus(), _cuda_build()
    if gpus and build == "":
        return Finding("accelerator", "warn", f"{', '.join(gpus)}; this torch has no CUDA", "install torch for CUDA")
    if gpus:
        return Finding("accelerator", "ok", ", ".join(gpus))
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return Finding("accelerator", "ok", "Apple MPS")
    return Finding("accelerator", "ok", "none; the CPU is enough for the reference model")


def _gpus() -> list[str]:
    """Names of NVIDIA's GPUs, from their driver; empty where there are none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    asked = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def _cuda_build() -> str | None:
    """The CUDA version torch was built for, from its `version.py`; `hip` for ROCm, empty for none, None unknown."""
    spec = importlib.util.find_spec("torch")
    file = Path(spec.origin).with_name("version.py") if spec is not None and spec.origin else None
    if file is None or not file.is_file():
        return None
    text = file.read_text()
    if re.search(r"^hip\b[^=]*= ['\"]", text, re.MULTILINE):
        return "hip"
    version = re.search(r"^cuda\b[^=]*= (None|['\"]([\d.]+)['\"])", text, re.MULTILINE)
    return None if version is None else version[2] or ""


def _packages() -> Finding:
    from ..catalogue.packages import PACKAGES, versions

    installed = versions()
    gone = [name for name in PACKAGES if name not in installed]
    text = ", ".join(f"{name} {version}" for name, version in installed.items())
    return Finding("packages", "warn" if gone else "ok", text, f"pip install {' '.join(gone)}" if gone else "")


def _components() -> Finding:
    counts = {kind: len(list_components(kind)) for kind in KINDS}
    empty = [kind for kind, count in counts.items() if not count]
    text = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return Finding("components", "warn" if empty else "ok", text, "reinstall syncbench" if empty else "")


def _bundled(name: str, file: str) -> Finding:
    folder = FOLDERS["models"] / "weights" / Path(file).parent
    if not (folder / Path(file).name).is_file():
        return Finding(name, "warn", "its weights are missing", "reinstall syncbench, or train it (syncbench train)")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    return Finding(name, "ok", f"bundled, {size:.1f} MiB")


USERS = {
    "VGG16": "intra_lpips, straddle_lpips, variety, edit_strength; syncdiffusion@paper",
    "VGG19": "intra_style",
    "clip": "clip_text, frame_clip",
}
"""The metrics and methods that use published weights, by network."""


def _torch_weights(name: str, network: str) -> Finding:
    from ..backbones import published
    from ..fetch import torch_hub

    file = getattr(published, network)
    if (torch_hub.hub_folder() / file).is_file():
        return Finding(name, "ok", f"published ({file})")
    return _absent(name, USERS[network], published.FETCHED[file])


def _absent(name: str, users: str, fetched: str) -> Finding:
    """The result for weights that are not on this machine, which only items of the reference world can do without."""
    text = f"not on this machine: null outside the reference world ({users}) until `syncbench fetch {fetched}`"
    return Finding(name, "ok", text)


def _clip() -> Finding:
    from huggingface_hub import try_to_load_from_cache

    from ..backbones.published import CLIPS

    here = [
        name
        for name, repository in CLIPS.items()
        if isinstance(try_to_load_from_cache(repository, "open_clip_model.safetensors"), str)
    ]
    if not here:
        return _absent("clip weights", USERS["clip"], "clip")
    return Finding("clip weights", "ok", f"published ({', '.join(here)})")


def _flow() -> Finding:
    from ..backbones import published
    from ..fetch import torch_hub

    if (torch_hub.hub_folder() / published.RAFT_LARGE).is_file():
        return Finding("flow weights", "ok", f"published ({published.RAFT_LARGE})")
    fetched = published.FETCHED[published.RAFT_LARGE]
    return Finding(
        "flow weights",
        "ok",
        f"not on this machine: optical flow is by dis, @raft null, until `syncbench fetch {fetched}`",
    )


def _writable(results: Path) -> Finding:
    name = f"{results}/"
    place = next(p for p in (results.absolute(), *results.absolute().parents) if p.exists())
    probe = place / ".syncbench-probe"
    try:
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        return Finding("results folder", "warn", f"{name}: {error.strerror}", "choose a folder with --out")
    free = shutil.disk_usage(place).free / 2**30
    few = free < 1
    return Finding(
        "results folder", "warn" if few else "ok", f"{name}: {free:.0f} GiB free", "free some" if few else ""
    )
