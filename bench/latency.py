"""What a candidate adds to a single request: one connection, one request after the other."""

from __future__ import annotations

import os
import socket
import time
from collections import defaultdict

from bench import nginx, shareai
from bench.context import Bench, progress
from bench.load import BODY
from bench.processes import GATEWAY_CORE, LOAD_CORE, BenchError
from bench.report import Figure, median, quantile, spread

BLOCK = 250
ROUNDS = 16
WARM = 500
PART = "latency"


class Client:
    """One kept-alive connection that asks the same question again and again; blocking sockets add least."""

    def __init__(self, port: int, key: str, model: str = "bench") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = BODY.replace('"bench"', f'"{model}"', 1).encode()
        self._request = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %b\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        ) % (port, key.encode(), len(body), body)
        self.head = b""

    def ask(self) -> float:
        """Ask once and return how long the whole answer took, in microseconds."""
        began = time.perf_counter_ns()
        self._socket.sendall(self._request)
        received = self._socket.recv(65536)
        while not _complete(received):
            more = self._socket.recv(65536)
            if not more:
                raise BenchError("a connection was closed within a reply")
            received += more
        took = (time.perf_counter_ns() - began) / 1000
        self.head = received.partition(b"\r\n\r\n")[0].lower()
        if not received.startswith(b"HTTP/1.1 200"):
            raise BenchError(f"a reply was no 200: {received[:200]!r}")
        return took

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def measure(bench: Bench) -> list[Figure]:
    """Ask in blocks, candidates in turn, from the core of the load."""
    upstream = nginx.start_upstream(bench.running, bench.place("upstream"), LOAD_CORE)
    proxy = nginx.start_proxy(bench.running, bench.place("proxy"), GATEWAY_CORE, upstream.port)
    addresses = {"direct": (upstream.port, "none"), "nginx": (proxy.port, "none")}
    if bench.options.gateway:
        configuration = shareai.one_route(f"http://127.0.0.1:{upstream.port}/v1")
        gateway = shareai.start_gateway(bench.running, bench.place("gateway"), configuration)
        addresses["shareai"] = (gateway.port, gateway.key)
    clients = {name: Client(port, key) for name, (port, key) in addresses.items()}
    blocks: dict[str, list[list[float]]] = defaultdict(list)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        for client in clients.values():
            for _ in range(WARM):
                client.ask()
        for _ in range(bench.options.rounds or ROUNDS):
            for name, client in clients.items():
                blocks[name].append([client.ask() for _ in range(BLOCK)])
    finally:
        os.sched_setaffinity(0, allowed)
        for client in clients.values():
            client.close()
    progress(f"{len(blocks['direct']) * BLOCK} requests each")
    return _figures(blocks)


def _figures(blocks: dict[str, list[list[float]]]) -> list[Figure]:
    figures: list[Figure] = []
    middle: dict[str, float] = {}
    for name, own in blocks.items():
        everything = [value for block in own for value in block]
        middle[name] = median(everything)
        note = f"p99 {quantile(everything, 0.99):.0f} us; {spread([median(block) for block in own])}"
        figures.append(Figure(PART, f"{name}: median", middle[name], "us", note=note))
    figures.extend(
        Figure(PART, f"{name}: added to direct", middle[name] - middle["direct"], "us")
        for name in blocks
        if name != "direct"
    )
    if "shareai" in blocks:
        added = {name: middle[name] - middle["direct"] for name in ("nginx", "shareai")}
        if added["nginx"] > 0:
            ratio = added["shareai"] / added["nginx"]
            figures.append(Figure(PART, "shareai adds what nginx adds, times", ratio, "times", "<= 2.5"))
    return figures


def _complete(reply: bytes) -> bool:
    head, blank, body = reply.partition(b"\r\n\r\n")
    if not blank:
        return False
    lowered = head.lower()
    at = lowered.find(b"\r\ncontent-length:")
    if at < 0:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(lowered[at + 17 :].partition(b"\r\n")[0])
