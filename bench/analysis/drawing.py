"""Vega's plots and scripts through vl-convert, run in a process of its own.

vl-convert contains a JavaScript engine that reserves gigabytes of address space. Where it gets none, it ends its
process with a signal, which becomes a SyncbenchError here.
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


def vega_bundle() -> bytes:
    """Vega, Vega-Lite and Vega-Embed as one script. Raises SyncbenchError where vl-convert fails."""
    return _output(BUNDLE)


def png(chart: Any, **how: Any) -> bytes:
    """An Altair chart as a PNG; `how` are arguments of `Chart.save`. Raises SyncbenchError where vl-convert fails."""
    import json

    return _output(DRAW, json.dumps(how), given=chart.to_json().encode())


def _output(script: str, *arguments: str, given: bytes = b"") -> bytes:
    """The output of a Python script in another process, with `given` as its input.

    Raises SyncbenchError where the process fails.
    """
    # -P: a module in the working folder, which may be untrusted, must not be imported in place of a package
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
    """The end of a message about this process's limit of address space; empty where there is none."""
    try:
        import resource
    except ImportError:  # not on Windows
        return ""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return ""
    return f", and the limit is {soft / 2**30:.1f} GiB: raise it (ulimit -v unlimited)"
