"""Base URLs, host names and loopback addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.config.address import check_base_url, is_host, is_loopback
from shareai_cli.errors import ConfigurationError
from shareai_cli.wire.origin import parse_base_url

PIECES = st.sampled_from(
    ["http", "https://", "https://", "://", "/", "a", "ü", "ß", "-", ".", "[", "]", "::1", "%25", "v1", "@",
     "?", "#", ":", "80", "0", "70000", "example.com", "xn--", "\t", " ", "\n", "127.0.0.1", "\u06f1",
     "\u3002", "\\", "a" * 64]
)  # fmt: skip


@given(st.lists(PIECES, max_size=8).map("".join))
def test_what_the_configuration_takes_the_connections_take_too(url: str) -> None:
    """And nothing in it can leave its place in a request's head."""
    try:
        base_url, _ = check_base_url(url)
    except ConfigurationError:
        return
    origin, prefix = parse_base_url(base_url)
    sent = origin.authority + prefix
    assert sent.isascii()
    assert sent.isprintable()
    assert " " not in sent


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.255.0.1", "::1"]
)
def test_this_machine_is_known_by_its_names(host: str) -> None:
    """A key may go there unencrypted."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "128.0.0.1", "0.0.0.0", "::", "127.1", "notlocalhost"])
def test_other_machines_are_not_this_one(host: str) -> None:
    """Whatever their name begins or ends with."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "a b", "a/b", "a:80", "[::1]", "fe80::1%eth0", "a\n", "x" * 254]
)
def test_what_is_no_host_is_told(text: str) -> None:
    """Neither ports nor brackets nor zones belong to it."""
    assert not is_host(text)
