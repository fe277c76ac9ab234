"""How a connection is made: addresses that are raced, TLS, and what is said when there is none."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from shareai_cli.errors import ConnectionRefused, TruncatedReply, UpstreamTimeout
from shareai_cli.wire.client import Timeouts
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.dial import race, resolve
from tests.support.behaviours import Behaviour, chat, close_delimited, events, reply, stream
from tests.support.certificates import Certificates, make_certificates
from tests.support.clock import FakeClock
from tests.support.upstream import FaultUpstream, refused_port, unanswered_port
from tests.support.waiting import until
from tests.wire.asking import Asking, ask, begin, ended, pieces, send

IPV4, IPV6 = socket.AF_INET, socket.AF_INET6


async def test_a_port_on_which_nobody_listens_is_refused(asking: Asking) -> None:
    """At once, and in words that name it."""
    with refused_port() as port:
        with pytest.raises(ConnectionRefused, match=f"no connection to 127.0.0.1:{port}: connection refused"):
            await ask(asking.pool(f"http://127.0.0.1:{port}/v1"))
        with pytest.raises(ConnectionRefused, match=f"no connection to localhost:{port}: connection refused"):
            await ask(asking.pool(f"http://localhost:{port}/v1"))


async def test_a_name_that_nobody_knows_is_refused(asking: Asking) -> None:
    """Names under .invalid are nobody's (RFC 6761)."""
    with pytest.raises(ConnectionRefused, match=r"gateway\.invalid"):
        await ask(asking.pool("http://gateway.invalid/v1"))


async def test_a_name_is_connected_at_whichever_of_its_addresses_answers(asking: Asking) -> None:
    """The upstream listens at one of localhost's only."""
    async with FaultUpstream() as upstream:
        pool = asking.pool(upstream.base_url.replace("127.0.0.1", "localhost"))
        assert (await ask(pool))[0] == 200


async def test_the_next_address_is_tried_beside_one_that_does_not_answer() -> None:
    """And the first that is connected wins."""
    async with FaultUpstream() as upstream:
        with unanswered_port() as silent:
            won = await race([(IPV4, ("127.0.0.1", silent)), (IPV4, ("127.0.0.1", upstream.port))])
        assert won.getpeername()[1] == upstream.port
        won.close()


async def test_the_next_address_is_tried_at_once_after_one_that_refuses() -> None:
    """Without waiting for its turn: twenty of them in less time than one turn takes."""
    began = asyncio.get_running_loop().time()
    async with FaultUpstream() as upstream:
        with refused_port() as refusing:
            bad = (IPV4, ("127.0.0.1", refusing))
            won = await race([bad] * 20 + [(IPV4, ("127.0.0.1", upstream.port))])
        won.close()
    assert asyncio.get_running_loop().time() - began < 20 * 0.25


async def test_when_every_address_fails_the_last_failure_is_told() -> None:
    """As the operating system says it; no addresses at all are a failure too."""
    with refused_port() as refusing, pytest.raises(ConnectionRefusedError):
        await race([(IPV4, ("127.0.0.1", refusing))] * 2)
    with pytest.raises(OSError, match="no address"):
        await race([])


async def test_a_race_that_is_given_up_leaves_no_socket() -> None:
    """Neither a winner nor a loser."""
    with unanswered_port() as silent:
        running = asyncio.get_running_loop().create_task(race([(IPV4, ("127.0.0.1", silent))] * 2))
        await asyncio.sleep(0.3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_name_has_addresses_of_both_families_in_turn() -> None:
    """Beginning with the one that the system prefers."""
    families = [family for family, _ in await resolve("localhost", 80)]
    assert families
    assert all(one != other for one, other in itertools.pairwise(families))


async def test_an_ipv6_address_is_connected_to_plain_and_over_tls(asking: Asking, tmp_path: Path) -> None:
    """In brackets in the URL, without them in the certificate."""
    certificates = make_certificates(tmp_path, ("::1",))
    for server, client in ((None, None), (certificates.server(), certificates.client())):
        async with FaultUpstream(tls=server, host="::1") as upstream:
            port = upstream.port
            assert (await ask(asking.pool(upstream, client)))[0] == 200
    with pytest.raises(ConnectionRefused, match=rf"no connection to \[::1\]:{port}: connection refused"):
        await ask(asking.pool(f"http://[::1]:{port}/v1"))


class NamesLoop(asyncio.SelectorEventLoop):
    """An event loop with names of its own: each means addresses of the loopback."""

    names: Mapping[str, Sequence[str]] = {}

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        return [
            (IPV6 if ":" in one else IPV4, socket.SOCK_STREAM, 6, "", (one, port)) for one in self.names[host]
        ]


def test_a_name_that_has_ipv6_addresses_alone_is_reached() -> None:
    """So is one whose IPv4 addresses lead nowhere, or whose IPv6 ones do."""

    async def reach(host: str) -> None:
        cast(NamesLoop, asyncio.get_running_loop()).names = {
            "six.example": ["::1"],
            "both.example": ["127.0.0.1", "::1"],
            "both-ways.example": ["::1", "127.0.0.1"],
        }
        asking = Asking(Deadlines(3600.0), FakeClock())
        async with FaultUpstream(host=host) as upstream:
            names = ["both.example", "both-ways.example"] + (["six.example"] if host == "::1" else [])
            for name in names:
                assert (await ask(asking.pool(f"http://{name}:{upstream.port}/v1")))[0] == 200
            await asking.close()

    with asyncio.Runner(loop_factory=NamesLoop) as runner:
        runner.run(reach("::1"))
        runner.run(reach("127.0.0.1"))


async def test_cancelling_while_connecting_leaves_nothing(asking: Asking) -> None:
    """No socket, no reply."""
    with unanswered_port() as port:
        asked = begin(asking.pool(f"http://127.0.0.1:{port}/v1"))
        await asyncio.sleep(0.05)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked


# -- TLS


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("behaviour", [chat(), stream("a", "b"), stream("a", "b").sliced()])
async def test_tls_is_spoken_where_the_origin_says_https(
    asking: Asking, certificates: Certificates, behaviour: Behaviour, host: str
) -> None:
    """By name and by address, and the connection is used again."""
    async with FaultUpstream([behaviour, chat()], tls=certificates.server()) as upstream:
        pool = asking.pool(upstream.base_url.replace("127.0.0.1", host), certificates.client())
        assert (await ask(pool, streamed=True))[0] == 200
        assert (await ask(pool))[0] == 200
    assert upstream.accepted == 1


async def test_a_large_reply_over_tls_is_read_no_faster_than_it_is_taken(
    asking: Asking, certificates: Certificates
) -> None:
    """And arrives whole."""
    whole = b"0123456789abcdef" * 65536 * 4
    async with FaultUpstream([reply(whole)], tls=certificates.server()) as upstream:
        answer = await send(asking.pool(upstream, certificates.client()))
        await until(lambda: answer.waiting > 256 << 10)
        await asyncio.sleep(0.05)
        assert answer.waiting < 1 << 20
        assert b"".join(await pieces(answer)) == whole


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    asking: Asking, certificates: Certificates
) -> None:
    """Before a byte of the request goes out."""
    async with FaultUpstream(tls=certificates.server()) as upstream:
        pool = asking.pool(upstream, ssl.create_default_context())
        with pytest.raises(ConnectionRefused, match=r"certificate of 127\.0\.0\.1"):
            await ask(pool)
        assert not upstream.requests


