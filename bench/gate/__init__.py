"""Is a new run no worse than a stored one? Verdicts, baselines, and what CI reads of them."""
