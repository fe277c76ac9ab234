"""A Hugging Face hub on loopback: repositories with files, and what can be wrong with them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """What is asked, and how it answers."""

    def __init__(self, repository: str, files: Mapping[str, bytes]) -> None:
        self.repository = repository
        self.files = dict(files)
        self.is_gated = False
        self.token: str | None = None
        """What has to be presented; None takes everybody."""
        self.served: Mapping[str, bytes] = self.files
        """What the files are when they are fetched."""
        self.breaks_after: list[int] = []
        """Of each request for a file in turn, after how many bytes the connection ends."""
        self.knows_ranges = True
        self.ranges: list[str | None] = []
        """The ranges that were asked for."""
        self.asked: list[str] = []
        self.origin = ""

    def info(self) -> dict[str, object]:
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                "blobId": "0" * 40,
                "lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130},
            }
            for name, data in self.files.items()
        ]
        readme = {"rfilename": "README.md", "size": 5, "blobId": "1" * 40}
        return {"id": self.repository, "sha": COMMIT, "siblings": [readme, *siblings], "private": False}


@contextmanager
def running(hub: FakeHub) -> Iterator[str]:
    """Serve a hub, and yield its address."""

    class Handler(_Handler):
        fake = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="hub", daemon=True)
    thread.start()
    hub.origin = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub.origin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeHub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        hub, path = self.fake, unquote(urlsplit(self.path).path)
        self.fake.asked.append(f"{self.command} {path}")
        if hub.token is not None and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self._refuse(401, "RepoNotFound")
        api = f"/api/models/{hub.repository}"
        if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            return self._send(200, json.dumps(hub.info()).encode(), {"Content-Type": "application/json"})
        if path.startswith(f"{api}/revision/"):
            return self._refuse(404, "RevisionNotFound")
        name = path.removeprefix(f"/{hub.repository}/resolve/{COMMIT}/")
        if name not in hub.files:
            return self._refuse(
                404, "EntryNotFound" if path.startswith(f"/{hub.repository}/") else "RepoNotFound"
            )
        return self._file(name)

    def _file(self, name: str) -> None:
        hub = self.fake
        if hub.is_gated:
            return self._refuse(403, "GatedRepo")
        known, data = hub.files[name], hub.served[name]
        fields = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{hashlib.sha256(known).hexdigest()}"',
            "X-Linked-Size": str(len(known)),
            "ETag": f'"{hashlib.sha256(known).hexdigest()}"',
        }
        if self.command == "HEAD":
            return self._send(200, b"", {**fields, "Content-Length": str(len(known))})
        asked = self.headers.get("Range")
        hub.ranges.append(asked)
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked and hub.knows_ranges else 0
        if begin:
            fields["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        length = hub.breaks_after.pop(0) if hub.breaks_after else len(data)
        self._head(206 if begin else 200, {**fields, "Content-Length": str(len(data) - begin)})
        self.wfile.write(data[begin : begin + length])
        if begin + length < len(data):
            self.close_connection = True
        return None

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": "no"})

    def _send(self, status: int, body: bytes, fields: Mapping[str, str]) -> None:
        self._head(status, {"Content-Length": str(len(body)), **fields})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, fields: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
