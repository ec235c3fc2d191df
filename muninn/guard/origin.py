"""Which web pages may read the stream.

Belongs here: judging the Origin header. Does not: users and their rights.

A browser lets any page open a WebSocket to any host, so a page from elsewhere, opened on this machine, could
read the stream of a sidecar that listens on loopback only. The browser names the page's origin truthfully;
other programs may send what they like, and those without an Origin are let in.
"""

import ipaddress
from urllib.parse import urlsplit


def parse_origins(text: str) -> frozenset[str]:
    """The setting's comma-separated origins, without a trailing slash, in lower case."""
    return frozenset(part.strip().rstrip("/").lower() for part in text.split(",") if part.strip())


def allowed(origin: str | None, host: str | None, configured: frozenset[str]) -> bool:
    """Whether a page of `origin` may read, given the request's Host header.

    Let in: no Origin (not a page); a loopback page; a configured origin; and a page of the same IP address
    (not name: a foreign name can be made to resolve to our address, an address cannot be borrowed).
    """
    if origin is None:
        return True
    if origin.rstrip("/").lower() in configured:
        return True
    page = _hostname(origin)
    if page is None:
        return False
    if page == "localhost" or page.endswith(".localhost"):
        return True
    address = _address(page)
    if address is None:
        return False
    return address.is_loopback or address == _address(_hostname(f"//{host or ''}") or "")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
