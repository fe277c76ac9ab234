"""Whose certificates are trusted."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path

import pytest

from shareai_cli.config import Authority
from shareai_cli.errors import ConfigurationError, ConnectionRefused
from shareai_cli.wire.trust import client_context
from tests.support.certificates import Certificates, make_certificates
from tests.support.upstream import FaultUpstream
from tests.wire.asking import Asking, ask

NOBODY = ssl.get_default_verify_paths()._replace(
    openssl_cafile="/nowhere/cert.pem", openssl_capath="/nowhere"
)


async def reaches(asking: Asking, certificates: Certificates, context: ssl.SSLContext) -> bool:
    """Tell whether a client with this context takes a server's certificate."""
    async with FaultUpstream(tls=certificates.server()) as upstream:
        try:
            return (await ask(asking.pool(upstream, context)))[0] == 200
        except ConnectionRefused as error:
            assert "is not valid" in error.message
            return False


async def test_an_authority_of_ones_own_is_trusted_beside_others(
    asking: Asking, certificates: Certificates, tmp_path: Path
) -> None:
    """Each file is added to what is trusted already, and none is trusted that was not named."""
    other = make_certificates(tmp_path)
    ours, theirs = (Authority(one.authority, "network.ca_file") for one in (certificates, other))
    assert not await reaches(asking, certificates, client_context())
    assert not await reaches(asking, certificates, client_context([theirs]))
    both = client_context([theirs, ours])
    assert await reaches(asking, certificates, both)
    assert await reaches(asking, other, both)


async def test_the_systems_authorities_stay_trusted_where_a_variable_names_another(
    asking: Asking, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL itself takes SSL_CERT_FILE in the system's place."""
    other = make_certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(other.authority))
    named = Authority(other.authority, "SSL_CERT_FILE")
    system = NOBODY._replace(openssl_cafile=str(certificates.authority))
    context = client_context([named], system)
    assert await reaches(asking, certificates, context)
    assert await reaches(asking, other, context)
    assert not await reaches(asking, certificates, client_context([named], NOBODY))


async def test_an_authority_that_stands_under_another_can_be_named_alone(
    asking: Asking, certificates: Certificates
) -> None:
    """A company often hands out the intermediate one only; here it is the server's own certificate."""
    alone = Authority(certificates.chain, "network.ca_file")
    assert await reaches(asking, certificates, client_context([alone]))


@pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs openssl, which names files by their hashes"
)
async def test_a_folder_of_authorities_is_trusted(
    asking: Asking, certificates: Certificates, tmp_path: Path
) -> None:
    """As SSL_CERT_DIR names it, prepared by `openssl rehash`."""
    (tmp_path / "ours.pem").write_bytes(certificates.authority.read_bytes())
    rehash = await asyncio.create_subprocess_exec("openssl", "rehash", str(tmp_path))
    assert await rehash.wait() == 0
    folder = Authority(tmp_path, "SSL_CERT_DIR", is_folder=True)
    assert await reaches(asking, certificates, client_context([folder]))


def test_what_holds_no_certificates_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """It names the setting or the variable, the file, and the way out."""
    empty, text, binary = tmp_path / "empty.pem", tmp_path / "notes.txt", tmp_path / "ca.der"
    empty.touch()
    text.write_text("-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n")
    made = make_certificates(tmp_path)
    binary.write_bytes(ssl.PEM_cert_to_DER_cert(made.authority.read_text()))
    for file in (empty, text, binary):
        with pytest.raises(
            ConfigurationError, match=f"network.ca_file: {file} holds no certificate"
        ) as caught:
            client_context([Authority(file, "network.ca_file")])
        assert "openssl x509 -inform der" in str(caught.value)
    for path, is_folder, says in (
        (tmp_path / "nothing.pem", False, "there is no file"),
        (tmp_path, False, "is not a file"),
        (tmp_path / "nothing", True, "there is no folder"),
        (empty, True, "there is no folder"),
    ):
        with pytest.raises(ConfigurationError, match=says) as caught:
            client_context([Authority(path, "SSL_CERT_FILE", is_folder)])
        assert str(caught.value).startswith("SSL_CERT_FILE: ")
        assert "Unset SSL_CERT_FILE" in str(caught.value)


async def test_a_doubtful_certificate_is_told_with_the_reason_and_the_way_out(
    asking: Asking, certificates: Certificates, tmp_path: Path
) -> None:
    """An authority can be added where it is unknown; nothing is advised where the name is wrong."""
    async with FaultUpstream(tls=certificates.server()) as upstream:
        with pytest.raises(
            ConnectionRefused, match=r"unable to get local issuer .*\[network\] ca_file .*SSL_CERT"
        ):
            await ask(asking.pool(upstream, client_context()))
    others = make_certificates(tmp_path, ("somewhere.example",))
    async with FaultUpstream(tls=others.server()) as upstream:
        with pytest.raises(ConnectionRefused, match="IP address mismatch") as caught:
            await ask(asking.pool(upstream, others.client()))
        assert "ca_file" not in caught.value.message
