"""What `muninn token` does: tokens made, listed and revoked in the store.

Belongs here: words and tables. Does not: tokens themselves (guard), their rows (store.tokens).
"""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from rich.table import Table

from muninn.clock import SystemClock
from muninn.guard.tokens import check_name, check_scopes
from muninn.model.window import as_datetime
from muninn.reads.times import parse_span_us
from muninn.run.paper import paper
from muninn.run.store import opened
from muninn.settings import Settings
from muninn.store.tokens import Kept, StoredTokens


def create(
    settings: Settings,
    name: str,
    scopes: Sequence[str],
    samples_per_s: float | None,
    requests_per_s: float | None,
    expires: str | None,
    as_json: bool,
) -> None:
    """Make a token; its secret goes to standard output, what to do with it to standard error."""
    check_name(name)
    chosen = sorted(check_scopes(scopes))
    expires_at = _expiry(expires)
    with opened(settings) as database:
        secret = StoredTokens(database).create(
            name, chosen, samples_per_s=samples_per_s, requests_per_s=requests_per_s, expires_at=expires_at
        )
    if as_json:
        print(orjson.dumps({"name": name, "scopes": chosen, "token": secret}).decode())
        return
    print(secret)
    print(
        f"That is the token {name!r} ({', '.join(chosen)}); keep it, it is not shown again. "
        "Send it as `Authorization: Bearer TOKEN`; docs/access.md says how each client does.",
        file=sys.stderr,
    )


def show(settings: Settings, as_json: bool) -> None:
    """Print the tokens that are not revoked."""
    with opened(settings) as database:
        listed = StoredTokens(database).listed()
    if as_json:
        print(orjson.dumps([_plain(kept) for kept in listed], option=orjson.OPT_INDENT_2).decode())
        return
    if not listed:
        print("There is no token: `muninn token create NAME --scope ingest` makes one.")
        return
    table = Table("name", "scopes", "samples/s", "requests/s", "made", "ends")
    for kept in listed:
        row = _plain(kept)
        shown = ["" if row[part] is None else f"{row[part]:g}" for part in ("samples_per_s", "requests_per_s")]
        table.add_row(kept.token.name, ", ".join(row["scopes"]), *shown, row["created_at"][:16], _end(kept))
    paper().print(table)


def revoke(settings: Settings, name: str) -> None:
    """End a token."""
    with opened(settings) as database:
        StoredTokens(database).revoke(name)
    print(f"Revoked {name!r}: within {settings.access.refresh_s:g} s it is refused everywhere.")


def _expiry(text: str | None) -> datetime | None:
    if text is None:
        return None
    return as_datetime(SystemClock().now_us() + parse_span_us(text, "expires"))


def _plain(kept: Kept) -> dict[str, Any]:
    token = kept.token
    return {
        "name": token.name,
        "scopes": sorted(token.scopes),
        "samples_per_s": token.samples_per_s,
        "requests_per_s": token.requests_per_s,
        "created_at": kept.created_at.isoformat(timespec="seconds"),
        "expires_at": None if token.expires_us is None else as_datetime(token.expires_us).isoformat(timespec="seconds"),
    }


def _end(kept: Kept) -> str:
    expires_us = kept.token.expires_us
    if expires_us is None:
        return "never"
    ended = " (over)" if expires_us <= SystemClock().now_us() else ""
    return as_datetime(expires_us).isoformat(timespec="minutes")[:16] + ended
