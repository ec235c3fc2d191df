"""Tokens in the store: made, listed, revoked; the key that tickets are signed with.

Belongs here: the rows. Does not: what a token may do (guard).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from muninn.errors import Invalid
from muninn.guard.tokens import Token, check_name, check_scopes, digest_of, make_secret
from muninn.model.window import as_us
from muninn.store.database import Database

_TICKETS = "stream tickets"


@dataclass(frozen=True)
class Kept:
    """A token with the time it was made."""

    token: Token
    created_at: datetime


class StoredTokens:
    """The tokens of a database: a guard's TokenSource, and what `muninn token` does. Unavailable when it is away."""

    def __init__(self, database: Database):
        self._database = database

    def tokens(self) -> Sequence[Token]:
        """Every token that is not revoked."""
        return [kept.token for kept in self.listed()]

    def listed(self) -> Sequence[Kept]:
        """The same with the time each was made, by name."""
        return [
            Kept(
                Token(
                    row.token_id,
                    row.name,
                    bytes(row.digest),
                    frozenset(row.scopes),
                    row.samples_per_s,
                    row.requests_per_s,
                    None if row.expires_at is None else as_us(row.expires_at),
                ),
                row.created_at,
            )
            for row in self._database.fetch("store_tokens")
        ]

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        samples_per_s: float | None = None,
        requests_per_s: float | None = None,
        expires_at: datetime | None = None,
    ) -> str:
        """Make a token and return its secret, which is kept nowhere; Invalid where the name is taken or no name."""
        secret = make_secret()
        made = self._database.fetch(
            "store_token_create",
            name=check_name(name),
            digest=digest_of(secret),
            scopes=sorted(check_scopes(scopes)),
            samples_per_s=samples_per_s,
            requests_per_s=requests_per_s,
            expires_at=expires_at,
        )
        if not made:
            raise Invalid(f"there is a token {name!r} already: revoke it first, or choose another name", "name")
        return secret

    def revoke(self, name: str) -> None:
        """End a token; Invalid where there is none of that name."""
        if not self._database.fetch("store_token_revoke", name=name):
            raise Invalid(f"there is no token {name!r}: `muninn token list` shows them", "name")

    def signing_key(self) -> bytes:
        """What tickets are signed with; made when first asked for."""
        found = self._database.fetch("store_signing_key", purpose=_TICKETS)
        if not found:
            self._database.execute("store_keep_signing_key", purpose=_TICKETS, key=secrets.token_bytes(32))
            found = self._database.fetch("store_signing_key", purpose=_TICKETS)
        return bytes(found[0].key)
