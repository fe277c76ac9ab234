"""Whom a client of a gateway trusts."""

from __future__ import annotations

import ssl

from shareai_cli.client import trusted_for


def test_a_gateway_that_is_reached_over_tls_is_verified() -> None:
    """By the system's certificates; who speaks plain HTTP is never taken for one that was verified."""
    assert trusted_for("https://gateway.example") is True
    nobody = trusted_for("http://127.0.0.1:6161")
    assert isinstance(nobody, ssl.SSLContext)
    assert (nobody.verify_mode, nobody.check_hostname, nobody.get_ca_certs()) == (ssl.CERT_REQUIRED, True, [])
