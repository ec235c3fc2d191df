"""The verdict over a request: let in, and as whom; or the refusal.

Belongs here: the rule, the same for every listener. Does not: HTTP answers (operations), WebSocket frames (stream).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from muninn.clock import Clock, SystemClock
from muninn.guard import origin, peers, tickets
from muninn.guard.roll import Caller, Roll
from muninn.guard.tokens import Scope


@dataclass(frozen=True)
class Policy:
    """What a listener asks for.

    required: requests from other machines need a token. trust_loopback: programs of this machine do not.
    origins: of pages that may ask, besides loopback's.
    """

    required: bool = True
    trust_loopback: bool = True
    origins: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Refusal:
    """Why a request is not let in. `reason` is a word for counting."""

    status: Literal[401, 403, 429, 503]
    reason: str
    detail: str
    retry_after_s: float | None = None


MISSING = (
    "a token is needed: send it as `Authorization: Bearer TOKEN`, or as the password of Basic authentication; "
    "`muninn token create NAME --scope {scope}` makes one"
)
UNKNOWN = "this token is not known: it was revoked, has expired, or was never made here"


class Judge:
    """Judges requests by one policy; safe for many threads."""

    def __init__(self, policy: Policy, roll: Roll, clock: Clock | None = None):
        self.policy, self._roll, self._clock = policy, roll, clock or SystemClock()

    def judge(self, scope: Scope, peer: str | None, headers: Mapping[str, str]) -> Caller | Refusal | None:
        """The caller, None for one who needs no token, or the refusal. headers: names in lower case.

        A token that is sent is always checked, also where none is needed: a slip shows at once.
        """
        authorization = headers.get("authorization")
        secret = peers.secret_in(authorization)
        if secret is None:
            return self._anonymous(scope, peer, headers, authorization)
        caller = self._roll.find(secret)
        if caller is None:
            return self._unknown()
        return self._allowed(caller, scope)

    def ticket(self, text: str) -> int | Refusal:
        """The id of the token behind a ticket or a secret that may read (0: nobody's), or the refusal."""
        if not self._roll.known:
            return self._unknown()
        if not text.startswith(tickets.PREFIX):
            caller = self._roll.find(text)
            verdict = self._unknown() if caller is None else self._allowed(caller, "read")
            return verdict if isinstance(verdict, Refusal) else verdict.token.token_id
        token_id = tickets.read(self._roll.key, text, self._clock.now_us())
        if token_id is None or not self.still(token_id):
            return Refusal(401, "ticket", "this ticket is over: ask the dashboard for another")
        if token_id and not self._roll.holds(token_id, "read"):
            name = self._roll.name_of(token_id)
            return Refusal(403, "scope", f"this needs the scope read; token {name!r} behind the ticket has it not")
        return token_id

    def still(self, token_id: int) -> bool:
        """Whether who came in with this token may stay."""
        return token_id == 0 or self._roll.valid(token_id)

    def _anonymous(
        self, scope: Scope, peer: str | None, headers: Mapping[str, str], authorization: str | None
    ) -> Refusal | None:
        page = headers.get("origin")
        if not origin.allowed(page, headers.get("host"), self.policy.origins):
            return Refusal(403, "origin", f"pages of {page} may not ask here")
        if not self.policy.required:
            return None
        if self.policy.trust_loopback and peers.is_this_machine(peer, headers):
            return None
        if authorization:
            return Refusal(401, "unreadable", "the Authorization header is not one of Bearer, Token and Basic")
        return Refusal(401, "missing", MISSING.format(scope=scope))

    def _unknown(self) -> Refusal:
        if not self._roll.known:
            detail = "the tokens are not known yet: the database has not answered since this program began"
            return Refusal(503, "not_known_yet", detail, 2.0)
        return Refusal(401, "unknown", UNKNOWN)

    def _allowed(self, caller: Caller, scope: Scope) -> Caller | Refusal:
        token = caller.token
        if not token.may(scope):
            has = ", ".join(sorted(token.scopes))
            return Refusal(403, "scope", f"this needs the scope {scope}; token {token.name!r} has {has}")
        wait_s = caller.wait_s()
        if wait_s:
            return Refusal(429, "rate", f"token {token.name!r} is over its rate", wait_s)
        return caller
