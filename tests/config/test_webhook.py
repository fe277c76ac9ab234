"""`[webhook]`: where it may lead, how its secret is named, and that neither is shown."""

from __future__ import annotations

import pytest

from shareai_cli.config.describe import describe
from shareai_cli.config.webhook import shown_url
from shareai_cli.errors import ConfigurationError
from tests.support.configuration import read

SECRET = 'secret = "env:HOOK"\n'


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com:8443/hooks/a/?token=b%20c",
        "http://127.0.0.1:8080/hook",
        "http://localhost/hook",
        "http://[::1]:80/",
    ],
)
def test_where_it_may_lead(url: str) -> None:
    """To anybody over TLS, and unencrypted to this machine itself; the URL stays as it was written."""
    settings = read(f'[webhook]\nurl = "{url}"\n{SECRET}')
    assert settings.webhook is not None
    assert settings.webhook.url == url
    assert url not in repr(settings.webhook) or url == shown_url(url)


def test_it_goes_the_way_of_the_network() -> None:
    """Its proxy and the authorities that are trusted on it."""
    text = (
        f'[network]\nproxy = "http://proxy.example:3128"\n[webhook]\nurl = "https://example.com/a"\n{SECRET}'
    )
    webhook = read(text).webhook
    assert webhook is not None
    assert webhook.egress.proxy is not None
    assert webhook.egress.proxy.host == "proxy.example"
    local = read(text.replace("https://example.com", "http://localhost:1")).webhook
    assert local is not None
    assert local.egress.proxy is None


def test_what_may_be_secret_is_not_shown() -> None:
    """Many receivers have their secret in the path or the query."""
    settings = read(f'[webhook]\nurl = "https://hooks.example/services/T0/S3CR3T?a=S3CR3T"\n{SECRET}')
    shown = describe(settings)["webhook"]
    assert shown == {"url": "https://hooks.example/********", "secret": "env:HOOK"}
    assert "S3CR3T" not in repr(settings)
    assert shown_url("https://hooks.example/") == "https://hooks.example"
    assert describe(read(""))["webhook"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('url = "https://example.com/a"', "secret is missing"),
        ('secret = "env:HOOK"', "url is missing"),
        (f'{SECRET}url = "http://example.com/S3CR3T"', "url: goes unencrypted to another machine"),
        (f'{SECRET}url = "http://10.0.0.1/S3CR3T"', "url: goes unencrypted to another machine"),
        (f'{SECRET}url = "ftp://example.com/S3CR3T"', "url: should begin with https://"),
        (f'{SECRET}url = "example.com/S3CR3T"', "url: should begin with https://"),
        (f'{SECRET}url = "https://user:S3CR3T@example.com/"', "url: has a user name or password"),
        (f'{SECRET}url = "https://example.com/S3CR3T#x"', "url: has a query or a fragment"),
        (f'{SECRET}url = "https://example.com/?a=S3CR3T#x"', "url: has characters in its query"),
        (f'{SECRET}url = "https://exa mple.com/S3CR3T"', "url: has characters"),
        (f'{SECRET}url = "https:///S3CR3T"', "url: names no host"),
        (f"{SECRET}url = 5", "url: should be a text"),
        (
            'secret = "whsec_S3CR3TS3CR3TS3CR3T"\nurl = "https://example.com/"',
            "secret: A key is named by where",
        ),
        (f'{SECRET}url = "https://example.com/"\nevents = []', "unknown key"),
    ],
)
def test_mistakes(text: str, words: str) -> None:
    """The file, the key, and never the URL or the secret itself."""
    with pytest.raises(ConfigurationError) as caught:
        read(f"[webhook]\n{text}")
    assert words in str(caught.value)
    assert "config.toml, line" in str(caught.value)
    assert "S3CR3T" not in str(caught.value)
