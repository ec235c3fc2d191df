"""Before anything listens: whether it may, and with which certificate.

Belongs here: refusing addresses that would let anyone in. Does not: listening, tokens themselves (guard).
"""

import ssl
from pathlib import Path

from muninn.errors import Misconfigured, Unavailable
from muninn.guard.peers import is_loopback
from muninn.guard.roll import Roll
from muninn.guard.tokens import Scope
from muninn.settings import Settings

# What a listener is of use for only with a token of this scope.
_SCOPES: dict[str, tuple[Scope, ...]] = {
    "gateway": ("ingest", "read"),
    "sidecar": ("read",),
    "streamlit": ("read",),
}
ASKING = tuple(_SCOPES)
# These ask nobody for anything.
_UNASKING = ("dagster", "statsd")


def exposed(settings: Settings) -> list[str]:
    """Which listeners other machines can reach, and which are not declared open."""
    wanted = [name for name in (*_SCOPES, *_UNASKING) if name != "statsd" or settings.statsd.port is not None]
    hosts = {name: getattr(settings, name).host for name in wanted}
    return [name for name, host in hosts.items() if not is_loopback(host) and name not in settings.access.opened]


def check_unasking(settings: Settings) -> None:
    """Misconfigured where something without any login would be reachable from other machines."""
    for name in exposed(settings):
        if name in _UNASKING:
            host = getattr(settings, name).host
            raise Misconfigured(
                f"MUNINN_{name.upper()}_HOST={host} lets everybody who reaches this machine in, for {name} has no "
                f"login: keep it on 127.0.0.1, put a proxy that asks before it, or say MUNINN_ACCESS_OPEN={name} if "
                "the network itself is closed"
            )


def check(settings: Settings, listener: str, roll: Roll) -> None:
    """Misconfigured where a listener beyond loopback has no token to ask for; Unavailable where nobody knows."""
    if listener not in exposed(settings):
        return
    if not roll.known:
        raise Unavailable(f"the database does not answer, so whether {listener} has tokens to ask for is not known")
    scopes = _SCOPES[listener]
    if not any(roll.may(scope) for scope in scopes):
        host = getattr(settings, listener).host
        raise Misconfigured(
            f"MUNINN_{listener.upper()}_HOST={host} would let everybody who reaches this machine in, for there is no "
            f"token yet: make one with `muninn token create NAME --scope {scopes[0]}`, or keep it on 127.0.0.1"
        )


def files_of_tls(settings: Settings) -> tuple[Path, Path] | None:
    """Certificate and key, which were read and fit; None where TLS is not asked for. Misconfigured says why not."""
    certificate = settings.access.tls_certificate
    if certificate is None:
        if settings.access.tls_key is not None:
            raise Misconfigured("MUNINN_ACCESS_TLS_KEY is set: set MUNINN_ACCESS_TLS_CERTIFICATE too")
        return None
    server_context(settings)
    return certificate, settings.access.tls_key or certificate


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """What a server encrypts with, TLS 1.2 and newer; None where TLS is not asked for."""
    certificate, key = settings.access.tls_certificate, settings.access.tls_key
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(
            f"MUNINN_ACCESS_TLS_CERTIFICATE ({certificate}) and MUNINN_ACCESS_TLS_KEY ({key or certificate}) cannot be "
            f"used: {error.strerror or error}"
        ) from error
    return context
