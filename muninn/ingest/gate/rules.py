"""Rules at the door, from a TOML file: which series are left out, how they are renamed, what their own limits are.

Belongs here: reading and checking the file, what a rule does to one series. Does not: remembering it (gate).

    [[rule]]                      # in order; each sees what the one before has left
    name = "no debug metrics"
    action = "drop"               # drop, keep, rename, drop_label
    metric = "debug_*"            # a pattern with * and ?, or /a regular expression (RE2)/
    labels = { env = "dev" }      # all of them must match; a missing label is empty
    source = "agent-*"

    [[limit]]                     # the first that matches counts, before the settings
    metric = "http_*"             # or: source = "agent-*"
    series = 5000
    new_per_hour = 1000
"""

import fnmatch
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from muninn import patterns
from muninn.errors import Invalid, Misconfigured
from muninn.ingest.validate import MAX_LABEL_NAME_BYTES, MAX_METRIC_CHARS, METRIC_NAME
from muninn.model import SeriesKey

ACTIONS = ("drop", "keep", "rename", "drop_label")
_RULE_FIELDS = {"name", "action", "metric", "labels", "source", "label", "to"}
_LIMIT_FIELDS = {"metric", "source", "series", "new_per_hour"}


class Pattern(Protocol):
    """A pattern over a whole text."""

    def matches(self, text: str) -> bool: ...
    def check_rewrite(self, to: str) -> None: ...
    def rewritten(self, text: str, to: str) -> str: ...


class Glob:
    """With * and ?; by Python's own `re`, which such patterns make no trouble."""

    def __init__(self, text: str):
        self._fullmatch = re.compile(fnmatch.translate(text)).fullmatch

    def matches(self, text: str) -> bool:
        """Whether it matches."""
        return self._fullmatch(text) is not None

    def check_rewrite(self, to: str) -> None:
        """Invalid where `to` names a group: there are none."""
        if "\\" in to:
            raise Invalid(f"to: {to!r} does not go with this pattern: only one between slashes has groups")

    def rewritten(self, text: str, to: str) -> str:  # noqa: ARG002 - there are no groups of it to fill in
        """The new text of one that matches."""
        return to


@dataclass(frozen=True)
class Regex:
    """A regular expression, see muninn.patterns."""

    text: str

    def __post_init__(self) -> None:
        patterns.check(self.text)

    def matches(self, text: str) -> bool:
        """Whether it matches."""
        return patterns.matches(self.text, text)

    def check_rewrite(self, to: str) -> None:
        """Invalid where `to` names a group that there is not."""
        try:
            patterns.check_rewrite(self.text, to)
        except Invalid as error:
            raise Invalid(f"to: {error}") from None

    def rewritten(self, text: str, to: str) -> str:
        """The new text of one that matches: `to` with its groups filled in."""
        return patterns.rewritten(self.text, text, to) or ""


@dataclass(frozen=True)
class Match:
    """Which series a rule is about: patterns that must match as a whole."""

    metric: Pattern | None = None
    source: Pattern | None = None
    labels: tuple[tuple[str, Pattern], ...] = ()

    def __call__(self, key: SeriesKey) -> bool:
        if self.metric is not None and not self.metric.matches(key.metric):
            return False
        if self.source is not None and not self.source.matches(key.source_agent_id):
            return False
        if not self.labels:
            return True
        has = dict(key.labels)
        return all(pattern.matches(has.get(name, "")) for name, pattern in self.labels)


@dataclass(frozen=True)
class Rule:
    """One rule; `apply` gives the series as it goes on, or None where it is left out."""

    name: str
    action: str
    match: Match
    label: str = ""
    to: str = ""

    def apply(self, key: SeriesKey) -> SeriesKey | None:
        """What becomes of the series."""
        matches = self.match(key)
        if self.action == "keep":
            return key if matches else None
        if not matches:
            return key
        if self.action == "drop":
            return None
        if self.action == "drop_label":
            return replace_labels(key, {name: value for name, value in key.labels if name != self.label})
        return self._renamed(key)

    def _renamed(self, key: SeriesKey) -> SeriesKey | None:
        if self.label:
            return replace_labels(key, {self.to if name == self.label else name: value for name, value in key.labels})
        metric = self.match.metric.rewritten(key.metric, self.to) if self.match.metric else self.to
        return (
            replace(key, metric=metric) if METRIC_NAME.fullmatch(metric) and len(metric) <= MAX_METRIC_CHARS else None
        )


@dataclass(frozen=True)
class Limit:
    """What a file allows some metrics or sources; None: the setting counts."""

    of: str
    pattern: Pattern
    series: int | None
    new_per_hour: int | None


@dataclass(frozen=True)
class DoorRules:
    """A whole file."""

    rules: tuple[Rule, ...] = ()
    limits: tuple[Limit, ...] = field(default=())

    def apply(self, key: SeriesKey) -> tuple[SeriesKey | None, str]:
        """The series as it goes on, or (None, the name of the rule that left it out)."""
        for rule in self.rules:
            found = rule.apply(key)
            if found is None:
                return None, rule.name
            key = found
        return key, ""


