"""The board as one HTML file: template, style, script, data, and the libraries that the script uses."""

import base64
import gzip
import io
import json
import re
import zipfile
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ...analysis.drawing import vega_bundle
from ...errors import SyncbenchError

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; "
    "img-src data:; media-src data:; connect-src 'none'; form-action 'none'; base-uri 'none'"
)
"""Content security policy of the page: it can load nothing from outside the file."""


def board_html(content: dict[str, Any]) -> str:
    """The board's HTML. All text of `content` is embedded as JSON and becomes text in the browser, never markup."""
    room = files("syncbench.bench.report").joinpath("templates")
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
        plots=_packed(vega_bundle()),  # the wheel of vl-convert holds Vega, Vega-Lite and Vega-Embed
        solids=_packed(three_bundle()) if _has_meshes(content) else "",
        empty=not content["boards"],
        version=content["version"],
    )


def three_bundle() -> bytes:
    """three.js as one script, from the page in which trimesh shows scenes. Raises SyncbenchError where it has none."""
    try:
        data = files("trimesh").joinpath("resources", "templates", "viewer.zip").read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            page = archive.read("viewer.html.template").decode()
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise SyncbenchError("this trimesh brings no three.js: install the pinned one, or say --meshes 0") from error
    # the library ends where its module does; helpers of the page follow it
    found = re.search(r'<script>(.*?"__esModule",\{value:!0\}\)\}\)\);)', page, re.DOTALL)
    if found is None or "THREE={}" not in found[1]:
        raise SyncbenchError("this trimesh has another three.js: install the pinned one, or say --meshes 0")
    return found[1].encode()


def _has_meshes(content: dict[str, Any]) -> bool:
    return any((board.get("gallery") or {}).get("shapes") for board in content["boards"])


def embedded(content: Any) -> str:
    """JSON of `content` in which no HTML parser finds markup, for use inside a script element."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    # U+2028 and U+2029 end lines in old scripts; < starts tags and comments
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    return text.translate(str.maketrans(escapes))


def _packed(script: bytes) -> str:
    """A script compressed (gzip) and in base64, for the browser's `DecompressionStream`; equal for equal scripts."""
    return base64.b64encode(gzip.compress(script, 9, mtime=0)).decode()
