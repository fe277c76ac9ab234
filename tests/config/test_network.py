"""How providers are reached: `[network]`, a provider's own words, and the environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from shareai_cli.config import Authority, Proxy
from shareai_cli.config.describe import describe
from shareai_cli.config.proxies import is_excepted, parse_proxy
from shareai_cli.errors import ConfigurationError
from shareai_cli.secrets import Secret
from tests.support.configuration import FILE, read

PASSWORD = "planted-pass-7Hq2"
CLOUD = "[providers.alpha]\nbase_url = 'https://api.alpha.example/v1'\n"
PLAIN = "[providers.alpha]\nbase_url = 'http://api.alpha.example:8080/v1'\n"
NEAR = "[providers.alpha]\nbase_url = 'http://localhost:1234/v1'\n"


def proxy_of(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Return the proxy through which the provider alpha is reached, and who names it; empty for none."""
    proxy = read(text, environ).providers["alpha"].egress.proxy
    return f"{proxy.url} {proxy.named_by}" if proxy is not None else ""


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "credentials"),
    [
        ("http://proxy.example:3128", "http", "proxy.example", 3128, None),
        ("HTTPS://Proxy.Example", "https", "proxy.example", 443, None),
        ("proxy.example", "http", "proxy.example", 80, None),
        ("proxy.example:8080/", "http", "proxy.example", 8080, None),
        ("user@proxy.example:1", "http", "proxy.example", 1, "user:"),
        ("http://[::1]:3128", "http", "::1", 3128, None),
        ("http://user:p%E4ss@proxy.example:1", "http", "proxy.example", 1, "user:p\udce4ss"),
        ("http://us%40er:p%3Aa%2Fs%25s%C3%A4@10.0.0.1:3128", "http", "10.0.0.1", 3128, "us@er:p:a/s%sä"),
    ],
)
def test_a_proxys_url_is_read_as_curl_reads_it(
    text: str, scheme: str, host: str, port: int, credentials: str | None
) -> None:
    """Without a scheme it is http; user name and password are percent-decoded."""
    proxy = parse_proxy(text, "x")
    assert (proxy.scheme, proxy.host, proxy.port) == (scheme, host, port)
    assert proxy.credentials == (Secret(credentials) if credentials is not None else None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("socks5h://user:{}@proxy.example:1080", "SOCKS"),
        ("ftp://user:{}@proxy.example", "http:// or https://"),
        ("http://user:{}#@proxy.example:3128", "%40"),
        ("http://user:{}/x@proxy.example:3128", "%40"),
        ("http://user:{}@proxy.example:99999", "%40"),
        ("http://user:{}@proxy.example:0", "%40"),
        ("http://user:{}@:3128", "%40"),
        ("http://user:{}@proxy.example/path", "%40"),
        ("http://user:{}@proxy example", "%40"),
        ("http://user:{}@[::1:3128", "%40"),
        ("{}" * 200, "%40"),
    ],
)
def test_what_is_no_proxys_url_is_refused_without_repeating_it(text: str, says: str) -> None:
    """It may hold a password; the message says how one is written."""
    with pytest.raises(ConfigurationError) as caught:
        parse_proxy(text.replace("{}", PASSWORD), "x")
    assert says in str(caught.value)
    assert PASSWORD not in str(caught.value)


ALL = {"all_proxy": "all:1"}
HTTPS = {"https_proxy": "small:1", "HTTPS_PROXY": "capital:1", **ALL}


@pytest.mark.parametrize(
    ("text", "environ", "proxy"),
    [
        (CLOUD, {}, ""),
        (CLOUD, HTTPS, "http://small:1 https_proxy"),
        (CLOUD, {"HTTPS_PROXY": "capital:1"}, "http://capital:1 HTTPS_PROXY"),
        (CLOUD, {"HTTP_PROXY": "plain:1"}, ""),
        (PLAIN, {"HTTP_PROXY": "plain:1", **HTTPS}, "http://plain:1 HTTP_PROXY"),
        (PLAIN, HTTPS, "http://all:1 all_proxy"),
        (CLOUD, {"ALL_PROXY": "all:1"}, "http://all:1 ALL_PROXY"),
        (CLOUD, {"https_proxy": "", "HTTPS_PROXY": "capital:1"}, ""),
        (CLOUD, {"https_proxy": " ", **ALL}, "http://all:1 all_proxy"),
        (NEAR, {"http_proxy": "plain:1", **ALL}, ""),
        (NEAR.replace("localhost", "[::1]"), ALL, ""),
        (CLOUD, {**HTTPS, "NO_PROXY": "beta.example,alpha.example"}, ""),
        (CLOUD, {**HTTPS, "no_proxy": "", "NO_PROXY": "*"}, "http://small:1 https_proxy"),
        ("[network]\nproxy = 'company:1'\n" + CLOUD, HTTPS, "http://company:1 network.proxy"),
        ("[network]\nproxy = 'company:1'\n" + CLOUD, {"NO_PROXY": "alpha.example"}, ""),
        ("[network]\nproxy = 'company:1'\n" + NEAR, {}, ""),
        ("[network]\nproxy = ''\n" + CLOUD, HTTPS, ""),
        ("[network]\nno_proxy = ['alpha.example:443']\n" + CLOUD, HTTPS, ""),
        ("[network]\nno_proxy = []\n" + CLOUD, {**HTTPS, "NO_PROXY": "*"}, "http://small:1 https_proxy"),
        (CLOUD + "proxy = 'own:1'", {**HTTPS, "NO_PROXY": "*"}, "http://own:1 providers.alpha.proxy"),
        (CLOUD + "proxy = ''", HTTPS, ""),
        (NEAR + "proxy = 'own:1'", {}, "http://own:1 providers.alpha.proxy"),
        (CLOUD, {"HTTPS_PROXY": f"http://user:{PASSWORD}@p:1"}, "http://********@p:1 HTTPS_PROXY"),
        (CLOUD, {"https_proxy": "p:1", "ALL_PROXY": "socks5://p:1"}, "http://p:1 https_proxy"),
    ],
)  # fmt: skip
def test_the_nearest_word_on_the_proxy_counts(text: str, environ: Mapping[str, str], proxy: str) -> None:
    """A provider's own, then `[network]`'s, then the variables'; this machine is reached without."""
    assert proxy_of(text, environ) == proxy


