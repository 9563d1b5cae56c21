"""What strangers may send, for the tests of what is made of it."""

import json
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from syncbench.bench.cli.main import app
from syncbench.bench.files.writing import seal, unseal
from typer.testing import CliRunner

PAYLOADS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</table><h1>x</h1>",
    "&lt;b&gt;",
    "@everyone",
    "a@b.example",
    "[x](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "https://evil.example",
    "www.evil.example",
    "`code`",
    "**bold**",
    "| a | b |",
    "# head",
    "#123",
    "a\nb",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x00nul",
    "\u202egnp.exe",
    "\u2066hidden\u2069",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "{\\write18{touch x}}",
    "}\n@article{evil, title={x}}",
    "\\input{/etc/passwd}",
    "100 % $x$ & [bold]rich[/bold]",
    "]]>",
)


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def bomb(path: Path, mark: Path) -> Path:
    """A file that executes something when it is unpickled; proved here, then undone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = pickle.dumps(Bomb(mark), 2)
    pickle.loads(data)
    mark.rmdir()
    path.write_bytes(data)
    return path


def call(*arguments: object) -> Any:
    """A command of the command line. Fails the test if it ends in a traceback."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), (arguments, repr(done.exception))
    assert done.exit_code in (0, 1, 2), (arguments, done.exit_code)
    return done


def edited(path: Path, at: Sequence[str | int], value: Any) -> None:
    """Change a place in a JSON file, with a checksum that is right again; no `at`: all of the content."""
    content = json.loads(path.read_bytes() if path.name == "run.json" else unseal(path))
    if at:
        node = content
        for part in at[:-1]:
            node = node[part]
        node[at[-1]] = value
    else:
        content = value
    text = json.dumps(content).replace("Infinity", "1e999").encode()
    if path.name != "run.json" and isinstance(content, dict):
        text = seal(content) if b"1e999" not in text else forged(text)
    path.write_bytes(text)


def forged(text: bytes) -> bytes:
    """JSON of an object with a right checksum, whatever it holds."""
    from hashlib import sha256

    return b'{"sha256": "%s",' % sha256(text[1:]).hexdigest().encode() + text[1:]
