"""One resumable training loop shared by the trainers.

Every random choice of a step is a pure function of (seed, step), so a resumed run continues as if it had
never stopped. The learning rate follows the done share of the budget: steps, or minutes where given.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

Loss = Callable[[int, torch.Generator], dict[str, torch.Tensor]]


@dataclass
class Plan:
    """What a run may spend and how: AdamW, linear warm-up, cosine to zero, EMA, clipped gradients."""

    out: Path
    steps: int
    minutes: float | None = None
    resume: bool = False
    seed: int = 0
    rate: float = 1e-3
    warmup: int = 200
    decay: float = 0.01
    average: float = 0.999
    log_every: int = 50
    save_every: int = 1000
    betas: tuple[float, float] = (0.9, 0.99)
    milestones: list[Callable[[int], None]] = field(default_factory=list)
    """Called with the step after every save."""


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
        names = list(self.shadow)
        live = dict(self.module.named_parameters())
        torch._foreach_lerp_([self.shadow[n] for n in names], [live[n].detach() for n in names], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange averaged and live parameters; call twice to restore."""
        for name, p in self.module.named_parameters():
            kept = p.detach().clone()
            p.copy_(self.shadow[name])
            self.shadow[name] = kept


def generator(seed: int, step: int) -> torch.Generator:
    """The random stream of one step."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


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
        if log.exists():  # rows past the saved step are of a run that was cut off
            head, *rows = log.read_text().splitlines()
            rows = [row for row in rows if int(row.split(",")[0]) <= step]
            log.write_text("\n".join([head, *rows]) + "\n")
    else:
        log.unlink(missing_ok=True)
    started = time.monotonic() - spent
    sums: dict[str, float] = {}
    module.train()
    while True:
        spent = time.monotonic() - started
        share = spent / (60 * plan.minutes) if plan.minutes else step / plan.steps
        if share >= 1:
            break
        rate = plan.rate * min(1, (step + 1) / plan.warmup) * 0.5 * (1 + math.cos(math.pi * share))
        for group, scale in zip(optimiser.param_groups, scales, strict=True):
            group["lr"] = rate * scale
        values = loss(step, generator(plan.seed, step))
        optimiser.zero_grad(set_to_none=True)
        values["loss"].backward()
        norm = nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        if torch.isfinite(norm):
            optimiser.step()
        average.update(step)
        step += 1
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        if step % plan.log_every == 0:
            _log(log, step, time.monotonic() - started, rate, {k: v / plan.log_every for k, v in sums.items()})
            sums = {}
        if step % plan.save_every == 0:
            _save(state, module, optimiser, average, step, time.monotonic() - started)
            for call in plan.milestones:
                call(step)
    _save(state, module, optimiser, average, step, time.monotonic() - started)
    return average


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