def test_a_provider_found_through_its_key_goes_by_the_environment_too() -> None:
    """Nothing declared is no reason to go another way."""
    environ = {"OPENAI_API_KEY": "k", "HTTPS_PROXY": "proxy:1", "SSL_CERT_FILE": "/etc/company.pem"}
    egress = read("", environ).providers["openai"].egress
    assert egress.proxy == Proxy("http", "proxy", 1, None, "HTTPS_PROXY")
    assert egress.authorities == (Authority(Path("/etc/company.pem"), "SSL_CERT_FILE"),)


@pytest.mark.parametrize(
    ("exceptions", "host", "is_meant"),
    [
        ("*", "api.example.com", True),
        ("example.com", "example.com", True),
        ("example.com", "api.example.com", True),
        ("example.com", "API.Example.COM.", True),
        ("example.com", "notexample.com", False),
        ("example.com", "example.com.evil.example", False),
        (".example.com", "example.com", True),
        ("*.example.com", "api.example.com", True),
        ("Example.COM", "api.example.com", True),
        ("api.example.com", "example.com", False),
        ("example.com:443", "api.example.com", True),
        ("example.com:8443", "api.example.com", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:443", "10.1.2.3", True),
        ("10.1.2.3:80", "10.1.2.3", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.1.2.3/8", "10.200.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "10.example.com", False),
        ("2001:db8::/32", "2001:db8::7", True),
        ("[2001:db8::7]", "2001:db8:0::7", True),
        ("[2001:db8::7]:443", "2001:db8::7", True),
        ("[2001:db8::7]:80", "2001:db8::7", False),
        ("10.0.0.0/8", "2001:db8::7", False),
        ("", "example.com", False),
        (".", "example.com", False),
        ("10.0.0.0/99", "10.0.0.1", False),
    ],
)  # fmt: skip
def test_no_proxy_names_hosts_suffixes_addresses_and_networks(
    exceptions: str, host: str, is_meant: bool
) -> None:
    """In any case, each perhaps with a port; what means nothing excepts nothing."""
    assert is_excepted(host, 443, [exceptions]) is is_meant
    assert is_excepted(host, 443, ["other.example", exceptions]) is is_meant


def test_no_proxy_is_separated_by_commas_or_spaces() -> None:
    """As curl takes it."""
    for value in ("a.example,alpha.example", "a.example alpha.example", " , alpha.example ,,"):
        assert proxy_of(CLOUD, {"HTTPS_PROXY": "p:1", "NO_PROXY": value}) == ""


def test_authorities_come_from_the_environment_the_network_and_the_provider() -> None:
    """All of them together; a relative path starts from the configuration's folder."""
    text = "[network]\nca_file = 'company.pem'\n" + CLOUD + "ca_file = '~/alpha.pem'"
    egress = (
        read(text, {"SSL_CERT_FILE": "/env.pem", "SSL_CERT_DIR": "/nowhere:/tmp"}).providers["alpha"].egress
    )
    assert egress.authorities == (
        Authority(Path("/env.pem"), "SSL_CERT_FILE"),
        Authority(Path("/tmp"), "SSL_CERT_DIR", is_folder=True),
        Authority(FILE.parent / "company.pem", "network.ca_file"),
        Authority(Path("~/alpha.pem").expanduser(), "providers.alpha.ca_file"),
    )
    missing = read(CLOUD, {"SSL_CERT_DIR": "/nowhere:/nowhere-else"}).providers["alpha"].egress.authorities
    assert missing == (Authority(Path("/nowhere"), "SSL_CERT_DIR", is_folder=True),)
    assert read("", {"SSL_CERT_FILE": "", "OPENAI_API_KEY": "k"}).providers["openai"].egress.authorities == ()


def test_authorities_matter_where_there_is_tls() -> None:
    """To an http:// upstream only through an https:// proxy: so nothing unused can be wrong."""
    text = "[network]\nca_file = 'company.pem'\n" + NEAR
    assert read(text).providers["alpha"].egress.authorities == ()
    text += "proxy = 'https://proxy.example'"
    assert len(read(text).providers["alpha"].egress.authorities) == 1


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (f"[network]\nproxy = 'socks5://u:{PASSWORD}@p:1'", 2, "network.proxy: names a SOCKS proxy"),
        (f"{CLOUD}proxy = 'http://u:{PASSWORD}@p:x'", 3, "providers.alpha.proxy: cannot be read as a proxy"),
        ("[network]\nproxy = 3", 2, "should be a text"),
        ("[network]\nno_proxy = 'a.example'", 2, "should be a list"),
        ("[network]\nprox = 'p:1'", 2, "Did you mean proxy?"),
        ("[network]\nhttps_proxy = 'p:1'", 2, "Did you mean proxy?"),
        (f"{CLOUD}ca_bundle = 'a.pem'", 3, "Did you mean ca_file?"),
        (f"{CLOUD}[providers.alpha.extra_headers]\nX-A = '1'", 3, "Did you mean headers?"),
        ("[network]\nca_file = ['a']", 2, "should be a text"),
    ],
)
def test_a_mistake_about_the_network_names_its_line(text: str, line: int, says: str) -> None:
    """And no password."""
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert f"{FILE}, line {line}: " in str(caught.value)
    assert says in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_variable_that_is_wrong_is_named_where_it_is_needed() -> None:
    """And is nobody's trouble elsewhere, or where the configuration says otherwise."""
    environ = {"ALL_PROXY": f"socks5://user:{PASSWORD}@p:1"}
    with pytest.raises(ConfigurationError, match=r"^ALL_PROXY names a SOCKS proxy.* proxy = \"\"") as caught:
        read(CLOUD, environ)
    assert PASSWORD not in str(caught.value)
    assert proxy_of(NEAR, environ) == ""
    assert proxy_of("[network]\nproxy = ''\n" + CLOUD, environ) == ""


