"""Training of the small reference models the benchmark ships: judge, codec and base, one command each."""

TRAINERS = ("judge", "codec", "base")
"""Module names of this package whose ``main(out, steps, minutes, resume, seed)`` trains one model."""