async def test_a_certificate_for_another_name_is_refused(asking: Asking, tmp_path: Path) -> None:
    """Before a byte of the request goes out."""
    others = make_certificates(tmp_path, ("somewhere.example",))
    async with FaultUpstream(tls=others.server()) as upstream:
        pool = asking.pool(upstream, others.client())
        with pytest.raises(ConnectionRefused, match=r"certificate of 127\.0\.0\.1"):
            await ask(pool)
        assert not upstream.requests


async def test_an_upstream_that_speaks_no_tls_is_refused(asking: Asking, certificates: Certificates) -> None:
    """It answers something else."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectionRefused, match=r"no TLS with .*is it http://, not https://\?"):
        await ask(asking.pool(f"https://127.0.0.1:{port}/v1", certificates.client()))
    server.close()
    await server.wait_closed()


async def test_a_handshake_that_does_not_end_counts_as_connecting(
    asking: Asking, certificates: Certificates
) -> None:
    """And its connection is closed."""
    async with FaultUpstream() as upstream:
        url = upstream.base_url.replace("http:", "https:")
        with pytest.raises(UpstreamTimeout) as caught:
            await ask(asking.pool(url, certificates.client()), timeouts=Timeouts(0.1, 30, 600))
        assert caught.value.phase == "connect"
        await ended(upstream)


async def test_the_end_of_a_reply_over_tls_is_told_from_its_being_cut_off(
    asking: Asking, certificates: Certificates
) -> None:
    """TLS says goodbye; a connection that just ends may have been cut by anybody on the way."""
    cut = [close_delimited(b"only a part").abrupt(at=60), events("x", delimited_by="close").abrupt(after=1)]
    script = [close_delimited(b"all of it"), *cut]
    async with FaultUpstream(script, tls=certificates.server()) as upstream:
        pool = asking.pool(upstream, certificates.client())
        assert await ask(pool) == (200, b"all of it")
        for _ in range(2):
            with pytest.raises(TruncatedReply):
                await ask(pool)


@pytest.mark.parametrize("fault", [chat().end(), chat().abrupt(), chat().reset()])
async def test_a_reused_tls_connection_that_had_been_given_up_is_asked_once_more(
    asking: Asking, certificates: Certificates, fault: Behaviour
) -> None:
    """As over plain TCP."""
    async with FaultUpstream([chat(), fault, reply(b"again")], tls=certificates.server()) as upstream:
        pool = asking.pool(upstream, certificates.client())
        await ask(pool)
        assert await ask(pool) == (200, b"again")
    assert [request.connection for request in upstream.requests] == [1, 1, 2]


@pytest.mark.parametrize("reset", [False, True])
async def test_a_tls_connection_given_up_while_idle_is_not_used(
    asking: Asking, certificates: Certificates, reset: bool
) -> None:
    """Its end was seen."""
    async with FaultUpstream(tls=certificates.server()) as upstream:
        pool = asking.pool(upstream, certificates.client())
        await ask(pool)
        upstream.drop(reset=reset)
        await until(lambda: repr(pool).endswith("[0 active, 0 idle]>"))
        await ask(pool)
    assert [request.connection for request in upstream.requests] == [1, 2]


async def test_giving_up_a_reply_over_tls_ends_its_connection_at_once(
    asking: Asking, certificates: Certificates
) -> None:
    """Without waiting for the other side's goodbye."""
    async with FaultUpstream([stream("a").stall(after=1)], tls=certificates.server()) as upstream:
        answer = await send(asking.pool(upstream, certificates.client()), streamed=True)
        answer.abort()
        await ended(upstream)
