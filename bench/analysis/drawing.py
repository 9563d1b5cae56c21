"""Vega's plots and scripts through vl-convert, in a process of their own.

vl-convert holds a JavaScript engine that reserves gigabytes of addresses. Where it gets none it ends its process with
a signal: here that is one sentence instead.
"""

import signal
import subprocess
import sys
from typing import Any

from ..errors import SyncbenchError

BUNDLE = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"
DRAW = (
    "import json, sys, altair; how = json.loads(sys.argv[1]); "
    "altair.Chart.from_json(sys.stdin.read()).save(sys.stdout.buffer, format='png', **how)"
)


def bundle() -> bytes:
    """Vega, Vega-Lite and Vega-Embed as one script. Raises SyncbenchError where they cannot be had."""
    return _asked(BUNDLE)


def png(chart: Any, **how: Any) -> bytes:
    """An Altair chart as a PNG; `how` is what `Chart.save` takes. Raises SyncbenchError where it cannot be drawn."""
    import json

    return _asked(DRAW, json.dumps(how), given=chart.to_json().encode())


def _asked(script: str, *arguments: str, given: bytes = b"") -> bytes:
    # -P: a module of the folder one works in, which may be a stranger's, must not stand in for a package
    command = [sys.executable, "-P", "-c", script, *arguments]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    if done.returncode == 0:
        return done.stdout
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        why = f"its process ended with {name}; it needs many gigabytes of address space{_limit()}"
    else:
        why = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
    raise SyncbenchError(f"vl-convert cannot make the plots: {why}")


def _limit() -> str:
    """What is said of the limit of this process, where there is one."""
    try:
        import resource
    except ImportError:  # not on Windows
        return ""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return ""
    return f", and the limit is {soft / 2**30:.1f} GiB: raise it (ulimit -v unlimited)"
