"""Records for the tests of reports and tables."""

import numpy as np
import pandas as pd
from syncbench.bench.types import Record

METRICS = {
    "seam_ratio": ("target:1", ""),
    "intra_lpips[reference]": ("lower", ""),
    "clip_text[reference]": ("higher", "cosine"),
    "seconds": ("lower", "s"),
}
METHODS = {"independent": "floor", "truth": "ceiling", "trap": "trap", "multidiffusion": None, "syncdiffusion": None}
LEVEL = {"independent": 2.0, "truth": 1.0, "trap": 0.1, "multidiffusion": 1.2, "syncdiffusion": 1.1}


def record(method: str, metric: str, item: int, seed: int, value: float | None, **fields: object) -> dict[str, object]:
    direction, unit = METRICS.get(metric, ("lower", ""))
    one = {
        "key": f"{method}-{item}-{seed}",
        "family": "overlap",
        "dataset": "panoramas",
        "dataset_version": 1,
        "item": f"item{item:03d}",
        "model": "reference",
        "revision": "abc",
        "method": method,
        "method_version": 1,
        "door": "controlled",
        "anchor": METHODS.get(method),
        "params": {},
        "protocol": {"steps": 10, "guidance": 3.0},
        "seed": seed,
        "metric": metric,
        "metric_version": 1,
        "fingerprint": f"{metric}/v1",
        "direction": direction,
        "unit": unit,
        "value": value,
        "coverage": 0.0 if value is None else 1.0,
        "reason": "nothing overlaps" if value is None else None,
        "status": "ok",
    }
    return {**one, **fields}


def records(items: int = 8, seeds: int = 2, metrics: dict[str, tuple[str, str]] = METRICS) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 0.3, items)
    return [
        record(method, metric, i, seed, float(LEVEL[method] + hard[i] + rng.normal(0, 0.02)))
        for method in METHODS
        for metric in metrics
        for i in range(items)
        for seed in range(seeds)
    ]


def frame(made: list[dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(made, columns=Record.columns())