def test_a_proxys_password_is_shown_nowhere() -> None:
    """Not by `config show`, not by a repr; what is to be mended is still told from it."""
    url = f"http://user:{PASSWORD}@proxy.example:3128"
    settings = read(f"[network]\nproxy = '{url}'\nno_proxy = ['a.example']\n{CLOUD}")
    shown = describe(settings)
    assert shown["network"] == {
        "proxy": "http://********@proxy.example:3128",
        "no_proxy": ["a.example"],
        "ca_file": None,
    }
    assert shown["providers"]["alpha"]["proxy"] == "http://********@proxy.example:3128"
    assert PASSWORD not in json.dumps(shown) + repr(settings)


HEADERS = """
[providers.alpha.headers]
X-Title = "My program"
cf-aig-authorization = "env:AIG_TOKEN"
X-Team = "file:team.txt"
"""


def test_header_fields_are_kept_by_reference_or_written_out() -> None:
    """A file is found beside the configuration; `config show` tells where a value is kept, and no value."""
    settings = read(CLOUD + HEADERS)
    shown = describe(settings)["providers"]["alpha"]["headers"]
    assert shown == {
        "X-Title": "********",
        "cf-aig-authorization": "env:AIG_TOKEN",
        "X-Team": f"file:{FILE.parent}/team.txt",
    }
    assert "My program" not in repr(settings)


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("Authorization = 'Bearer {}'", "keys = [...]"),
        ("HOST = '{}'", "is written by ShareAI itself"),
        ("content-length = '3'", "is written by ShareAI itself"),
        ("Transfer-Encoding = 'chunked'", "about a single connection"),
        ("Connection = 'close'", "about a single connection"),
        ("Proxy-Authorization = '{}'", "http://USER:PASSWORD@HOST:PORT"),
        ("'X Title' = '{}'", "is not the name of a header field"),
        ("'X:' = '{}'", "is not the name of a header field"),
        ("X-A = '{}ä'", "printable ASCII"),
        ('X-A = "{}\\r\\nX-B: 1"', "printable ASCII"),
        ("X-A = ' '", "printable ASCII"),
        ("X-A = 3", "should be a text"),
        ("X-A = '1'\nx-a = '2'", "is there twice"),
        ("X-A = 'env:{} x'", "variable"),
    ],
)
def test_a_header_field_that_cannot_be_sent_is_refused(field: str, says: str) -> None:
    """With the reason, the line and never the value."""
    text = f"{CLOUD}[providers.alpha.headers]\n{field.replace('{}', PASSWORD)}\n"
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert f"{FILE}, line {4 + field.count(chr(10))}: providers.alpha.headers." in str(caught.value)
    assert says in str(caught.value)
    assert PASSWORD not in str(caught.value)
