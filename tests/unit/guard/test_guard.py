"""Who is let in: tokens, scopes, rates, peers, tickets."""

import base64
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import SECOND_US, ManualClock
from muninn.errors import Invalid, Unavailable
from muninn.guard import peers, tickets
from muninn.guard.judge import Judge, Policy, Refusal
from muninn.guard.rates import Bucket
from muninn.guard.roll import Caller, Roll
from muninn.guard.tokens import Token, check_name, check_scopes, digest_of, make_secret

KEY = b"k" * 32
HOST = {"host": "127.0.0.1:8480"}


class Source:
    """Tokens in memory, which may be away."""

    def __init__(self, *tokens: Token):
        self.kept = list(tokens)
        self.away = False

    def tokens(self) -> Sequence[Token]:
        if self.away:
            raise Unavailable("the database is away")
        return list(self.kept)

    def signing_key(self) -> bytes:
        if self.away:
            raise Unavailable("the database is away")
        return KEY


def token(secret: str, *scopes: str, number: int = 1, **more: float) -> Token:
    return Token(number, f"t{number}", digest_of(secret), frozenset(scopes), **more)  # type: ignore[arg-type]


def judge_of(source: Source, clock: ManualClock | None = None, **policy: bool) -> tuple[Judge, Roll]:
    roll = Roll(source, clock=clock or ManualClock())
    if not source.away:
        roll.refresh()
    return Judge(Policy(**policy), roll, clock or ManualClock()), roll


def bearer(secret: str) -> dict[str, str]:
    return {**HOST, "authorization": f"Bearer {secret}"}


def status(verdict: object) -> int:
    return verdict.status if isinstance(verdict, Refusal) else 200


def test_a_secret_is_long_and_its_digest_tells_nothing_of_it() -> None:
    first, second = make_secret(), make_secret()
    assert first != second
    assert len(first) >= 43
    assert digest_of(first) == digest_of(first) != digest_of(second)
    assert len(digest_of(first)) == 32


def test_a_scope_lets_do_what_it_names_and_admin_everything() -> None:
    judge, _ = judge_of(Source(token("a", "ingest"), token("b", "admin", number=2)))
    assert isinstance(judge.judge("ingest", "10.0.0.9", bearer("a")), Caller)
    assert status(judge.judge("read", "10.0.0.9", bearer("a"))) == 403
    assert isinstance(judge.judge("read", "10.0.0.9", bearer("b")), Caller)


def test_without_a_token_only_this_machine_is_let_in() -> None:
    judge, _ = judge_of(Source())
    assert judge.judge("ingest", "127.0.0.1", HOST) is None
    assert judge.judge("ingest", None, HOST) is None  # a Unix socket
    refused = judge.judge("ingest", "10.0.0.9", HOST)
    assert status(refused) == 401
    assert "muninn token create NAME --scope ingest" in refused.detail  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "headers",
    [
        {**HOST, "x-forwarded-for": "127.0.0.1"},
        {**HOST, "forwarded": "for=127.0.0.1"},
        {"host": "rebound.example:8480"},
    ],
)
def test_a_proxy_or_a_foreign_name_is_not_this_machine(headers: dict[str, str]) -> None:
    judge, _ = judge_of(Source())
    assert status(judge.judge("read", "127.0.0.1", headers)) == 401


def test_a_page_from_elsewhere_is_not_let_in_without_a_token() -> None:
    judge, _ = judge_of(Source(), required=False)
    assert status(judge.judge("ingest", "127.0.0.1", {**HOST, "origin": "https://evil.example"})) == 403
    assert judge.judge("ingest", "127.0.0.1", {**HOST, "origin": "http://localhost:8501"}) is None


def test_this_machine_can_be_asked_too() -> None:
    judge, _ = judge_of(Source(token("a", "read")), trust_loopback=False)
    assert status(judge.judge("read", "127.0.0.1", HOST)) == 401
    assert isinstance(judge.judge("read", "127.0.0.1", bearer("a")), Caller)


def test_a_wrong_token_is_refused_also_where_none_is_needed() -> None:
    judge, _ = judge_of(Source(token("a", "read")))
    assert status(judge.judge("read", "127.0.0.1", bearer("b"))) == 401


def test_revoked_is_refused_and_what_is_known_outlasts_the_database() -> None:
    source = Source(token("a", "ingest"))
    judge, roll = judge_of(source)
    source.away = True
    with pytest.raises(Unavailable):
        roll.refresh()
    assert isinstance(judge.judge("ingest", "10.0.0.9", bearer("a")), Caller)
    source.away, source.kept = False, []
    roll.refresh()
    assert status(judge.judge("ingest", "10.0.0.9", bearer("a"))) == 401


