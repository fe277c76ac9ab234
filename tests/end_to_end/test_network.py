"""A gateway in the network as it is: a company's proxy and authority, IPv6, fields that a provider wants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from shareai_cli.errors import ExitCode
from tests.support.behaviours import chat
from tests.support.certificates import Certificates, make_certificates
from tests.support.proxy import TunnelProxy
from tests.support.served import RunningGateway, StartError, eventually, run_shareai
from tests.support.upstream import FaultUpstream

NAME = "api.company.example"
CLOUD = f"""
[providers.cloud]
base_url = "https://{NAME}/v1"
keys = ["env:CLOUD_KEY"]

[routes.chat]
targets = ["cloud/m1"]
"""
KEY = {"CLOUD_KEY": "sk-test-cloud-key-1"}
CREDENTIALS = "staff:p@ss/w:rd-planted"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return a company's authority, and a certificate for its upstream."""
    return make_certificates(tmp_path_factory.mktemp("certificates"), (NAME, "::1"))


def behind(
    proxy: TunnelProxy, certificates: Certificates, credentials: str = CREDENTIALS
) -> Mapping[str, str]:
    """Return the environment of a machine that reaches the world through a proxy alone."""
    return {
        **KEY,
        "HTTPS_PROXY": proxy.url_with(credentials),
        "SSL_CERT_FILE": str(certificates.authority),
        "NO_PROXY": "localhost,.internal.example",
    }


async def test_a_companys_proxy_and_authority_are_taken_from_the_environment(
    tmp_path: Path, certificates: Certificates
) -> None:
    """The upstream gets its request, the proxy its credentials, and nobody sees either's secrets."""
    async with (
        FaultUpstream(tls=certificates.server()) as upstream,
        TunnelProxy(upstream.port, credentials=CREDENTIALS) as proxy,
        await RunningGateway.start(tmp_path, CLOUD, environ=behind(proxy, certificates)) as gateway,
    ):
        for _ in range(2):
            answer = await gateway.ask()
            assert answer.status_code == 200, answer.text
        streamed = await gateway.ask(stream=True)
        assert streamed.text.endswith("data: [DONE]\n\n")
        assert {one.target for one in proxy.asked} == {f"{NAME}:443"}
        assert upstream.accepted == 1
        assert upstream.completions[0].headers["authorization"] == f"Bearer {KEY['CLOUD_KEY']}"
        shown = await run_shareai(tmp_path, "config", "show", "--json", environ=behind(proxy, certificates))
        assert shown.json["providers"]["cloud"]["proxy"] == f"http://********@{proxy.address}"
        tested = await run_shareai(tmp_path, "provider", "test", environ=behind(proxy, certificates))
        assert tested.code == 0, tested.out + tested.err
        told = gateway.stderr() + shown.out + shown.err + tested.out + tested.err
        for part in ("p@ss", "planted", proxy.url.partition("@")[0]):
            assert part not in told


async def test_wrong_credentials_for_the_proxy_are_told_to_who_asks(
    tmp_path: Path, certificates: Certificates
) -> None:
    """With the proxy's name, the variable's, and what to do."""
    async with (
        FaultUpstream(tls=certificates.server()) as upstream,
        TunnelProxy(upstream.port, credentials=CREDENTIALS) as proxy,
        await RunningGateway.start(
            tmp_path, CLOUD, environ=behind(proxy, certificates, "staff:planted-wrong")
        ) as gateway,
    ):
        answer = await gateway.ask()
        assert answer.status_code == 503
        message = answer.json()["error"]["message"]
        assert (
            f"the proxy {proxy.address} (HTTPS_PROXY) does not accept the user name and password" in message
        )
        assert "planted" not in answer.text + gateway.stderr()
        assert not upstream.requests


PAST = """
[providers.excepted]
base_url = "http://0.0.0.0:{port}/v1"
keys = ["env:CLOUD_KEY"]
allow_http = true

[providers.direct]
base_url = "http://[::]:{ipv6_port}/v1"
keys = []
proxy = ""

[providers.near]
base_url = "http://127.0.0.1:{port}/v1"
keys = ["env:CLOUD_KEY"]

[providers.led]
base_url = "http://[::1]:{ipv6_port}/v1"
keys = []
proxy = "{proxy}"
"""
"""The first two addresses mean this machine without being called so, and stand for any other."""


async def test_no_proxy_and_the_configuration_lead_past_the_proxy(tmp_path: Path) -> None:
    """As this machine's own addresses do, unless their provider names a proxy; all else goes through it."""
    async with (
        FaultUpstream() as upstream,
        FaultUpstream(host="::1") as ipv6,
        TunnelProxy(answer=b"HTTP/1.1 403 No\r\n\r\n") as refusing,
        TunnelProxy(ipv6.port, upstream_host="::1") as leading,
        await RunningGateway.start(
            tmp_path,
            CLOUD + PAST.format(port=upstream.port, ipv6_port=ipv6.port, proxy=leading.url),
            environ={**KEY, "ALL_PROXY": refusing.url, "NO_PROXY": "internal.example,0.0.0.0/8"},
        ) as gateway,
    ):
        for name in ("excepted", "direct", "near", "led"):
            answer = await gateway.ask(model=f"{name}/m1")
            assert answer.status_code == 200, answer.text
        assert not refusing.asked
        assert [one.target for one in leading.asked] == [f"[::1]:{ipv6.port}"]
        answer = await gateway.ask()
        assert f"(ALL_PROXY) refuses to connect to {NAME}:443 (HTTP 403)" in answer.text