def replace_labels(key: SeriesKey, labels: Mapping[str, str]) -> SeriesKey:
    """The same series with other labels."""
    return SeriesKey.of(key.metric, dict(labels), key.source_agent_id, key.instance_id)


def load(path: Path) -> DoorRules:
    """The rules of a file; Misconfigured says where it cannot be read, Invalid which rule is wrong and how."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Misconfigured(f"the rules at the door {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not TOML: {error}") from error
    return parse(found)


def parse(found: Mapping[str, Any]) -> DoorRules:
    """The rules that a file holds; Invalid names the rule and the part that is wrong."""
    unknown = sorted(set(found) - {"rule", "limit"})
    if unknown:
        raise Invalid(f"{unknown[0]}: only [[rule]] and [[limit]] are known")
    return DoorRules(tuple(_each(found, "rule", _rule)), tuple(_each(found, "limit", _limit)))


def _each(found: Mapping[str, Any], kind: str, make: Callable[[Mapping[str, Any]], Any]) -> Sequence[Any]:
    tables = found.get(kind, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise Invalid(f"{kind}: write [[{kind}]] above each")
    made = []
    for number, table in enumerate(tables, 1):
        try:
            made.append(make(table))
        except Invalid as error:
            raise Invalid(f"{kind} {number}: {error}") from None
    return made


def _rule(table: Mapping[str, Any]) -> Rule:
    _only(table, _RULE_FIELDS)
    action = table.get("action")
    if action not in ACTIONS:
        raise Invalid(f"action: must be one of {', '.join(ACTIONS)}")
    match = Match(_pattern(table, "metric"), _pattern(table, "source"), _label_patterns(table.get("labels", {})))
    rule = Rule(_text(table, "name") or f"{action}", action, match, _text(table, "label"), _text(table, "to"))
    _check_parts(rule, table)
    return rule


def _check_parts(rule: Rule, table: Mapping[str, Any]) -> None:
    if rule.action in ("drop", "keep"):
        if match_all(rule.match):
            raise Invalid(f"a {rule.action} rule needs metric, labels or source: without one it is about everything")
        if "label" in table or "to" in table:
            raise Invalid(f"label and to: not of use with {rule.action}")
    elif rule.action == "drop_label" and not rule.label:
        raise Invalid("label: which one is dropped?")
    elif rule.action == "rename":
        if not rule.to or not (rule.label or rule.match.metric):
            raise Invalid("rename needs `to`, and `metric` (or `label`) that is renamed")
        if rule.label and len(rule.to.encode()) > MAX_LABEL_NAME_BYTES:
            raise Invalid(f"to: a label name takes {MAX_LABEL_NAME_BYTES} bytes")
        if not rule.label and "\\" not in rule.to and not METRIC_NAME.fullmatch(rule.to):
            raise Invalid(f"to: {rule.to!r} is no name of a metric")
        if not rule.label and rule.match.metric is not None:
            rule.match.metric.check_rewrite(rule.to)


def match_all(match: Match) -> bool:
    """Whether a match says nothing."""
    return match.metric is None and match.source is None and not match.labels


def _limit(table: Mapping[str, Any]) -> Limit:
    _only(table, _LIMIT_FIELDS)
    named = [of for of in ("metric", "source") if of in table]
    if len(named) != 1:
        raise Invalid("a limit is of metric or of source: give one of them")
    pattern = _pattern(table, named[0])
    assert pattern is not None
    numbers = {name: _whole(table, name) for name in ("series", "new_per_hour")}
    if not any(value is not None for value in numbers.values()):
        raise Invalid("a limit needs series or new_per_hour")
    return Limit(named[0], pattern, numbers["series"], numbers["new_per_hour"])


def _only(table: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise Invalid(f"{unknown[0]}: not known; there are {', '.join(sorted(known))}")


def _text(table: Mapping[str, Any], name: str) -> str:
    found = table.get(name, "")
    if not isinstance(found, str):
        raise Invalid(f"{name}: must be text")
    return found


def _whole(table: Mapping[str, Any], name: str) -> int | None:
    found = table.get(name)
    if found is not None and (type(found) is not int or found < 0):
        raise Invalid(f"{name}: must be a whole number, 0 or more")
    return found


def _label_patterns(labels: Any) -> tuple[tuple[str, Pattern], ...]:
    if not isinstance(labels, dict):
        raise Invalid('labels: write { name = "pattern" }')
    made = []
    for name in labels:
        pattern = _pattern(labels, name)
        assert pattern is not None
        made.append((name, pattern))
    return tuple(made)


def _pattern(table: Mapping[str, Any], name: str) -> Pattern | None:
    text = table.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise Invalid(f"{name}: must be text: a pattern with * and ?, or /a regular expression/")
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        try:
            return Regex(text[1:-1])
        except Invalid as error:
            raise Invalid(f"{name}: {error}") from None
    return Glob(text)
