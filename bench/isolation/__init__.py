"""Protection of a sweep from the components it runs: caught exceptions, restored settings, signals, threads."""