def test_before_the_tokens_are_known_the_answer_is_try_again() -> None:
    source = Source(token("a", "ingest"))
    source.away = True
    judge, _ = judge_of(source)
    assert status(judge.judge("ingest", "10.0.0.9", bearer("a"))) == 503


def test_a_token_ends_at_its_time() -> None:
    clock = ManualClock()
    ends = clock.now_us() + 10 * SECOND_US
    judge, roll = judge_of(Source(token("a", "read", expires_us=ends)), clock)
    assert isinstance(judge.judge("read", "10.0.0.9", bearer("a")), Caller)
    assert roll.may("read")
    clock.advance(10)
    assert status(judge.judge("read", "10.0.0.9", bearer("a"))) == 401
    assert not roll.may("read")
    assert not roll.valid(1)


def test_rates_are_a_tokens_own_and_a_refresh_keeps_the_debt() -> None:
    clock = ManualClock()
    source = Source(token("a", "ingest", samples_per_s=100.0), token("b", "ingest", number=2))
    judge, roll = judge_of(source, clock)
    first = judge.judge("ingest", "10.0.0.9", bearer("a"))
    assert isinstance(first, Caller)
    first.spend(1_200)
    roll.refresh()
    refused = judge.judge("ingest", "10.0.0.9", bearer("a"))
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.retry_after_s) == (429, pytest.approx(10.01))
    assert isinstance(judge.judge("ingest", "10.0.0.9", bearer("b")), Caller)
    clock.advance(10.02)
    assert isinstance(judge.judge("ingest", "10.0.0.9", bearer("a")), Caller)


@given(
    st.floats(0.1, 1e6),
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1e5)), max_size=30),
)
def test_a_bucket_gives_no_more_than_its_rate_and_one_burst(per_s: float, steps: list[tuple[float, float]]) -> None:
    clock = ManualClock()
    bucket = Bucket(per_s, clock)
    started, taken, last = clock.monotonic(), 0.0, 0.0
    for pause, units in steps:
        clock.advance(pause)
        if bucket.wait_s() == 0.0:
            bucket.take(units)
            taken, last = taken + units, units
    most = max(1.0, per_s * 2) + (clock.monotonic() - started) * per_s
    assert taken - last <= most + 1e-6 * most


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Token abc", "abc"),
        ("Basic " + base64.b64encode(b"user:abc").decode(), "abc"),
        ("Basic " + base64.b64encode(b"abc:").decode(), "abc"),
        ("Basic !!", None),
        ("Digest abc", None),
        ("Bearer", None),
        ("", None),
        (None, None),
    ],
)
def test_credentials_are_found_as_clients_send_them(header: str | None, secret: str | None) -> None:
    assert peers.secret_in(header) == secret


@given(st.text(max_size=80))
def test_no_header_breaks_the_reading(text: str) -> None:
    peers.secret_in(text)
    peers.is_this_machine("127.0.0.1", {"host": text})
    assert tickets.read(KEY, text, 0) is None


def test_a_ticket_is_good_until_its_time_and_for_its_key_alone() -> None:
    ticket = tickets.issue(KEY, 7, 1_000)
    assert tickets.read(KEY, ticket, 999) == 7
    assert tickets.read(KEY, ticket, 1_000) is None
    assert tickets.read(b"x" * 32, ticket, 0) is None
    assert tickets.read(KEY, ticket[:-2] + "AA", 0) is None


def test_a_ticket_falls_with_the_token_behind_it() -> None:
    clock = ManualClock()
    source = Source(token("a", "read", number=7), token("b", "ingest", number=8))
    judge, roll = judge_of(source, clock)
    until = clock.now_us() + SECOND_US
    assert judge.ticket(tickets.issue(KEY, 7, until)) == 7
    assert judge.ticket(tickets.issue(KEY, 0, until)) == 0
    assert judge.ticket("a") == 7
    assert status(judge.ticket("b")) == 403
    assert status(judge.ticket(tickets.issue(KEY, 9, until))) == 401
    source.kept = []
    roll.refresh()
    assert status(judge.ticket(tickets.issue(KEY, 7, until))) == 401
    assert not judge.still(7)
    assert judge.still(0)


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 65, "a/b"])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        check_name(name)


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "root"]])
def test_unknown_scopes_are_refused(scopes: list[str]) -> None:
    with pytest.raises(Invalid, match="ingest, read, admin"):
        check_scopes(scopes)
