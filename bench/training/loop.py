"""One resumable training loop shared by the trainers.

Every random choice of a step is a pure function of (seed, step, rank), so a resumed run continues as if it had
never stopped. The learning rate follows the done share of the budget: steps, or minutes where given.

A run may be split over processes of one thread each that average their gradients once a step. On a few shared
cores this beats threads, which wait for each other at every operator.
"""

# (diffusers and transformers are partly untyped and export lazily.)

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch import multiprocessing, nn

from ..files.writing import disk, write_whole
from ..isolation.threads import allowed_cores
from ..models.parts.denoiser import device_of
from ..types import SyncbenchError
from .processes import end_with_parent
from .resumed import notes
from .saved import read, write

STATE = {"module": dict, "optimiser": dict, "average": dict, "step": int, "seconds": float}
"""Names and types of the content of `state.pt`."""
Loss = Callable[[int, torch.Generator], dict[str, torch.Tensor]]


@dataclass
class Plan:
    """Budget and optimisation of a run: AdamW, linear warm-up, a decay to zero, EMA, clipped gradients."""

    out: Path
    steps: int
    minutes: float | None = None
    resume: bool = False
    seed: int = 0
    rate: float = 1e-3
    warmup: int = 200
    decay: float = 0.01
    average: float = 0.999
    tail: float | None = None
    """Share of the budget at the end over which the rate falls linearly; None is a cosine over all of it.

    A run that will be continued later needs a constant rate and a short tail."""
    log_every: int = 50
    save_every: int = 1000
    betas: tuple[float, float] = (0.9, 0.99)
    device: str = "cpu"
    """Where the module and its batches are; see `where`."""

    def half(self) -> torch.autocast:
        """The autocast context of forward passes: bfloat16 where it is safe."""
        return torch.autocast(torch.device(self.device).type, torch.bfloat16)


class Average:
    """Exponential moving average of a module's parameters, with a warm-up so early steps are forgotten."""

    def __init__(self, module: nn.Module, decay: float):
        self.decay = decay
        self.module = module
        self.shadow = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the module's parameters."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, p in self.module.named_parameters():
            self.shadow[name].lerp_(p, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange averaged and live parameters; call twice to restore."""
        for name, p in self.module.named_parameters():
            kept = p.detach().clone()
            p.copy_(self.shadow[name])
            self.shadow[name] = kept


def generator(seed: int, step: int, shared: bool = False) -> torch.Generator:
    """The random stream of one step: different in every process of the run, or ``shared`` by all of them."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 64 + (63 if shared else _rank()))


def where(name: str, processes: int) -> tuple[str, int]:
    """Device and processes of a run, which takes one process on a GPU. Raises SyncbenchError as `device_of` does."""
    device = device_of(name)
    return str(device), 1 if device.type == "cuda" else min(processes, os.cpu_count() or 1)


def launch(worker: Callable[..., None], processes: int, *args: object) -> None:
    """Call ``worker(*args)`` here, or in ``processes`` processes that ``train`` then keeps in step."""
    if processes == 1:
        worker(*args)
        return
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder, "said")
        call = (processes, folder, worker, args)
        started: Any = multiprocessing.spawn(_enter, call, processes, join=False, daemon=True)
        try:
            while not started.join():
                pass
        except multiprocessing.ProcessExitedException as error:
            why = said.read_text() if said.exists() else f"a process of the run died: {error}"
            raise SyncbenchError(why) from error
        finally:
            for process in started.processes:
                process.kill()


