"""Connecting through a proxy: the tunnel, TLS in it, and what is said when there is none."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from shareai_cli.errors import ConnectionRefused, ConnectionReset, UpstreamTimeout
from shareai_cli.secrets import Secret
from shareai_cli.wire.client import Origin, Timeouts
from shareai_cli.wire.proxy import Proxy
from tests.support.behaviours import chat, reply, stream
from tests.support.certificates import Certificates
from tests.support.proxy import MADE, TunnelProxy
from tests.support.upstream import FaultUpstream, refused_port
from tests.support.waiting import until
from tests.wire.asking import Asking, ask, begin

HASTY = Timeouts(0.1, 30, 600)


def through(proxy: TunnelProxy, credentials: str | None = None, tls: ssl.SSLContext | None = None) -> Proxy:
    """Return the proxy as a client knows it."""
    origin = Origin(
        "https" if tls is not None else "http", proxy.address.rpartition(":")[0].strip("[]"), proxy.port
    )
    return Proxy(origin, tls, Secret(credentials) if credentials else None, "HTTPS_PROXY")


@pytest.mark.parametrize("is_encrypted", [False, True])
@pytest.mark.parametrize("slices", [False, True])
async def test_a_request_goes_through_the_proxys_tunnel(
    asking: Asking, certificates: Certificates, is_encrypted: bool, slices: bool
) -> None:
    """Over http:// as over https://, streams too; the tunnel is used again, and the proxy looks up names."""
    tls = certificates.server() if is_encrypted else None
    scheme = "https" if is_encrypted else "http"
    async with FaultUpstream([chat(), stream("a", "b")], tls=tls) as upstream:
        async with TunnelProxy(upstream.port, slices=slices) as proxy:
            url = f"{scheme}://upstream.invalid/v1"
            tls = certificates.client() if is_encrypted else None
            if tls is not None:
                tls.check_hostname = False  # the certificate is localhost's
            pool = asking.pool(url, tls, proxy=through(proxy))
            assert (await ask(pool))[0] == 200
            assert (await ask(pool, streamed=True))[0] == 200
        assert [one.target for one in proxy.asked] == [f"upstream.invalid:{443 if is_encrypted else 80}"]
        assert proxy.asked[0].headers == {"host": proxy.asked[0].target}
        assert upstream.accepted == 1


async def test_the_certificate_has_to_be_the_upstreams_not_the_proxys(
    asking: Asking, certificates: Certificates
) -> None:
    """A tunnel changes nothing about whom TLS proves."""
    async with FaultUpstream(tls=certificates.server()) as upstream, TunnelProxy(upstream.port) as proxy:
        pool = asking.pool("https://localhost/v1", certificates.client(), proxy=through(proxy))
        assert (await ask(pool))[0] == 200
        pool = asking.pool("https://upstream.invalid/v1", certificates.client(), proxy=through(proxy))
        with pytest.raises(
            ConnectionRefused, match=r"certificate of upstream\.invalid is not valid: Hostname"
        ):
            await ask(pool)
        assert len(upstream.requests) == 1
        await until(lambda: proxy.open == 1)


@pytest.mark.parametrize("is_encrypted", [False, True])
async def test_a_proxy_is_itself_spoken_to_over_tls_where_its_url_says_https(
    asking: Asking, certificates: Certificates, is_encrypted: bool
) -> None:
    """TLS with the upstream goes inside TLS with the proxy."""
    whole = b"0123456789abcdef" * 32768
    server, client = (certificates.server(), certificates.client()) if is_encrypted else (None, None)
    async with (
        FaultUpstream([reply(whole), chat()], tls=server) as upstream,
        TunnelProxy(upstream.port, tls=certificates.server()) as proxy,
    ):
        scheme = "https" if is_encrypted else "http"
        tunnel = through(proxy, tls=certificates.client())
        pool = asking.pool(f"{scheme}://localhost/v1", client, proxy=tunnel)
        assert await ask(pool) == (200, whole)
        assert (await ask(pool))[0] == 200
        pool.abort()
        await until(lambda: proxy.open == 0)
    assert upstream.accepted == 1


async def test_the_proxy_gets_the_credentials_and_the_upstream_does_not(asking: Asking) -> None:
    """Basic, in UTF-8 (RFC 7617)."""
    credentials = "us er:pä:ss@"
    async with FaultUpstream() as upstream, TunnelProxy(upstream.port, credentials=credentials) as proxy:
        pool = asking.pool("http://upstream.invalid/v1", proxy=through(proxy, credentials))
        assert (await ask(pool))[0] == 200
        assert credentials not in repr(through(proxy, credentials))
    assert proxy.asked[0].credentials == credentials
    assert "proxy-authorization" not in upstream.requests[0].headers


