"""A provider is reached step by step, as the gateway reaches it, and how far it went is told."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from shareai_cli.cli.checks import reach as reaching
from shareai_cli.cli.checks.finding import Finding
from shareai_cli.cli.checks.network import check_proxies, compare_clocks, provider_checks
from shareai_cli.cli.checks.reach import Reached
from shareai_cli.config import ProviderSettings
from shareai_cli.config.egress import Authority, Egress, Proxy
from shareai_cli.secrets import Secret
from tests.cli.checks.subjects import subject
from tests.support.behaviours import head, html, model_list, raw, silence, status
from tests.support.certificates import Certificates, make_certificates
from tests.support.proxy import TunnelProxy
from tests.support.upstream import FaultUpstream

DATE = "Tue, 24 Nov 2026 12:00:00 GMT"
SECONDS = 1_795_521_600.0


async def reach(base_url: str, egress: Egress | None = None, seconds: float = 20) -> Reached:
    provider = ProviderSettings("alpha", None, base_url, check="/models", egress=egress or Egress())
    return await asyncio.to_thread(reaching.reach, provider, seconds=seconds)


def steps(reached: Reached) -> list[str]:
    return [step.name for step in reached.steps]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path, ("api.test", "127.0.0.1"))


async def test_each_step_is_told_with_its_time() -> None:
    """No key is sent, and any answer shows that the way is open."""
    async with FaultUpstream(models=status(401, {"Date": DATE})) as upstream:
        reached = await reach(upstream.base_url)
        [asked] = upstream.requests
    assert steps(reached) == ["name", "connection", "answer"]
    assert all(0 <= step.milliseconds < 5000 for step in reached.steps)
    assert (reached.status, reached.failure, reached.date) == (401, "", SECONDS)
    assert (asked.path, "authorization" in asked.headers) == ("/v1/models", False)


async def test_tls_trusts_whom_the_configuration_trusts(certificates: Certificates) -> None:
    """And tells of a certificate that nobody trusted has signed."""
    async with FaultUpstream(models=model_list("a"), tls=certificates.server()) as upstream:
        trusting = Egress(authorities=(Authority(certificates.authority, "network.ca_file"),))
        reached = await reach(upstream.base_url, trusting)
        assert (steps(reached)[-2:], reached.status) == (["TLS", "answer"], 200)
        reached = await reach(upstream.base_url)
    assert steps(reached) == ["name", "connection"]
    assert reached.failure.startswith("TLS: the certificate is not valid")


async def test_the_way_through_a_proxy_is_the_gateways(certificates: Certificates) -> None:
    """With its credentials; the upstream's name is the proxy's to know."""
    authorities = (Authority(certificates.authority, "SSL_CERT_FILE"),)
    async with (
        FaultUpstream(models=model_list("a"), tls=certificates.server()) as upstream,
        TunnelProxy(upstream.port, credentials="user:secret word") as proxy,
    ):
        named = Proxy("http", "127.0.0.1", proxy.port, Secret("user:secret word"), "HTTPS_PROXY")
        reached = await reach("https://api.test/v1", Egress(named, authorities))
        unknown = replace(named, credentials=None)
        refused = await reach("https://api.test/v1", Egress(unknown, authorities))
    assert steps(reached) == ["name", "connection", "proxy", "TLS", "answer"]
    assert reached.status == 200
    assert steps(refused) == ["name", "connection"]
    assert "wants a user name and a password" in refused.failure


async def test_where_it_ended_is_told() -> None:
    """A name that nobody knows, a port on which nobody listens, silence, and what is no HTTP."""
    assert (await reach("https://nobody.invalid/v1")).failure == "name: it is not known"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused = await reach(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
    assert (steps(refused), refused.failure) == (["name"], "connection: connection refused")
    for behaviour, says in (
        (raw(b"SSH-2.0-OpenSSH_9\r\n\r\n"), "answer: what came is not HTTP"),
        (raw(b"HTTP/1.1 200").end(after=1), "answer: it ended before one was complete"),
    ):
        async with FaultUpstream(models=behaviour.closing()) as upstream:
            assert (await reach(upstream.base_url)).failure == says
    async with FaultUpstream(models=silence()) as upstream:
        assert (await reach(upstream.base_url, seconds=0.2)).failure == "answer: nothing within 0.2 s"
        encrypted = upstream.base_url.replace("http:", "https:")
        assert (await reach(encrypted, seconds=0.2)).failure == "TLS: nothing within 0.2 s"


async def test_a_finding_names_the_step_and_what_mends_it(tmp_path: Path) -> None:
    """A provider that fails by itself is a warning; an engine that does not run has to be started."""

    async def look(base_url: str) -> Finding:
        text = f'[providers.alpha]\nbase_url = "{base_url}"\n'
        asked = subject(tmp_path, text)
        [check] = provider_checks(list(asked.settings.providers.values()))
        [finding] = await asyncio.to_thread(check.look, asked)
        assert (check.late, finding.name) == ("problem", "provider alpha")
        return finding

    async with FaultUpstream(models=html(503)) as upstream:
        base_url = upstream.base_url
        failing = await look(base_url)
    assert (failing.level, failing.mend) == ("warning", "shareai provider test alpha")
    dead = await look(base_url)
    assert dead.level == "problem"
    assert dead.mend.startswith(f"Start what should listen at {base_url}")
    unknown = await look("https://nobody.invalid/v1")
    assert (unknown.level, unknown.text) == ("problem", "name: it is not known")
    assert "HTTPS_PROXY" in unknown.mend


@pytest.mark.parametrize(
    ("now", "level", "says"),
    [
        (SECONDS + 5, "ok", "right to a few seconds"),
        (SECONDS - 120, "warning", "2 minutes slow, by the providers' clocks"),
        (SECONDS + 90_000, "problem", "25 hours fast, by the providers' clocks"),
    ],
)
async def test_an_odd_clock_is_told(
    tmp_path: Path, certificates: Certificates, now: float, level: str, says: str
) -> None:
    """By what a provider's answer says the time is."""
    answer = raw(head(401, {"Date": DATE, "Content-Length": "0"}))
    async with (
        FaultUpstream(models=answer, tls=certificates.server()) as upstream,
        TunnelProxy(upstream.port) as proxy,
    ):
        text = (
            f'[providers.alpha]\nbase_url = "https://api.test/v1"\nproxy = "{proxy.url}"\n'
            f'ca_file = "{certificates.authority}"\n'
        )
        asked = subject(tmp_path, text, wall=lambda: now)
        [check] = provider_checks(list(asked.settings.providers.values()))
        findings = await asyncio.to_thread(check.look, asked)
    clock = compare_clocks(findings)
    assert (clock.level, clock.text) == (level, says)
    assert bool(clock.mend) is (level != "ok")


