"""What a request's headers and its peer say about who it is.

Belongs here: credentials in the ways that clients send them, and which peers are this machine itself.
Does not: whether a token is good (roll).
"""

import base64
import binascii
import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

# A proxy on this machine sends these: then the peer is not who asks.
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def secret_in(authorization: str | None) -> str | None:
    """The secret of an Authorization header: `Bearer S`, `Token S` (Influx 2), or Basic with S as the password.

    Basic with an empty password takes the user name: some clients have only that field.
    """
    if not authorization:
        return None
    kind, _, rest = authorization.strip().partition(" ")
    match kind.lower():
        case "bearer" | "token":
            return rest.strip() or None
        case "basic":
            return _basic(rest)
        case _:
            return None


def _basic(text: str) -> str | None:
    try:
        user, _, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return password or user or None


def is_loopback(host: str | None) -> bool:
    """Whether a host's name or address is this machine's loopback; None (a Unix socket) is."""
    if host is None:
        return True
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_this_machine(peer: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a request surely comes from a program of this machine that meant to ask us.

    Not through a proxy, and not under a foreign name: a web page can make its own name resolve to our address, and its
    reader's browser would then send what the page wants.
    """
    if not is_loopback(peer) or any(name in headers for name in FORWARDED):
        return False
    host = headers.get("host")
    if not host:
        return True
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or _is_address(name) or name == socket.gethostname().lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