async def test_ipv6_is_spoken_with_the_proxy_and_named_to_it_in_brackets(asking: Asking) -> None:
    """As RFC 3986 writes an address."""
    async with FaultUpstream() as upstream, TunnelProxy(upstream.port, host="::1") as proxy:
        pool = asking.pool("http://[2001:db8::7]:8080/v1", proxy=through(proxy))
        assert (await ask(pool))[0] == 200
    assert [one.target for one in proxy.asked] == ["[2001:db8::7]:8080"]


REFUSALS = [
    (
        b'HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nproxy-authenticate: Basic realm="x"\r\n\r\n',
        "wants a user name and a password (407): write them into its URL, http://USER:PASSWORD@HOST:PORT",
    ),
    (b"HTTP/1.0 407\r\n\r\n", "wants a user name and a password (407)"),
    (
        b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n\r\n",
        "wants NTLM or Negotiate authentication (407), and Basic alone is known",
    ),
    (b"HTTP/1.1 403 \x1b[31mNo\r\nVia: x\r\n\r\n", "refuses to connect to a.invalid:443 (HTTP 403)"),
    (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "cannot reach a.invalid:443 (HTTP 502)"),
    (b"HTTP/1.1 302 Found\r\nLocation: http://b.invalid/\r\n\r\n", "refuses to connect to a.invalid:443"),
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not answer as an HTTP proxy does"),
    (b"HTTP/2 200\r\n\r\n", "does not answer as an HTTP proxy does"),
    (b"HTTP/1.1 200 OK", "does not answer as an HTTP proxy does"),
    (b"\x15\x03\x03\x00\x02\x02\x28", "does not answer as an HTTP proxy does"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "says"), REFUSALS)
async def test_a_proxy_that_makes_no_tunnel_is_named_with_what_to_do(
    asking: Asking, certificates: Certificates, answer: bytes, says: str
) -> None:
    """And the connection to it is closed; nothing of what it wrote reaches a terminal but known words."""
    async with TunnelProxy(answer=answer) as proxy:
        pool = asking.pool("https://a.invalid/v1", certificates.client(), proxy=through(proxy))
        with pytest.raises(ConnectionRefused) as caught:
            await ask(pool)
        assert caught.value.message.startswith(f"the proxy {proxy.address} (HTTPS_PROXY) ")
        assert says in caught.value.message
        assert caught.value.message.isprintable()
        await until(lambda: proxy.open == 0)


async def test_a_proxys_answer_is_bounded(asking: Asking) -> None:
    """What goes on and on is not waited for, nor kept."""
    endless = b"HTTP/1.1 200 OK\r\nX: " + b"x" * (64 << 10)
    async with TunnelProxy(answer=endless, closes=False) as proxy:
        with pytest.raises(ConnectionRefused, match="does not answer as an HTTP proxy does"):
            await ask(asking.pool("http://a.invalid/v1", proxy=through(proxy)))
        await until(lambda: proxy.open == 0)


async def test_a_proxy_that_refuses_and_stays_is_left(asking: Asking) -> None:
    """Its answer is enough."""
    async with TunnelProxy(answer=b"HTTP/1.1 403 No\r\n\r\n", closes=False) as proxy:
        with pytest.raises(ConnectionRefused, match="HTTP 403"):
            await ask(asking.pool("http://a.invalid/v1", proxy=through(proxy)))
        await until(lambda: proxy.open == 0)


async def test_wrong_credentials_are_told_and_not_repeated(asking: Asking) -> None:
    """With what is most often wrong about them."""
    async with TunnelProxy(credentials="user:right") as proxy:
        pool = asking.pool("http://a.invalid/v1", proxy=through(proxy, "user:wrong"))
        with pytest.raises(
            ConnectionRefused, match=r"does not accept the user name and password .*%40"
        ) as caught:
            await ask(pool)
        assert "wrong" not in caught.value.message


async def test_a_proxy_that_ends_without_an_answer_is_told_from_one_that_is_not_there(asking: Asking) -> None:
    """Both name the proxy, not the upstream."""
    gone = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = gone.sockets[0].getsockname()[1]
    proxy = Proxy(Origin("http", "127.0.0.1", port), None, None, "network.proxy")
    with pytest.raises(ConnectionRefused, match=rf"proxy 127\.0\.0\.1:{port} \(network\.proxy\) does"):
        await ask(asking.pool("http://a.invalid/v1", proxy=proxy))
    gone.close()
    await gone.wait_closed()
    with refused_port() as refusing:
        proxy = Proxy(Origin("http", "localhost", refusing), None)
        with pytest.raises(
            ConnectionRefused, match=f"no connection to the proxy localhost:{refusing}: connection"
        ):
            await ask(asking.pool("http://a.invalid/v1", proxy=proxy))
    proxy = Proxy(Origin("http", "proxy.invalid", 3128), None)
    with pytest.raises(ConnectionRefused, match=r"no connection to the proxy proxy\.invalid:3128: its name"):
        await ask(asking.pool("http://a.invalid/v1", proxy=proxy))


