"""nginx as an upstream that answers at once, and as the candidate that everything is compared with."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

from bench.processes import BenchError, Processes, free_port, wait_for
from bench.tls import Authority

COMPLETION = (
    '{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion","created":1741569952,'
    '"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":'
    '"Hello! How can I assist you today?","refusal":null,"annotations":[]},"logprobs":null,'
    '"finish_reason":"stop"}],"usage":{"prompt_tokens":119,"completion_tokens":10,"total_tokens":129,'
    '"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":'
    '{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},'
    '"service_tier":"default","system_fingerprint":"fp_06737a9306"}'
)
MODELS = '{"object":"list","data":[{"id":"gpt-4o-mini","object":"model","created":1,"owned_by":"bench"}]}'

_FRAME = """
{user}worker_processes 1;
worker_rlimit_nofile 16384;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_body_buffer_size 64k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{servers}
}}
"""

_ANSWERS = """
    location = /v1/chat/completions {{ return 200 '{completion}'; }}
    location = /v1/models {{ return 200 '{models}'; }}
    location / {{ return 404 '{{}}'; }}
"""

_PROXY = """
  upstream behind {{
    server 127.0.0.1:{upstream};
    keepalive 1024;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /healthz {{ return 200 'ok'; }}
    location / {{
      proxy_pass {scheme}://behind;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering {buffering};
      {tls}
    }}
  }}
"""


@dataclasses.dataclass(frozen=True)
class Nginx:
    """A running nginx; `tls_port` is 0 where it speaks plain HTTP only."""

    process: subprocess.Popen[str]
    port: int
    tls_port: int = 0


def completion_of(size: int) -> str:
    """Return a reply of so many bytes, by a longer answer."""
    return COMPLETION.replace("Hello!", "Hello!" + " " * (size - len(COMPLETION)))


def start_upstream(
    running: Processes,
    folder: Path,
    core: int,
    authority: Authority | None = None,
    *,
    completion: str = COMPLETION,
) -> Nginx:
    """Start an upstream that answers every chat completion with the same reply, kept alive."""
    port, tls_port = free_port(), free_port()
    answers = _ANSWERS.format(completion=completion, models=MODELS)
    servers = f"  server {{\n    listen 127.0.0.1:{port} backlog=4096;\n{answers}  }}\n"
    if authority is not None:
        servers += (
            f"  server {{\n    listen 127.0.0.1:{tls_port} ssl backlog=4096;\n"
            f"    ssl_certificate {authority.certificate};\n    ssl_certificate_key {authority.key};\n"
            f"    ssl_session_cache shared:bench:1m;\n{answers}  }}\n"
        )
    process = _start(running, folder, core, servers, port, "/v1/models")
    return Nginx(process, port, tls_port if authority is not None else 0)


def start_proxy(
    running: Processes,
    folder: Path,
    core: int,
    upstream: int,
    *,
    buffering: bool = True,
    authority: Authority | None = None,
) -> Nginx:
    """Start the candidate: `proxy_pass` with one worker and a kept-alive upstream."""
    port = free_port()
    tls = ""
    if authority is not None:
        tls = (
            "proxy_ssl_name localhost; proxy_ssl_server_name on; proxy_ssl_verify on; "
            f"proxy_ssl_trusted_certificate {authority.root};"
        )
    servers = _PROXY.format(
        upstream=upstream,
        port=port,
        scheme="https" if authority is not None else "http",
        buffering="on" if buffering else "off",
        tls=tls,
    )
    return Nginx(_start(running, folder, core, servers, port, "/healthz"), port)


def _start(
    running: Processes, folder: Path, core: int, servers: str, port: int, path: str
) -> subprocess.Popen[str]:
    binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if binary is None:
        raise BenchError("nginx is not installed: sudo apt install nginx-light wrk")
    folder.mkdir(parents=True)
    configuration = folder / "nginx.conf"
    # A master that is root gives its workers another user, who cannot enter a private temporary folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration.write_text(_FRAME.format(user=user, folder=folder, servers=servers))
    log = folder / "output.log"
    argv: list[str | Path] = [binary, "-p", folder, "-c", configuration, "-e", folder / "error.log"]
    process = running.start(argv, core=core, log=log)
    wait_for(process, port, path, log)
    return process
