"""Content into one HTML file: template, style, script, data, and the two libraries the script stands on."""

import base64
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ..errors import SyncbenchError

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; "
    "img-src data:; media-src data:; connect-src 'none'; form-action 'none'; base-uri 'none'"
)
"""What a browser lets the page do: it can load nothing from anywhere."""


def html(content: dict[str, Any]) -> str:
    """The page. All text of `content` travels as JSON and becomes text nodes in the browser, never markup."""
    room = files("syncbench.bench").joinpath("templates")
    source = {
        name: room.joinpath(name).read_text(encoding="utf-8") for name in ("board.html.j2", "board.css", "board.js")
    }
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return page.from_string(source["board.html.j2"]).render(
        policy=POLICY,
        style=Markup(source["board.css"]),
        script=Markup(source["board.js"]),
        content=Markup(embedded(content)),
        tables=_packed(files("itables").joinpath("html", "dt_bundle.js").read_bytes()),
        plots=_packed(_vega()),
        empty=not content["boards"],
        version=content["version"],
    )


def embedded(content: Any) -> str:
    """JSON that no HTML parser can take for markup inside a script element."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    # U+2028 and U+2029 end lines in old scripts; < starts tags and comments
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    return text.translate(str.maketrans(escapes))


BUNDLE = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"


def _vega() -> bytes:
    """Vega, Vega-Lite and Vega-Embed, which the wheel of vl-convert holds and its V8 engine puts together.

    V8 reserves more address space than it uses, and ends its process where it gets none: under such a limit it has a
    process of its own. Raises SyncbenchError when it ends.
    """
    if _limited():
        done = subprocess.run([sys.executable, "-c", BUNDLE], capture_output=True, check=False)
        if done.returncode or not done.stdout:
            raise SyncbenchError(
                "the board's plots need the V8 engine, which cannot start under this limit of address space: raise it "
                "(ulimit -v unlimited) and call board again, or use report"
            )
        return done.stdout
    from vl_convert import javascript_bundle

    bundle: Callable[..., str] = javascript_bundle  # its stub asks for a snippet, which is optional
    return bundle().encode()


def _limited() -> bool:
    """Whether this process has a limit of address space (ulimit -v)."""
    try:
        import resource
    except ImportError:  # Windows
        return False
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _packed(script: bytes) -> str:
    """A library for `DecompressionStream`: a third of its size, the same bytes for the same version."""
    return base64.b64encode(gzip.compress(script, 9, mtime=0)).decode()