async def test_a_configured_authority_and_proxy_need_no_variable(
    tmp_path: Path, certificates: Certificates
) -> None:
    """A change of the file takes effect while the gateway runs; without them the reason is told."""
    async with (
        FaultUpstream(tls=certificates.server()) as upstream,
        TunnelProxy(upstream.port) as proxy,
        await RunningGateway.start(
            tmp_path, f'[network]\nproxy = "{proxy.url}"\n{CLOUD}', environ=KEY
        ) as gateway,
    ):
        refused = (await gateway.ask()).json()["error"]["message"]
        assert f"the certificate of {NAME} is not valid: " in refused
        assert "[network] ca_file" in refused
        config = f'[network]\nproxy = "{proxy.url}"\nca_file = "{certificates.authority}"\n{CLOUD}'
        (tmp_path / "config.toml").write_text(config)

        async def is_reached() -> bool:
            return (await gateway.ask()).status_code == 200

        await eventually(is_reached)


async def test_certificates_that_cannot_be_used_end_the_start_with_a_reason(tmp_path: Path) -> None:
    """The variable or the setting, the file, and what to do; `config check` tells it before."""
    empty = tmp_path / "empty.pem"
    empty.touch()
    cases: list[tuple[str, dict[str, str], str]] = [
        (CLOUD, {"SSL_CERT_FILE": str(tmp_path / "gone.pem")}, "SSL_CERT_FILE: there is no file"),
        (f'[network]\nca_file = "{empty}"\n{CLOUD}', {}, "network.ca_file: "),
        (CLOUD, {"HTTPS_PROXY": "socks5://127.0.0.1:1"}, "HTTPS_PROXY names a SOCKS proxy"),
    ]
    for number, (config, environ, says) in enumerate(cases):
        with pytest.raises(StartError) as caught:
            await RunningGateway.start(tmp_path / str(number), config, environ={**KEY, **environ})
        assert caught.value.code == ExitCode.CONFIGURATION
        assert says in caught.value.err
        assert "Traceback" not in caught.value.err
        checked = await run_shareai(tmp_path / str(number), "config", "check", environ={**KEY, **environ})
        assert checked.code == ExitCode.CONFIGURATION
        assert says in checked.err


async def test_a_gateway_listens_and_asks_over_ipv6(tmp_path: Path) -> None:
    """An upstream that has no other address, and `[::1]` in a client's Host; other hosts are refused."""
    config = CLOUD.replace(f"https://{NAME}", "http://[::1]:{port}")
    async with (
        FaultUpstream(host="::1") as upstream,
        await RunningGateway.start(
            tmp_path,
            config.replace("{port}", str(upstream.port)),
            environ=KEY,
            arguments=("--host", "::1"),
        ) as gateway,
    ):
        assert gateway.base_url.startswith("http://[::1]:")
        assert (await gateway.ask()).status_code == 200
        status = await gateway.shareai("status", "--json")
        assert status.json["base_url"] == gateway.base_url
        for host, code in (
            ("[::1]", 200),
            ("localhost", 200),
            ("[2001:db8::7]", 400),
            ("evil.example", 400),
        ):
            answer = await gateway.client.get("/healthz", headers={"Host": host})
            assert answer.status_code == code, host


FIELDS = """
[providers.cloud.headers]
X-Title = "A program"
X-Tenant = "env:TENANT"
"""


async def test_fields_that_a_provider_wants_go_with_every_request(tmp_path: Path) -> None:
    """A secret among them is not shown by any command, and a wrong one stops the start."""
    environ = {**KEY, "TENANT": "Bearer planted-tenant-secret"}
    async with FaultUpstream([chat(), chat()]) as upstream:
        config = CLOUD.replace(f"https://{NAME}/v1", upstream.base_url) + FIELDS
        async with await RunningGateway.start(tmp_path, config, environ=environ) as gateway:
            assert (await gateway.ask()).status_code == 200
            shown = await run_shareai(tmp_path, "config", "show", environ=environ)
            tested = await run_shareai(tmp_path, "provider", "test", environ=environ)
            assert tested.code == 0, tested.out + tested.err
            told = json.dumps([shown.out, shown.err, tested.out, tested.err, gateway.stderr()])
        assert "planted" not in told
        assert "A program" not in shown.out
        assert "env:TENANT" in shown.out
        assert upstream.requests[-1].path == "/v1/models"
        for request in upstream.requests:
            assert request.headers["x-title"] == "A program"
            assert request.headers["x-tenant"] == environ["TENANT"]
    with pytest.raises(StartError, match="Provider 'cloud', header X-Tenant: The variable TENANT is not set"):
        await RunningGateway.start(tmp_path / "other", config, environ=KEY)
