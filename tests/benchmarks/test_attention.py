"""Extended attention over F views: folded into one call, against the textbook that copies keys and values per view.

Both are whole layers of Stable Diffusion's inner size (320 channels, 8 heads, 16x16 tokens, two halves of guidance).
Memory is what a layer's call adds to the process: the kernel's high-water mark in a fresh process on the CPU, the
allocator's on a GPU. Times are of calls in turn, so that other work on the machine slows both.
"""

import subprocess
import sys
from statistics import median
from time import perf_counter
from typing import Any

import psutil
import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from syncbench.bench.run.measure import MIB, measured
from syncbench.bench.sampling.sharing import SharedAttention

CHANNELS, HEADS, TOKENS, HALVES = 320, 8, 256, 2
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Expanded(AttnProcessor2_0):
    """The textbook: every view gets a copy of all views' hidden states, projected to its own keys and values."""

    def __call__(self, attn: Any, hidden_states: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        """Copy, then attend view by view, in one batch."""
        rows, _, channels = hidden_states.shape
        views = rows // HALVES
        key, value = (
            project(hidden_states)
            .reshape(HALVES, 1, views * TOKENS, channels)
            .expand(-1, views, -1, -1)
            .reshape(rows, -1, HEADS, channels // HEADS)
            for project in (attn.to_k, attn.to_v)
        )
        query = attn.to_q(hidden_states).unflatten(-1, (HEADS, -1))
        q, k, v = (x.transpose(1, 2) for x in (query, key, value))
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return attn.to_out[0](out.transpose(1, 2).flatten(2))


def layer(kind: str) -> Attention:
    torch.manual_seed(0)
    made = Attention(CHANNELS, heads=HEADS, dim_head=CHANNELS // HEADS).to(DEVICE).requires_grad_(False)
    made.set_processor(Expanded() if kind == "expanded" else SharedAttention(made.processor, lambda rows: HALVES))
    return made


def hidden(views: int) -> torch.Tensor:
    draw = torch.randn(HALVES * views, TOKENS, CHANNELS, generator=torch.Generator().manual_seed(1))
    return draw.to(DEVICE)


def added(kind: str, views: int) -> float:
    """MiB that one call adds to this process, which must have done nothing larger before."""
    attention, x = layer(kind), hidden(views)
    attention(x[: 2 * HALVES])  # libraries allocate their own buffers once
    before = torch.cuda.memory_allocated() if DEVICE.type == "cuda" else psutil.Process().memory_info().rss
    with measured(DEVICE) as meter:
        attention(x)
    return meter.peak_mb - before / MIB


def added_alone(kind: str, views: int) -> float:
    command = [sys.executable, __file__, kind, str(views)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def seconds(attention: Attention, x: torch.Tensor) -> float:
    start = perf_counter()
    attention(x)
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return perf_counter() - start


@pytest.mark.parametrize("views", [8, 16, 24])
def test_extended_attention(benchmark: Any, views: int, capsys: pytest.CaptureFixture[str]) -> None:
    folded, expanded, x = layer("folded"), layer("expanded"), hidden(views)
    torch.testing.assert_close(folded(x), expanded(x), rtol=0, atol=1e-5)
    ratios: list[float] = []

    def both() -> None:
        before, between, after = seconds(folded, x), seconds(expanded, x), seconds(folded, x)
        ratios.append((before + after) / 2 / between)

    benchmark.pedantic(both, rounds=3)
    memory = {kind: added_alone(kind, views) for kind in ("folded", "expanded")}
    facts = {"time": median(ratios), "memory": memory["folded"] / memory["expanded"], **memory}
    benchmark.extra_info.update(facts, device=str(DEVICE))
    with capsys.disabled():
        print(
            f"\n{views} views on {DEVICE}: folded takes {facts['time']:.2f} of expanded's time and "
            f"{facts['memory']:.3f} of its memory ({memory['folded']:.0f} of {memory['expanded']:.0f} MiB)"
        )
    assert facts["time"] < 1.2
    assert facts["memory"] < 5 / views


if __name__ == "__main__":
    print(added(sys.argv[1], int(sys.argv[2])))
