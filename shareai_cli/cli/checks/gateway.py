"""The configuration, the port, and the gateway that runs, if one does."""

from __future__ import annotations

import errno
import os
import shlex
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from shareai_cli import __version__
from shareai_cli.cli.checks.finding import Finding, Subject
from shareai_cli.cli.config import summary
from shareai_cli.cli.status import find_status
from shareai_cli.client import Status
from shareai_cli.config import Settings
from shareai_cli.config.webhook import signing_key
from shareai_cli.errors import ConfigurationError, ShareAIError
from shareai_cli.secrets import resolve


def check_configuration(subject: Subject) -> Sequence[Finding]:
    """Look whether the configuration is sound, and what it names is there."""
    if subject.problem is not None:
        return [subject.problem]
    settings = subject.settings
    problems = [*_missing_keys(settings, subject), *_webhook(settings, subject), *_missing_files(settings)]
    if problems:
        return problems
    if settings.source is None:
        found = f"; providers found through {', '.join(settings.discovered)}" if settings.discovered else ""
        return [Finding("configuration", "ok", f"none at {subject.file}{found}", "shareai init")]
    return [Finding("configuration", "ok", f"{settings.source}: {summary(settings)}")]


def _missing_keys(settings: Settings, subject: Subject) -> Iterator[Finding]:
    for provider in settings.providers.values():
        for key in provider.keys:
            try:
                resolve(key, subject.environ)
            except ConfigurationError as error:
                text = f"provider {provider.name}: {error.message}"
                yield Finding("configuration", "problem", text, error.hint or "")


def _webhook(settings: Settings, subject: Subject) -> Iterator[Finding]:
    if settings.webhook is None:
        return
    try:
        signing_key(settings.webhook, subject.environ)
    except ConfigurationError as error:
        yield Finding("configuration", "problem", error.message, error.hint or "")


def _missing_files(settings: Settings) -> Iterator[Finding]:
    for model in settings.local.models:
        if not Path(model.path).is_file():
            text = f"node/{model.id}: there is no file {model.path}"
            yield Finding("configuration", "problem", text, f"shareai model remove {shlex.quote(model.id)}")


def check_gateway(subject: Subject) -> Sequence[Finding]:
    """Look at the gateway that runs; where none does, whether its port is free."""
    try:
        status = find_status(subject.paths)
    except ShareAIError as error:
        return [
            Finding("gateway", "problem", str(error), error.hint or "End it, and start shareai serve again.")
        ]
    if status is None:
        return [Finding("gateway", "ok", "none runs here", "shareai serve"), check_port(subject)]
    findings = [*_troubles(status)]
    if not findings:
        findings = [Finding("gateway", "ok", f"{status.base_url}, process {status.pid}, all targets serve")]
    return [*findings, _port_of(subject, status)]


def check_port(subject: Subject) -> Finding:
    """Look whether the gateway could listen where it is to."""
    server = subject.settings.server
    where = f"port {server.port} of {server.host}"
    if server.port == 0:
        return Finding("port", "ok", "any that is free")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listening:
            if os.name == "posix":  # elsewhere it would take the port from whoever has it
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            who = f"ss -ltnp 'sport = :{server.port}'"
            mend = f"shareai serve --port 0 takes a free one; {who} shows who has this one."
            return Finding("port", "problem", f"{where} is taken by another program", mend)
        mend = "[server] host and port say where the gateway listens."
        return Finding("port", "problem", f"{where} cannot be listened on: {error.strerror}", mend)
    return Finding("port", "ok", f"{where} is free")


def _port_of(subject: Subject, status: Status) -> Finding:
    there, wanted = urlsplit(status.base_url).port, subject.settings.server.port
    if wanted in (0, there):
        return Finding("port", "ok", f"{there}, on which this gateway listens")
    text = f"{there}, on which this gateway listens; the configuration says {wanted}"
    return Finding("port", "ok", text, "Start the gateway again to have it move.")


def _troubles(status: Status) -> list[Finding]:
    problems = [
        (what, text)
        for what, text in (
            ("configuration", status.config_problem),
            ("node agent", status.node_problem),
            ("accounts", status.ledger_problem),
            ("webhook", status.webhook_problem),
            *((f"node/{model.id}", model.problem) for model in status.local_models),
        )
        if text
    ]
    found = [Finding("gateway", "problem", f"{what}: {text}", "shareai status") for what, text in problems]
    found += [
        Finding("gateway", "warning", f"{one.target} is {one.state}: {one.reason}", "shareai status")
        for one in status.troubles
    ]
    if status.version != __version__:
        text = f"version {status.version} runs, and {__version__} is installed"
        found.append(Finding("gateway", "warning", text, "Start shareai serve again."))
    return found
