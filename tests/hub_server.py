"""A model hub and a file server in one thread: what the hub's client asks for, with cuts and lies on demand."""

import hashlib
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server holds, and how it misbehaves."""

    url: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    commits: list[str] = field(default_factory=lambda: [COMMIT])
    cut: dict[str, int] = field(default_factory=dict)
    """Names whose answer ends after so many bytes, once; asked again within the same fetch they are an error."""
    lies: dict[str, bytes] = field(default_factory=dict)
    """Names whose content is another than the hub says."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and range of every request."""
    broken: set[str] = field(default_factory=set)

    def ranges(self, name: str) -> list[str]:
        """Ranges asked for in the content of a name."""
        return [bytes_ for how, path, bytes_ in self.asked if how == "GET" and path.endswith(name)]


@contextmanager
def serving() -> Generator[Hub]:
    """A hub on this machine until the context ends."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            return

        def do_HEAD(self) -> None:
            self.answer(False)

        def do_GET(self) -> None:
            self.answer(True)

        def answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            hub.asked.append((self.command, path, self.headers.get("Range", "")))
            for name, files in hub.repositories.items():
                if path.startswith((f"/api/models/{name}/", f"/{name}/resolve/")) and name in hub.gated:
                    return self.send(403, b"{}", body, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
                if path.startswith(f"/api/models/{name}/revision/"):
                    return self.send(200, json.dumps(_info(name, files, path.rpartition("/")[2])).encode(), body)
                if path.startswith(f"/api/models/{name}/commits/"):
                    listed = [
                        {"id": one, "title": "", "message": "", "date": "2025-01-01T00:00:00.000Z", "authors": []}
                        for one in hub.commits
                    ]
                    return self.send(200, json.dumps(listed).encode(), body)
                if path.startswith(f"/{name}/resolve/"):
                    revision, _, file = path.removeprefix(f"/{name}/resolve/").partition("/")
                    if file in files:
                        return self.content(file, files[file], body, revision)
            if path.lstrip("/") in hub.files:
                return self.content(path.lstrip("/"), hub.files[path.lstrip("/")], body)
            return self.send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"} if path.startswith("/api/") else {})

        def content(self, name: str, data: bytes, body: bool, revision: str = "") -> None:
            if body and name in hub.broken:
                return self.send(500, b"", body)
            headers = {"ETag": f'"{_digest(data)}"', "X-Repo-Commit": _commit(revision), "Accept-Ranges": "bytes"}
            data = hub.lies.get(name, data) if body else data
            start = int((self.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
            status, part = (206, data[start:]) if self.headers.get("Range") else (200, data)
            if status == 206:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            return self.send(status, part, body, headers, hub.cut.get(name) if body else None)

        def send(
            self, status: int, data: bytes, body: bool, headers: dict[str, str] | None = None, cut: int | None = None
        ) -> None:
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data if cut is None else data[:cut])
            if cut is not None:
                hub.broken.add(self.path.partition("?")[0].rpartition("/resolve/")[2].partition("/")[2])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _commit(revision: str) -> str:
    """The commit of a branch or tag; a commit is its own."""
    return revision if len(revision) == 40 else COMMIT


def _info(name: str, files: dict[str, bytes], revision: str) -> dict[str, Any]:
    siblings = []
    for file, data in files.items():
        entry: dict[str, Any] = {"rfilename": file, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
        if file.endswith((".safetensors", ".bin")):
            entry["lfs"] = {"size": len(data), "sha256": _digest(data), "pointerSize": 130}
        siblings.append(entry)
    return {
        "_id": "1",
        "id": name,
        "modelId": name,
        "sha": _commit(revision),
        "siblings": siblings,
        "tags": [],
        "private": False,
    }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
