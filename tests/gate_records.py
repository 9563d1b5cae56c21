"""Records of two runs for the tests of the gate: a known level, known damage, known noise of re-seeding."""

import numpy as np
import pandas as pd
from syncbench.bench.types import Record

METRICS = {
    "seam_ratio": "target:1",
    "intra_lpips[reference]": "lower",
    "clip_text[reference]": "higher",
    "seconds": "lower",
}
MACHINE = "2 CPU cores (Test)"
WORSE = {"seam_ratio": 1.0, "intra_lpips[reference]": 1.0, "clip_text[reference]": -1.0, "seconds": 1.0}


def run(
    items: int = 12,
    shift: float = 0.0,
    noise: int | None = None,
    only: str | None = None,
    sigma: float = 0.05,
    seeds: tuple[int, ...] = (0, 1),
) -> pd.DataFrame:
    """A run of items that differ by 0.5 (standard deviation); `shift` worsens every metric (or `only` one).

    `noise` is the seed of what a re-seeded run changes, of standard deviation `sigma` per sample.
    """
    base = np.random.default_rng(0).normal(0, 0.5, items)
    size = (2, len(METRICS), items, len(seeds))
    fresh = np.zeros(size) if noise is None else np.random.default_rng(noise).normal(0, sigma, size)
    made: list[dict[str, object]] = []
    for m, method in enumerate(("multidiffusion", "independent")):
        for k, (metric, direction) in enumerate(METRICS.items()):
            for i in range(items):
                for s, seed in enumerate(seeds):
                    value = 3 + base[i] + fresh[m, k, i, s]
                    if only in (None, metric) and method == "multidiffusion":
                        value += shift * WORSE[metric]
                    made.append(
                        {
                            "key": f"{method}{i}{seed}",
                            "family": "overlap",
                            "dataset": "panoramas",
                            "dataset_version": 1,
                            "item": f"i{i}",
                            "content": f"{i:012x}",
                            "model": "reference",
                            "revision": "abc",
                            "method": method,
                            "method_version": 1,
                            "door": "controlled",
                            "anchor": None,
                            "params": {},
                            "protocol": {"steps": 10},
                            "seed": seed,
                            "machine": MACHINE,
                            "metric": metric,
                            "metric_version": 1,
                            "fingerprint": f"{metric}/1, {MACHINE}" if metric == "seconds" else f"{metric}/1",
                            "role": "cost" if metric == "seconds" else "consistency",
                            "primary": None,
                            "direction": direction,
                            "unit": "",
                            "value": float(value),
                            "coverage": 1.0,
                            "reason": None,
                            "status": "ok",
                        }
                    )
    return pd.DataFrame(made, columns=Record.columns()).astype({"primary": "Int64"})