async def test_this_machines_own_engines_say_nothing_of_the_time(tmp_path: Path) -> None:
    """They have the same clock; where nobody else was reached, the look is left out, and that is said."""
    async with FaultUpstream(models=status(200, {"Date": DATE})) as upstream:
        asked = subject(tmp_path, f'[providers.alpha]\nbase_url = "{upstream.base_url}"\n')
        [check] = provider_checks(list(asked.settings.providers.values()))
        findings = await asyncio.to_thread(check.look, asked)
    assert compare_clocks(findings).level == "skipped"
    assert "told the time" in compare_clocks([]).text


def test_proxies_are_told_without_their_credentials(tmp_path: Path) -> None:
    """Which provider goes through which, and who names it."""
    environ = {"HTTPS_PROXY": "http://user:secret-word@proxy.example:3128", "GROQ_API_KEY": "x"}
    [finding] = check_proxies(subject(tmp_path, "", environ))
    assert finding.text == "groq through http://********@proxy.example:3128 (HTTPS_PROXY)"
    [finding] = check_proxies(subject(tmp_path, "", {"HTTPS_PROXY": environ["HTTPS_PROXY"]}))
    assert finding.text == "HTTPS_PROXY set, and no provider is reached through one"
    [finding] = check_proxies(subject(tmp_path))
    assert finding.text == "none"
