"""Engines as they answer on their loopback ports, on real sockets: what they say of themselves, no more."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answers = Mapping[str, Any]
"""What each path answers: a text, bytes, or what becomes JSON; any other path is a 404."""


def models(owner: str, *ids: str) -> dict[str, Any]:
    """Return a list of models."""
    return {"object": "list", "data": [{"id": one, "object": "model", "owned_by": owner} for one in ids]}


def ollama(*ids: str) -> Answers:
    listed = models("library", *ids) if ids else {"object": "list", "data": None}
    return {"/": "Ollama is running", "/api/version": {"version": "0.13.1"}, "/v1/models": listed}


def lm_studio(*ids: str) -> Answers:
    return {"/lmstudio-greeting": {"lmstudio": True}, "/v1/models": models("organization_owner", *ids)}


def vllm(*ids: str) -> Answers:
    return {"/version": {"version": "0.11.0"}, "/v1/models": models("vllm", *ids)}


def sglang(*ids: str) -> Answers:
    return {"/get_model_info": {"model_path": ids[0]}, "/v1/models": models("sglang", *ids)}


def llama_server(*ids: str) -> Answers:
    props = {"default_generation_settings": {}, "total_slots": 4, "build_info": "b6000"}
    return {"/props": props, "/v1/models": models("llamacpp", *ids)}


@contextmanager
def engine(answers: Answers, port: int = 0, delay: float = 0.0) -> Iterator[int]:
    """Answer on a port of the loopback for the length of a block; yields the port."""
    leaves = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            leaves.wait(delay)
            known = self.path in answers
            answer = answers.get(self.path, {"error": "not found"})
            text = answer if isinstance(answer, str) else json.dumps(answer)
            body = answer if isinstance(answer, bytes) else text.encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # whoever asked has left
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        leaves.set()
        server.shutdown()
        thread.join()
        server.server_close()
