"""Loop overhead: a MultiDiffusion run over the bare network calls it makes, same batches; at most 1.05 wanted."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import pytest
import torch
from syncbench.bench.models.reference import Reference
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Item, Sampling
from syncbench.methods.overlap.multidiffusion import MultiDiffusion

WANTED = 1.05


class Clock:
    """Adds up bare calls, each made beside its call in the run, first or second in turn.

    Side by side because other work on the machine would otherwise decide the ratio.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bare = self.extra = 0.0
        self.calls = 0

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return perf_counter()

    @contextmanager
    def watch(self, owner: Any, name: str) -> Iterator[None]:
        original: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> None:
            start = self.now()
            original(*args, **options)
            self.bare += self.now() - start

        def call(*args: Any, **options: Any) -> Any:
            entered = self.now()
            self.calls += 1
            if self.calls % 2:
                timed(*args, **options)
            left = self.now()
            answer = original(*args, **options)
            again = self.now()
            if not self.calls % 2:
                timed(*args, **options)
            self.extra += left - entered + self.now() - again
            return answer

        setattr(owner, name, call)
        try:
            yield
        finally:
            delattr(owner, name)


@pytest.fixture(scope="module")
def model() -> Any:
    return Reference()


def test_loop_overhead(benchmark: Any, model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    item = Item(
        id="one",
        family="overlap",
        prompts=("a red ball on a green ground under a blue sky",),
        surface=Strip(model.window, 4 * model.window, model.window),
        protocol=Sampling(steps=4),
    )
    method = MultiDiffusion()
    method(item, model, 0)
    ratios: list[float] = []

    def run() -> None:
        clock = Clock(model.device)
        with ExitStack() as stack:
            for owner, name in ((model.network.module(), "forward"), (model.codec.module, "decode")):
                stack.enter_context(clock.watch(owner, name))
            start = clock.now()
            method(item, model, 0)
            ratios.append((clock.now() - start - clock.extra) / clock.bare)

    benchmark.pedantic(run, rounds=7)
    ratio = median(ratios)
    benchmark.extra_info.update(ratio=ratio, model=model.id, device=str(model.device), dtype=str(model.precision))
    with capsys.disabled():
        print(f"\nloop overhead on {model.id} ({model.device}, {model.precision}): ratio {ratio:.3f}, wanted {WANTED}")
        print("rounds:", " ".join(f"{r:.3f}" for r in ratios))
    assert ratio <= WANTED
