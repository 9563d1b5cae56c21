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
ROLES = {
    "seam_ratio": ("consistency", 1),
    "intra_lpips[reference]": ("consistency", 2),
    "clip_text[reference]": ("text", 1),
    "sharpness": ("quality", 1),
    "overlap_sharpness": ("quality", None),
    "seconds": ("cost", 1),
    "network_evaluations": ("cost", 2),
    "peak_memory": ("cost", None),
}
"""What a metric is for and its place; others are for consistency, and not primary."""
MACHINE = "2 CPU cores (Test)"
METHODS = {"independent": "floor", "truth": "ceiling", "trap": "trap", "multidiffusion": None, "syncdiffusion": None}
LEVEL = {"independent": 2.0, "truth": 1.0, "trap": 0.1, "multidiffusion": 1.2, "syncdiffusion": 1.1}


def record(method: str, metric: str, item: int, seed: int, value: float | None, **fields: object) -> dict[str, object]:
    direction, unit = METRICS.get(metric, ("lower", ""))
    role, primary = ROLES.get(metric, ("consistency", None))
    one = {
        "key": f"{method}-{item}-{seed}",
        "family": "overlap",
        "dataset": "panoramas",
        "dataset_version": 1,
        "item": f"item{item:03d}",
        "content": f"{item:012x}",
        "model": "reference",
        "revision": "abc",
        "method": method,
        "method_version": 1,
        "door": "controlled",
        "anchor": METHODS.get(method),
        "params": {},
        "protocol": {"steps": 10, "guidance": 3.0},
        "seed": seed,
        "machine": MACHINE,
        "metric": metric,
        "metric_version": 1,
        "fingerprint": f"{metric}/v1, {MACHINE}" if metric in ("seconds", "peak_memory") else f"{metric}/v1",
        "role": role,
        "primary": primary,
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
    return pd.DataFrame(made, columns=Record.columns()).astype({"primary": "Int64"})
