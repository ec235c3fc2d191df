"""The gateway's doorkeeper: an ASGI layer before every route, and the way from settings to a judge.

Belongs here: which scope a path needs, refusals as HTTP answers. Does not: the verdict (guard), routes.
"""

import math
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from muninn.clock import Clock
from muninn.guard import tokens as kinds
from muninn.guard.judge import Judge, Policy, Refusal
from muninn.guard.origin import parse_origins
from muninn.guard.roll import Roll
from muninn.ingest.callers import CALLER
from muninn.ingest.problem import problem
from muninn.meter import Meter
from muninn.settings import Settings
from muninn.store.database import Database
from muninn.store.tokens import StoredTokens

# Asked by load balancers, which have no token; they tell nothing but whether it works.
_OPEN_PATHS = frozenset(("/healthz", "/readyz"))
_CHALLENGE = 'Bearer realm="muninn", Basic realm="muninn"'


class Doorkeeper:
    """Lets a request through to `app`, with who asks under scope["state"], or answers why not."""

    def __init__(self, app: ASGIApp, judge: Judge, ingest_paths: frozenset[str], meter: Meter):
        self._app, self._judge, self._ingest, self._meter = app, judge, ingest_paths, meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["path"] in _OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        headers = headers_of(scope)
        peer = scope["client"][0] if scope.get("client") else None
        found = self._judge.judge(self.needed(scope["method"], scope["path"]), peer, headers)
        if isinstance(found, Refusal):
            self._meter.count("muninn_access_refused_total", reason=found.reason)
            await refusal(found)(scope, receive, send)
            return
        if found is not None:
            self._meter.count("muninn_token_requests_total", token=found.token.name)
            scope.setdefault("state", {})[CALLER] = found
        await self._app(scope, receive, send)

    def needed(self, method: str, path: str) -> kinds.Scope:
        """The scope that a request needs: to send samples, to read, or to change anything else."""
        return scope_of(self._ingest, method, path)


def needed_of(ingest_paths: frozenset[str], method: str, path: str) -> kinds.Scope | None:
    """The same; None where everybody is answered."""
    return None if path in _OPEN_PATHS else scope_of(ingest_paths, method, path)


def scope_of(ingest_paths: frozenset[str], method: str, path: str) -> kinds.Scope:
    """What a token must be good for."""
    if path in ingest_paths and method == "POST":
        return "ingest"
    return "read" if method in ("GET", "HEAD", "OPTIONS") else "admin"


def headers_of(scope: Scope) -> Mapping[str, str]:
    """The headers by name in lower case; of one that is there twice, the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def refusal(found: Refusal) -> ASGIApp:
    """The answer that a refusal stands for."""
    headers = {"WWW-Authenticate": _CHALLENGE} if found.status == 401 else {}
    if found.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(found.retry_after_s)))
    return problem(found.status, found.detail, headers)


def policy(settings: Settings, listener: str) -> Policy:
    """What a listener (gateway, sidecar or streamlit) asks of those who come."""
    return Policy(
        required=listener not in settings.access.opened,
        trust_loopback=settings.access.loopback == "open",
        origins=parse_origins(settings.sidecar.origins),
    )


def roll(settings: Settings, clock: Clock) -> tuple[Roll, Database]:
    """The tokens of the settings' database, and the connection to close after them."""
    database = Database(
        settings.require_database_url(),
        pool_size=1,
        statement_timeout_s=5.0,
        connect_timeout_s=2.0,
        hang_s=1.0,
        application_name="muninn-tokens",
    ).open()
    return Roll(StoredTokens(database), clock=clock, refresh_s=settings.access.refresh_s), database
