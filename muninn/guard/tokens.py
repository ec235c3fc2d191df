"""A token: what its holder may do, and the digest that it is known by.

Belongs here: making, naming and matching tokens. Does not: where they lie (store), HTTP.

A secret has 256 random bits, so that one SHA-256 keeps it as safe as a slow hash would: there is nothing to guess.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from muninn.errors import Invalid

Scope = Literal["ingest", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
# So that a secret that was leaked is recognised for what it is, by people and by scanners.
PREFIX = "muninn_"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}")


@dataclass(frozen=True)
class Token:
    """One token as it is kept: without its secret.

    samples_per_s, requests_per_s: None where there is no limit. expires_us: None: never.
    """

    token_id: int
    name: str
    digest: bytes
    scopes: frozenset[str]
    samples_per_s: float | None = None
    requests_per_s: float | None = None
    expires_us: int | None = None

    def may(self, scope: Scope) -> bool:
        """Whether its holder may do what `scope` names; admin may do everything."""
        return scope in self.scopes or "admin" in self.scopes


def make_secret() -> str:
    """A new secret, to be shown once."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> bytes:
    """What a secret is kept and found by."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def check_name(name: str) -> str:
    """The name; Invalid where it is none."""
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{name[:70]!r} is no name of a token: 1 to 64 letters, digits, dots, dashes and underscores", "name"
        )
    return name


def check_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """The scopes; Invalid names one that is unknown, or says that there is none."""
    chosen = frozenset(scopes)
    unknown = sorted(chosen - set(SCOPES))
    if unknown or not chosen:
        said = f"{unknown[0]!r} is no scope" if unknown else "no scope is given"
        raise Invalid(f"{said}: choose from {', '.join(SCOPES)}", "scope")
    return chosen
