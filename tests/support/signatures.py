"""Signatures of webhooks, verified as a receiver does."""

from __future__ import annotations

import base64
import hashlib
import hmac

from tests.support.behaviours import Received


def verify(request: Received, secret: str) -> None:
    """Check a signature by the text of Standard Webhooks."""
    identity, sent = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    signed = f"{identity}.{sent}.".encode() + request.body
    version, _, signature = request.headers["webhook-signature"].partition(",")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert version == "v1"
    assert base64.b64decode(signature) == hmac.new(key, signed, hashlib.sha256).digest()
