"""Tickets: signed and soon over, for those who cannot send a header: a browser that opens a WebSocket or a page.

Belongs here: writing and checking one. Does not: who is given one (the dashboards), who asks for one (the sidecar).
A ticket is `ticket_<payload>.<signature>`; the payload says whose token stands behind it and until when.
"""

import base64
import binascii
import hashlib
import hmac
import struct

PREFIX = "ticket_"
# token_id (0: nobody's, handed out by a dashboard that asks for none), expiry in microseconds since the epoch.
_PAYLOAD = struct.Struct("<qq")
LIFE_S = 600.0
# What a ticket is for: one for the stream opens no dashboard, and the other way round.
STREAM, SESSION = b"stream ticket ", b"dashboard session "


def issue(key: bytes, token_id: int, until_us: int, purpose: bytes = STREAM) -> str:
    """A ticket for the holder of a token."""
    payload = _PAYLOAD.pack(token_id, until_us)
    return f"{PREFIX}{_text(payload)}.{_text(_signature(key, purpose, payload))}"


def read(key: bytes, ticket: str, now_us: int, purpose: bytes = STREAM) -> int | None:
    """The token id behind a ticket; None where it is not ours, was changed, or is over."""
    payload_text, _, signature_text = ticket.removeprefix(PREFIX).partition(".")
    payload, signature = _bytes(payload_text), _bytes(signature_text)
    if len(payload) != _PAYLOAD.size or not hmac.compare_digest(signature, _signature(key, purpose, payload)):
        return None
    token_id, until_us = _PAYLOAD.unpack(payload)
    return int(token_id) if until_us > now_us else None


def _signature(key: bytes, purpose: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, purpose + payload, hashlib.sha256)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
