"""Whose certificates are trusted: the system's authorities, and those that a person adds."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from contextlib import suppress

from shareai_cli.config.egress import Authority
from shareai_cli.errors import ConfigurationError


def client_context(
    authorities: Iterable[Authority] = (), system: ssl.DefaultVerifyPaths | None = None
) -> ssl.SSLContext:
    """Return the context of a client that trusts the system's authorities and the given ones.

    `system` is where the system's are, as OpenSSL has it.
    Raises `ConfigurationError` for a file or folder that cannot be used, naming who names it.
    """
    context = ssl.create_default_context()
    added = tuple(authorities)
    if added:
        _add_system(context, system or ssl.get_default_verify_paths())
        for authority in added:
            _add(context, authority)
        # Companies' authorities often lack extensions that RFC 5280 asks for, and a file may hold an
        # intermediate one alone.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _add_system(context: ssl.SSLContext, system: ssl.DefaultVerifyPaths) -> None:
    """Trust the system's authorities where OpenSSL's variables put others in their place."""
    with suppress(OSError):  # what is not there, or not readable, OpenSSL passes over too
        if system.cafile != system.openssl_cafile:
            context.load_verify_locations(cafile=system.openssl_cafile)
    with suppress(OSError):
        if system.capath != system.openssl_capath:
            context.load_verify_locations(capath=system.openssl_capath)


def _add(context: ssl.SSLContext, authority: Authority) -> None:
    path, named_by = authority.path, authority.named_by
    if authority.is_folder:
        if not path.is_dir():
            raise ConfigurationError(f"{named_by}: there is no folder {path}.", hint=_mend(named_by))
        context.load_verify_locations(capath=path)
        return
    try:
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"{named_by}: {path} is not a file.", hint=_mend(named_by))
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise ConfigurationError(
            f"{named_by}: {path} holds no certificate in PEM.",
            hint="Such a file begins with -----BEGIN CERTIFICATE-----; "
            "'openssl x509 -inform der -in FILE -out FILE.pem' makes one of a binary file.",
        ) from None
    except FileNotFoundError:
        raise ConfigurationError(f"{named_by}: there is no file {path}.", hint=_mend(named_by)) from None
    except OSError as error:
        raise ConfigurationError(f"{named_by}: {path} cannot be read: {error.strerror}.") from None


def _mend(named_by: str) -> str:
    if named_by.isupper():
        return f"Unset {named_by}, or let it name certificates in PEM."
    return "Name a file of certificates in PEM, or take the setting out."
