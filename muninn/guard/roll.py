"""The tokens that this process knows: all of them in memory, renewed every few seconds.

Belongs here: looking a secret up at no cost, and what stays known while the store is away. Does not: the store.
"""

import hmac
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from muninn.clock import Clock, SystemClock
from muninn.errors import MuninnError, Unavailable
from muninn.guard.rates import Bucket
from muninn.guard.tokens import Scope, Token, digest_of

log = logging.getLogger(__name__)


class TokenSource(Protocol):
    """Where tokens are kept. Methods raise Unavailable when it is away."""

    def tokens(self) -> Sequence[Token]:
        """Every token that is not revoked."""
        ...

    def signing_key(self) -> bytes:
        """What tickets are signed with; the same for all processes."""
        ...


@dataclass(frozen=True)
class Caller:
    """Who makes a request: a token's holder, and the rates that all its requests share."""

    token: Token
    requests: Bucket | None = None
    samples: Bucket | None = None

    def wait_s(self) -> float:
        """Seconds to wait before the next request; counts one where that is now."""
        wait = max((bucket.wait_s() for bucket in (self.requests, self.samples) if bucket is not None), default=0.0)
        if not wait and self.requests is not None:
            self.requests.take(1)
        return wait

    def spend(self, samples: int) -> None:
        """Count the samples of a request that was read."""
        if self.samples is not None:
            self.samples.take(samples)


class Roll:
    """Tokens by digest; safe for many threads. What was read last stays valid while the source is away."""

    def __init__(self, source: TokenSource, *, clock: Clock | None = None, refresh_s: float = 2.0):
        self._source, self._clock, self._refresh_s = source, clock or SystemClock(), refresh_s
        self._callers: dict[bytes, Caller] = {}
        self._by_id: dict[int, Token] = {}
        self._key: bytes | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def known(self) -> bool:
        """Whether the tokens were read at least once."""
        return self._key is not None

    @property
    def key(self) -> bytes:
        """What tickets are signed with; Unavailable before it was read."""
        if self._key is None:
            raise Unavailable("the tokens are not known yet: the database has not answered since this program began")
        return self._key

    def refresh(self) -> None:
        """Read all tokens anew; Unavailable when the source is away: then what is known stays."""
        key = self._source.signing_key() if self._key is None else self._key
        callers = {}
        for token in self._source.tokens():
            before = self._callers.get(token.digest)
            callers[token.digest] = before if before is not None and before.token == token else self._caller(token)
        self._callers, self._key = callers, key
        self._by_id = {caller.token.token_id: caller.token for caller in callers.values()}

    def find(self, secret: str) -> Caller | None:
        """Whose secret this is; None where it is nobody's, was revoked or has expired."""
        digest = digest_of(secret)
        caller = self._callers.get(digest)
        if caller is None or not hmac.compare_digest(caller.token.digest, digest):
            return None
        return caller if self._lives(caller.token) else None

    def valid(self, token_id: int) -> bool:
        """Whether the token of this id is still there and has not expired."""
        token = self._by_id.get(token_id)
        return token is not None and self._lives(token)

    def holds(self, token_id: int, scope: Scope) -> bool:
        """Whether the token of this id lives and has this scope."""
        token = self._by_id.get(token_id)
        return token is not None and self._lives(token) and token.may(scope)

    def name_of(self, token_id: int) -> str:
        """The name of the token of this id; empty where there is none."""
        token = self._by_id.get(token_id)
        return token.name if token is not None else ""

    def may(self, scope: Scope) -> bool:
        """Whether any token has this scope, or may do everything."""
        return any(token.may(scope) and self._lives(token) for token in self._by_id.values())

    def start(self) -> "Roll":
        """Read now, and then every few seconds in a thread of its own, until close()."""
        self._try()
        self._thread = threading.Thread(target=self._run, name="tokens", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _run(self) -> None:
        while not self._clock.wait(self._refresh_s, self._stop):
            self._try()

    def _try(self) -> None:
        try:
            self.refresh()
        except MuninnError as error:
            log.debug("the tokens are not renewed: %s", error)
        except Exception:
            log.exception("the tokens are not renewed")

    def _lives(self, token: Token) -> bool:
        return token.expires_us is None or token.expires_us > self._clock.now_us()

    def _caller(self, token: Token) -> Caller:
        def bucket(per_s: float | None) -> Bucket | None:
            return None if per_s is None else Bucket(per_s, self._clock)

        return Caller(token, bucket(token.requests_per_s), bucket(token.samples_per_s))
