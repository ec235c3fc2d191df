"""Label matchers: equal, different, and both as regular expressions over the whole value.

Belongs here: whether labels match. Does not: what is done with those that do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

from muninn.errors import Invalid

Op = Literal["=", "!=", "=~", "!~"]
_OPS: tuple[Op, ...] = ("=~", "!~", "!=", "=")
_MAX_PATTERN_CHARS = 500
_KEPT_ANSWERS = 16_384


@dataclass(frozen=True)
class Matcher:
    """One condition on a label; a label that is not there has the value ""."""

    name: str
    op: Op
    value: str

    def __post_init__(self) -> None:
        if self.op in ("=~", "!~"):
            if len(self.value) > _MAX_PATTERN_CHARS:
                raise Invalid(f"{self.name}: a pattern has at most {_MAX_PATTERN_CHARS} characters")
            try:
                _found(self.value, "")  # by itself, so that no bracket of it closes that of _matches
                _matches(self.value, "")
            except ValueError as error:  # which ArrowInvalid and UnicodeEncodeError are
                what = str(error).removeprefix("Invalid regular expression: ")
                raise Invalid(f"{self.name}: {self.value!r} is no regular expression (RE2): {what}") from None

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy it."""
        found = labels.get(self.name, "")
        if self.op in ("=", "!="):
            return (found == self.value) == (self.op == "=")
        return _matches(self.value, found) == (self.op == "=~")

    def __str__(self) -> str:
        return f'{self.name}{self.op}"{self.value}"'


@lru_cache(_KEPT_ANSWERS)
def _matches(pattern: str, text: str) -> bool:
    """Whether the pattern matches the whole text."""
    return _found(rf"\A(?:{pattern})\z", text)


def _found(pattern: str, text: str) -> bool:
    """Whether the pattern matches part of the text.

    By RE2, which Arrow brings: its time is linear in the text. Python's own `re` may take hours over a pattern such as
    (a+)+, and patterns come over HTTP.
    """
    # Here, because most of those who load rules never match a pattern: a Dagster run costs what it imports.
    import pyarrow as pa
    import pyarrow.compute as pc

    readable = text.encode("utf-8", "replace").decode()
    return bool(pc.match_substring_regex(pa.scalar(readable), pattern=pattern).as_py())


@dataclass(frozen=True)
class Matchers:
    """Conditions that all have to hold; none: everything matches."""

    all: tuple[Matcher, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "Matchers":
        """From {label: "value" | "!=value" | "=~pattern" | "!~pattern"}, as rules files have it."""
        return cls(tuple(_from_text(name, str(value)) for name, value in given.items()))

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy all."""
        return all(matcher.holds(labels) for matcher in self.all)

    def as_mapping(self) -> dict[str, str]:
        """The inverse of `of`."""
        return {each.name: _text(each) for each in self.all}

    @property
    def exact(self) -> dict[str, str]:
        """Labels whose one value is known."""
        return {each.name: each.value for each in self.all if each.op == "="}

    def __str__(self) -> str:
        return ", ".join(map(str, self.all))


def _from_text(name: str, text: str) -> Matcher:
    for op in _OPS:
        if text.startswith(op):
            return Matcher(name, op, text[len(op) :])
    return Matcher(name, "=", text)


def _text(matcher: Matcher) -> str:
    plain = matcher.op == "=" and not matcher.value.startswith(_OPS)
    return matcher.value if plain else f"{matcher.op}{matcher.value}"


def alertmanager_matcher(given: object) -> Matcher:
    """From Alertmanager's API: {name, value, isRegex, isEqual}; Invalid where it is none."""
    if not isinstance(given, Mapping) or not {"name", "value"} <= given.keys():
        raise Invalid("a matcher is an object with a name and a value", "matchers")
    name, value = str(given["name"]), str(given["value"])
    equal, regex = bool(given.get("isEqual", True)), bool(given.get("isRegex", False))
    return Matcher(name, cast(Op, ("=" if equal else "!") + ("~" if regex else "" if equal else "=")), value)


def to_alertmanager(matcher: Matcher) -> dict[str, object]:
    """The inverse of `alertmanager_matcher`."""
    return {
        "name": matcher.name,
        "value": matcher.value,
        "isRegex": matcher.op in ("=~", "!~"),
        "isEqual": matcher.op in ("=", "=~"),
    }
