"""Rank correlation of two quantities over methods, also of many resamples at once."""

from typing import Any

import numpy as np
from jaxtyping import Num
from scipy import stats


def rank_correlation(a: Num[np.ndarray, "... n"], b: Num[np.ndarray, "... n"]) -> Any:
    """Spearman's correlation along the last axis, which is Pearson's of average ranks; nan where all are tied."""
    first, second = stats.rankdata(a, axis=-1), stats.rankdata(b, axis=-1)
    first, second = (ranks - ranks.mean(-1, keepdims=True) for ranks in (first, second))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (first * second).sum(-1) / np.sqrt((first * first).sum(-1) * (second * second).sum(-1))