def _enter(rank: int, processes: int, folder: str, worker: Callable[..., None], args: tuple[Any, ...]) -> None:
    end_with_parent()
    torch.set_num_threads(max(1, int(allowed_cores()) // processes))
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=processes)
    try:
        worker(*args)
    except SyncbenchError as error:
        Path(folder, "said").write_text(str(error))
        os._exit(2)  # at once: another process may wait for this one
    dist.destroy_process_group()


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that writes files."""
    return _rank() == 0


def train(module: nn.Module, loss: Loss, plan: Plan, groups: Iterable[dict[str, Any]] | None = None) -> Average:
    """Train ``module``, already on its device, by ``loss(step, generator)`` -> named scalars; ``loss`` is minimised.

    Writes ``state.pt`` (everything a resume needs) and ``log.csv`` (step, seconds, rate, named scalars) to
    ``plan.out``. ``groups`` are AdamW parameter groups with an optional ``scale`` of the rate. Returns the EMA.
    """
    with disk(plan.out):
        plan.out.mkdir(parents=True, exist_ok=True)
    groups = list(groups) if groups is not None else [{"params": list(module.parameters())}]
    scales = [group.pop("scale", 1.0) for group in groups]
    optimiser = torch.optim.AdamW(groups, lr=plan.rate, betas=plan.betas, weight_decay=plan.decay, fused=True)
    run = _Run(plan, module, optimiser, scales, Average(module, plan.average))
    if plan.resume and run.state.exists():
        run.restore()
    if is_first():
        _trim(run.log, run.step)
    module.train()
    with _progress(plan, run.step, run.seconds) as tell:
        run.go(loss, tell)
    run.save()
    return run.average


@dataclass
class _Run:
    """The state of a training run."""

    plan: Plan
    module: nn.Module
    optimiser: torch.optim.Optimizer
    scales: list[float]
    average: Average
    step: int = 0
    seconds: float = 0.0

    @property
    def state(self) -> Path:
        return self.plan.out / "state.pt"

    @property
    def log(self) -> Path:
        return self.plan.out / "log.csv"

    def go(self, loss: Loss, tell: Callable[[int, float, float], None]) -> None:
        """Do steps until the budget is spent."""
        plan, module, first = self.plan, self.module, is_first()
        started = time.monotonic() - self.seconds
        sums: dict[str, float] = {}
        summed = 0
        while True:
            share = self.seconds / (60 * plan.minutes) if plan.minutes else self.step / plan.steps
            if share >= 1:
                return
            rate = plan.rate * min(1, (self.step + 1) / plan.warmup) * _fall(share, plan.tail)
            for group, scale in zip(self.optimiser.param_groups, self.scales, strict=True):
                group["lr"] = rate * scale
            values = loss(self.step, generator(plan.seed, self.step))
            self.optimiser.zero_grad(set_to_none=True)
            values["loss"].backward()
            figures = [*(float(value.detach()) for value in values.values()), time.monotonic() - started]
            *figures, self.seconds = _together(module, figures)
            norm = nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            if torch.isfinite(norm):
                self.optimiser.step()
            self.average.update(self.step)
            self.step += 1
            tell(self.step, self.seconds, figures[0])
            summed += 1  # fewer than `log_every` in the first row after a resume
            for name, value in zip(values, figures, strict=True):
                sums[name] = sums.get(name, 0.0) + value
            if self.step % plan.log_every == 0:
                if first:
                    means = {name: value / summed for name, value in sums.items()}
                    _log(self.log, self.step, self.seconds, rate, means)
                sums, summed = {}, 0
            if self.step % plan.save_every == 0:
                self.save()

    def restore(self) -> None:
        """Continue from the last checkpoint."""
        saved = read(self.state, STATE, self.plan.device)
        try:
            if saved["average"].keys() != self.average.shadow.keys():
                raise ValueError("other parameters")
            self.module.load_state_dict(saved["module"])
            self.optimiser.load_state_dict(saved["optimiser"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SyncbenchError(f"{self.state} is of another network: choose a fresh --out, or --no-resume") from error
        self.average.shadow, self.step, self.seconds = saved["average"], saved["step"], saved["seconds"]

    def save(self) -> None:
        """Write a checkpoint, all of it or nothing."""
        if not is_first():
            return
        everything = {
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.shadow,
            "step": self.step,
            "seconds": self.seconds,
            "notes": notes(self.plan.out),
        }
        write(self.state, everything)


@contextmanager
def _progress(plan: Plan, step: int, spent: float) -> Generator[Callable[[int, float, float], None]]:
    """A context with a function that shows (step, seconds, loss): a bar on a terminal, plain lines elsewhere."""
    begin = int(spent) if plan.minutes else step
    total = (int(60 * plan.minutes) if plan.minutes else plan.steps) - begin
    if total <= 0 or not is_first():
        yield lambda step, spent, loss: None
        return
    from ..run.events import Event
    from ..run.progress import shown

    with shown() as listener:
        listener(Event("training", 0, total))

        def tell(step: int, spent: float, loss: float) -> None:
            done = min(total, max(1, (int(spent) if plan.minutes else step) - begin))
            listener(Event("training", done, total, f"step {step}, loss {loss:.4f}"))

        yield tell


def _fall(share: float, tail: float | None) -> float:
    return 0.5 * (1 + math.cos(math.pi * share)) if tail is None else min(1.0, (1 - share) / tail)


def _together(module: nn.Module, figures: list[float]) -> list[float]:
    """Average gradients and figures over the processes of the run; one message a step."""
    if not dist.is_initialized():
        return figures
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    flat = torch.cat([*(g.reshape(-1) for g in grads), torch.tensor(figures)])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    parts = flat.split([g.numel() for g in grads] + [len(figures)])
    for g, part in zip(grads, parts, strict=False):
        g.copy_(part.view_as(g))
    return parts[-1].tolist()


def _trim(log: Path, step: int) -> None:
    """Drop the rows past the step a run continues from: they are of a run that was cut off."""
    if log.exists():
        head, *rows = log.read_text().splitlines()
        try:
            rows = [row for row in rows if int(row.split(",")[0]) <= step]
        except ValueError as error:
            raise SyncbenchError(f"'{log}' is no log of this training: delete it, or choose a fresh --out") from error
        write_whole(log, "\n".join([head, *rows]) + "\n")
    if step == 0:
        log.unlink(missing_ok=True)


def _log(path: Path, step: int, seconds: float, rate: float, values: dict[str, float]) -> None:
    row = [str(step), f"{seconds:.1f}", f"{rate:.3g}", *(f"{value:.5g}" for value in values.values())]
    with disk(path.parent):
        if not path.exists():
            path.write_text(",".join(["step", "seconds", "rate", *values]) + "\n")
        with path.open("a") as file:
            file.write(",".join(row) + "\n")
