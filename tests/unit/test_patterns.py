"""Patterns that come from outside: what they match, what they may cost, what is refused and why."""

import pytest

from muninn import patterns
from muninn.errors import Invalid


@pytest.mark.parametrize(
    ("pattern", "text", "whole"),
    [
        ("web-[0-9]+", "web-12", True),
        ("web", "web-12", False),
        ("a|ab", "ab", True),
        ("", "", True),
        (".*", "a\nb", False),
        ("(?s).*", "a\nb", True),
        (r"\pL+", "Übung", True),
        ("a{2,3}", "aaaa", False),
        ("x", "\ud800", False),
    ],
)
def test_a_pattern_is_of_the_whole_text(pattern: str, text: str, whole: bool) -> None:
    patterns.check(pattern)
    assert patterns.matches(pattern, text) is whole


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("a{1000}", 1000),
        ("(?:ab){500}", 1000),
        ("(?:a{10}b){90}", 990),
        (r"\(a{900}\)", 902),
        (r"[{9999}]{30}", 30),
        (r"[]a]{30}[^]a]{30}[[:alpha:]]{30}", 90),
        (r"\Qa(b{3000}\E{20}", 28),
        (r"\p{Greek}{50}\x{41}{50}", 100),
        ("(?P<name>a?){300}(?i:b){300}(?<other>c){300}", 900),
        ("a{,3000}", 8),
        ("a{20,}", 21),
        ("((a|b){3}|c){10}", 70),
    ],
)
def test_how_long_a_pattern_is_once_it_is_written_out(pattern: str, parts: int) -> None:
    """What is allowed has so many parts, counted here by hand; one repetition more of it all is refused."""
    patterns.check(pattern)
    times = patterns.MAX_PARTS // parts + 1
    with pytest.raises(Invalid, match=f"{times * parts} parts, at most 1000"):
        patterns.check(f"(?:{pattern}){{{times}}}")


@pytest.mark.parametrize("pattern", ["a{0,1000}" * 50, "(?:(a?)|(b?)|(c?)){1000}" * 20, "(?:a?b?){1000}"])
def test_a_pattern_that_would_take_seconds_a_text_is_refused_at_once(pattern: str) -> None:
    with pytest.raises(Invalid, match="count to less, or use"):
        patterns.check(pattern)


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|a)*", "(.*a){12}", "a{0,1000}", "(?:a?b?){500}"])
def test_what_is_allowed_ends_however_it_is_nested(pattern: str) -> None:
    patterns.check(pattern)
    assert not patterns.matches(pattern, "a" * 1023 + "!")


@pytest.mark.parametrize("pattern", ["(", "a)(b", "a(?=b)", r"(a)\1", "x{2000}", "[", "\ud800", "a" * 501, "*"])
def test_what_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(Invalid):
        patterns.check(pattern)


def test_a_rewrite_takes_groups_by_their_number() -> None:
    assert patterns.rewritten("legacy_(.*)_(.)", "legacy_cpu_x", r"\2_\1") == "x_cpu"
    assert patterns.rewritten("legacy_(.*)", "modern_cpu", r"\1") is None
    patterns.check_rewrite("legacy_(.*)", r"\1")
    for to in (r"\2", r"\g<1>", "\\"):
        with pytest.raises(Invalid, match="does not go with"):
            patterns.check_rewrite("legacy_(.*)", to)


def test_many_texts_are_matched_at_once_within_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_kept", {})
    texts = ["web1", "web2", "db1", "web1", "x" * 70_000, "web3"]
    found = patterns.matching("web[12]", texts)
    assert found == {"web1": True, "web2": True, "db1": False, "x" * 70_000: False, "web3": False}
    now = iter([0.0, 1.0, 2.0, 99.0])
    budget = patterns.Budget(5.0, lambda: next(now))
    for pattern in ("a", "b"):
        patterns.matching(pattern, ["text"], budget)
    with pytest.raises(Invalid, match="take more than 5 s"):
        patterns.matching("c", ["text"], budget)
    patterns.matching("a", ["text"], budget)  # what is known costs nothing


def test_what_is_kept_of_answers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_kept", {})
    monkeypatch.setattr(patterns, "_MAX_KEPT", 10)
    for start in range(0, 40, 4):
        patterns.matching("1.*", [str(number) for number in range(start, start + 4)])
    assert len(patterns._kept) <= 10
    assert patterns.matches("1.*", "17")
