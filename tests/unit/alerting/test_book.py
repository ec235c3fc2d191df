"""Rules files: what is taken, and what is said of what is not: file, entry, field."""

from typing import Any

import pytest

from muninn.alerting.book import load, parse, rule_of
from muninn.errors import Invalid, Misconfigured

GOOD = """
rules:
  - {name: a, metric: m, levels: [{severity: warning, above: 5, recover: 4, for: 1m30s}]}
receivers:
  - {name: hook, type: webhook, url: "http://x", secret: {env: A_SECRET}}
routes:
  - {receivers: [hook]}
maintenance:
  - {name: night, at: 02:30, duration: 1h}
"""


def test_a_file_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "shh")
    book = load([("own.yaml", GOOD)])
    assert book.rules[0].levels[0].hold_s == 90.0
    assert book.receiver("hook").secret.get_secret_value() == "shh"  # type: ignore[union-attr]
    assert "shh" not in repr(book)
    assert book.maintenance[0].at.isoformat() == "02:30:00"
    assert rule_of(book.rules[0].plain()) == book.rules[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [{name: a, levels: [{severity: warning, above: 1}]}]", "f: rules[0] a: metric: which metric"),
        ("rules: [{name: a, metric: m, levels: []}]", "f: rules[0] a: levels: "),
        ("rules: [{name: a, metric: m, levels: [{severity: bad, above: 1}]}]", "f: rules[0] a: levels.0.severity: "),
        (
            "rules: [{name: a, metric: m, levels: [{severity: info, above: 1, for: soon}]}]",
            "levels.0.for: 'soon' is no",
        ),
        ("rules: [{name: a, metric: m, levels: [{severity: info, above: 1, recover: 2}]}]", "recover must lie"),
        ("rules: [{name: a, metric: m, windw: 5m, levels: [{severity: info, above: 1}]}]", "a: windw: "),
        ("rules: [{name: a, metric: m, window: 2h, levels: [{severity: info, above: 1}]}]", "window: at most 900"),
        ("rules: [{name: a, metric: m, match: {x: '=~('}, levels: [{severity: info, above: 1}]}]", "a: match: "),
        ("rules: [{name: a, kind: slo, metric: m, levels: [{severity: info, above: 1}]}]", "a: objective: "),
        ("rules:\n  - {name: a\n", "f: line "),
        ("maintenance: [{name: n, at: '02:00', duration: 1h, since: 2026-02-30}]", "f: not YAML: day is out of range"),
        ("rules: " + "[" * 5000, "f: not YAML: nested too deeply"),
        ("rules: &a [*a]", "f: rules[0]: Input should be a valid dictionary"),
        ("rules: [{name: a, metric: m, match: [x], levels: [{severity: info, above: 1}]}]", "a: match: a match is a"),
        ("routes: [{receivers: [], match: {x: []}}]", "routes[0]: match: x: a text such as"),
        ("rulez: []", "f: rulez: not known here"),
        ("receivers: [{name: a, type: pigeon}]", "f: receivers[0] a: type: is one of webhook"),
        ("receivers: [{name: a, type: slack, url: {env: NOT_THERE}}]", "url: the environment has no NOT_THERE"),
        ("routes: [{receivers: [nobody]}]", "there is no receiver 'nobody'"),
        ("maintenance: [{name: n, at: '02:00', duration: 1h, timezone: Mars}]", "timezone: 'Mars' is no time zone"),
    ],
)
def test_a_fault_names_file_entry_and_field(text: str, said: str) -> None:
    with pytest.raises(Misconfigured) as error:
        load([("f", text)])
    assert said in str(error.value)


def test_one_bad_rule_does_not_silence_the_others() -> None:
    good = "{name: b, metric: m, levels: [{severity: info, above: 1}]}"
    book, faults = parse([("f", f"rules: [{{name: a}}, {good}]")])
    assert [rule.name for rule in book.rules] == ["b"]
    assert faults


def test_a_later_file_replaces_a_rule() -> None:
    rule = "rules: [{name: a, metric: %s, levels: [{severity: info, above: 1}]}]"
    book = load([("first", rule % "m"), ("second", rule % "n")])
    assert [each.metric for each in book.rules] == ["n"]
    assert book.sources == {"a": "second"}


@pytest.mark.parametrize("given", [None, [], {"name": "A b"}, {"name": "a", "metric": "m", "levels": 5}])
def test_a_rule_of_the_api_that_is_none(given: Any) -> None:
    with pytest.raises(Invalid):
        rule_of(given)


def test_faults_are_said_in_words_of_a_rules_file_and_once() -> None:
    text = """
rules:
  - {name: a, metric: m, levels: [{severity: info, above: 1, recover: 2}]}
  - {name: b, metric: m, expr: up, by: host, levels: [{severity: info, above: 1}]}
  - {name: c, kind: anomaly, metric: m, levels: [{severity: info, above: 60}]}
  - {name: d, metric: m, summary: "{{ $value | humanize }}", levels: [{severity: info, above: 1}]}
routes: [{receiver: x}]
"""
    faults = [(fault.field, fault.problem) for fault in parse([("f", text)])[1]]
    assert [field for field, _ in faults] == [
        "levels.0", "by", "expr", "levels", "summary", "receivers", "receiver",
    ]  # fmt: skip
    said = dict(faults)
    assert said["by"] == "must be a list"
    assert said["expr"].startswith("not known here; known are name, kind, metric, match, by,")
    assert said["levels"] == "a score is from 0 to 1; 0.6 is a warning, 0.8 an anomaly"
    assert "functions are not known" in said["summary"]
    assert (said["receivers"], said["receiver"][:14]) == ("is missing", "not known here")
