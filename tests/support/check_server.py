"""A provider's free call on a real socket, as a test wants it to answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[dict[str, str]], tuple[int, bytes]]
"""Makes a status and a body out of a request's headers."""


class CheckServer:
    """Answers every GET with what `answer` makes of its headers, and remembers what was asked."""

    def __init__(self, answer: Answer, fields: Mapping[str, str]) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.asked.append((self.path, headers))
                status, body = answer(headers)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in fields.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def check_server(answer: Answer, **fields: str) -> Iterator[CheckServer]:
    """Run a server for the length of a block; `fields` are header fields of its answers."""
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    server = CheckServer(answer, {"Location": "/elsewhere", **given})
    server.start()
    try:
        yield server
    finally:
        server.close()
