"""The gate: whether a new run is no worse than a stored one. Verdicts, baselines, JUnit reports, a pytest plugin."""
