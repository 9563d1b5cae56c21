"""Sweeps: planning, sampling, scoring, worker processes, progress and forecasts."""