async def test_a_proxy_whose_certificate_nobody_vouches_for_is_refused(
    asking: Asking, certificates: Certificates
) -> None:
    """The message says that it is the proxy's."""
    async with TunnelProxy(tls=certificates.server()) as proxy:
        tunnel = through(proxy, tls=ssl.create_default_context())
        with pytest.raises(ConnectionRefused, match=r"certificate of the proxy 127\.0\.0\.1"):
            await ask(asking.pool("http://a.invalid/v1", proxy=tunnel))
    assert not proxy.asked


async def test_bytes_that_follow_a_tunnels_making_are_nobodys_reply(asking: Asking) -> None:
    """A client speaks first: what comes before would be taken for the reply to a request to come."""
    surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    async with FaultUpstream() as upstream, TunnelProxy(upstream.port, made=MADE + surplus) as proxy:
        with pytest.raises(ConnectionRefused, match="sends what nobody asked"):
            await ask(asking.pool("http://a.invalid/v1", proxy=through(proxy)))
    assert not upstream.requests


async def test_the_time_to_connect_is_one_for_proxy_tunnel_and_tls(
    asking: Asking, certificates: Certificates
) -> None:
    """Whichever of them does not end, the connection is given up."""
    async with TunnelProxy(answer=b"") as proxy:
        pool = asking.pool("https://a.invalid/v1", certificates.client(), proxy=through(proxy))
        with pytest.raises(UpstreamTimeout, match=r"a\.invalid through the proxy 127\.0\.0\.1") as caught:
            await ask(pool, timeouts=HASTY)
        assert caught.value.phase == "connect"
        await until(lambda: proxy.open == 0)
    async with FaultUpstream() as upstream, TunnelProxy(upstream.port) as proxy:
        pool = asking.pool("https://a.invalid/v1", certificates.client(), proxy=through(proxy))
        with pytest.raises(UpstreamTimeout):
            await ask(pool, timeouts=HASTY)
        await until(lambda: proxy.open == 0)


async def test_an_upstream_that_ends_in_the_middle_of_tls_is_named_not_the_proxy(
    asking: Asking, certificates: Certificates
) -> None:
    """The tunnel stood."""
    gone = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with TunnelProxy(gone.sockets[0].getsockname()[1]) as proxy:
        pool = asking.pool("https://a.invalid/v1", certificates.client(), proxy=through(proxy))
        with pytest.raises(ConnectionRefused, match=r"(no connection to|no TLS with) a\.invalid: "):
            await ask(pool)
        await until(lambda: proxy.open == 0)
    gone.close()
    await gone.wait_closed()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_tunnel_that_ends_as_soon_as_it_was_made_is_no_connection(
    asking: Asking, certificates: Certificates, scheme: str
) -> None:
    """Which is found at once, not when the time is over."""
    tls = certificates.client() if scheme == "https" else None
    async with TunnelProxy(answer=MADE) as proxy:
        with pytest.raises((ConnectionRefused, ConnectionReset), match=r"ended before|ended it"):
            await ask(asking.pool(f"{scheme}://a.invalid/v1", tls, proxy=through(proxy)))
        await until(lambda: proxy.open == 0)


async def test_giving_up_while_a_tunnel_is_made_leaves_nothing(asking: Asking) -> None:
    """No connection to the proxy."""
    async with TunnelProxy(answer=b"") as proxy:
        asked = begin(asking.pool("http://a.invalid/v1", proxy=through(proxy)))
        await until(lambda: len(proxy.asked) == 1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await until(lambda: proxy.open == 0)


async def test_a_reused_tunnel_that_had_been_given_up_is_asked_once_more(asking: Asking) -> None:
    """As any connection: through a tunnel of its own."""
    script = [chat(), chat().end(), reply(b"again")]
    async with FaultUpstream(script) as upstream, TunnelProxy(upstream.port) as proxy:
        pool = asking.pool("http://a.invalid/v1", proxy=through(proxy))
        await ask(pool)
        assert await ask(pool) == (200, b"again")
    assert len(proxy.asked) == 2
