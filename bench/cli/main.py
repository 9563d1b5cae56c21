"""The command line. Commands import heavy modules only when they run, so that `--help` and `ls` answer at once.

Exit codes: 0 done, 1 some jobs failed or a gate fell, 2 usage or unreadable input. Tables and JSON go to stdout,
progress and errors to stderr.
"""

from ..isolation.signals import quiet_imports

with quiet_imports():
    from . import fetch, outputs, results, sweeps, trust
    from .options import app

__all__ = ["app", "fetch", "outputs", "results", "sweeps", "trust"]

if __name__ == "__main__":
    app()
