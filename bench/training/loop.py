"""One resumable training loop shared by the trainers.

Every random choice of a step is a pure function of (seed, step, rank), so a resumed run continues as if it had
never stopped. The learning rate follows the done share of the budget: steps, or minutes where given.

A run may be split over processes of one thread each that average their gradients once a step. On a few shared
cores this beats threads, which wait for each other at every operator.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed as dist
from torch import multiprocessing, nn

Loss = Callable[[int, torch.Generator], dict[str, torch.Tensor]]


@dataclass
class Plan:
    """What a run may spend and how: AdamW, linear warm-up, a decay to zero, EMA, clipped gradients."""

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

    A run that is to be continued another time wants a constant rate and a short tail."""
    log_every: int = 50
    save_every: int = 1000
    betas: tuple[float, float] = (0.9, 0.99)


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


def generator(seed: int, step: int) -> torch.Generator:
    """The random stream of one step, different in every process of the run."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 64 + _rank())


def launch(worker: Callable[..., None], processes: int, *args: object) -> None:
    """Call ``worker(*args)`` here, or in ``processes`` processes that ``train`` then keeps in step."""
    if processes == 1:
        worker(*args)
        return
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_enter, (processes, f"file://{folder}/meet", worker, args), nprocs=processes)


def _enter(rank: int, processes: int, meet: str, worker: Callable[..., None], args: tuple) -> None:
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=processes)
    worker(*args)
    dist.destroy_process_group()


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that writes files."""
    return _rank() == 0


def train(module: nn.Module, loss: Loss, plan: Plan, groups: Iterable[dict] | None = None) -> Average:
    """Train ``module`` with ``loss(step, generator)`` -> named scalars, of which ``loss`` is minimised.

    Writes ``state.pt`` (everything a resume needs) and ``log.csv`` (step, seconds, rate, named scalars) to
    ``plan.out``. ``groups`` are AdamW parameter groups with an optional ``scale`` of the rate. Returns the EMA.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    groups = list(groups) if groups is not None else [{"params": list(module.parameters())}]
    scales = [group.pop("scale", 1.0) for group in groups]
    optimiser = torch.optim.AdamW(groups, lr=plan.rate, betas=plan.betas, weight_decay=plan.decay, fused=True)
    average = Average(module, plan.average)
    state, log = plan.out / "state.pt", plan.out / "log.csv"
    step, spent = 0, 0.0
    if plan.resume and state.exists():
        saved = torch.load(state, weights_only=False)
        module.load_state_dict(saved["module"])
        optimiser.load_state_dict(saved["optimiser"])
        average.shadow, step, spent = saved["average"], saved["step"], saved["seconds"]
    first = is_first()
    if first:
        _trim(log, step)
    started = time.monotonic() - spent
    sums: dict[str, float] = {}
    module.train()
    while True:
        share = spent / (60 * plan.minutes) if plan.minutes else step / plan.steps
        if share >= 1:
            break
        rate = plan.rate * min(1, (step + 1) / plan.warmup) * _fall(share, plan.tail)
        for group, scale in zip(optimiser.param_groups, scales, strict=True):
            group["lr"] = rate * scale
        values = loss(step, generator(plan.seed, step))
        optimiser.zero_grad(set_to_none=True)
        values["loss"].backward()
        figures = [*(float(value.detach()) for value in values.values()), time.monotonic() - started]
        *figures, spent = _together(module, figures)
        norm = nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        if torch.isfinite(norm):
            optimiser.step()
        average.update(step)
        step += 1
        for name, value in zip(values, figures, strict=True):
            sums[name] = sums.get(name, 0.0) + value / plan.log_every
        if step % plan.log_every == 0:
            if first:
                _log(log, step, spent, rate, sums)
            sums = {}
        if step % plan.save_every == 0 and first:
            _save(state, module, optimiser, average, step, spent)
    if first:
        _save(state, module, optimiser, average, step, spent)
    return average


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
        rows = [row for row in rows if int(row.split(",")[0]) <= step]
        log.write_text("\n".join([head, *rows]) + "\n")
    if step == 0:
        log.unlink(missing_ok=True)


def _log(path: Path, step: int, seconds: float, rate: float, values: dict[str, float]) -> None:
    if not path.exists():
        path.write_text(",".join(["step", "seconds", "rate", *values]) + "\n")
    row = [str(step), f"{seconds:.1f}", f"{rate:.3g}", *(f"{value:.5g}" for value in values.values())]
    with path.open("a") as file:
        file.write(",".join(row) + "\n")


def _save(path: Path, module: nn.Module, optimiser, average: Average, step: int, seconds: float) -> None:
    part = path.with_suffix(".part")
    torch.save(
        {
            "module": module.state_dict(),
            "optimiser": optimiser.state_dict(),
            "average": average.shadow,
            "step": step,
            "seconds": seconds,
        },
        part,
    )
    part.replace(path)
