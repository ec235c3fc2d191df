"""Label matchers: equal, different, and both as regular expressions over the whole value.

Belongs here: whether labels match. Does not: what is done with those that do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from muninn import patterns
from muninn.errors import Invalid

Op = Literal["=", "!=", "=~", "!~"]
Texts = str | Sequence[str]
_OPS: tuple[Op, ...] = ("=~", "!~", "!=", "=")


@dataclass(frozen=True)
class Matcher:
    """One condition on a label; a label that is not there has the value ""."""

    name: str
    op: Op
    value: str

    def __post_init__(self) -> None:
        if self.op in ("=~", "!~"):
            try:
                patterns.check(self.value)
            except Invalid as error:
                raise Invalid(f"{self.name}: {error}") from None

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy it."""
        found = labels.get(self.name, "")
        if self.op in ("=", "!="):
            return (found == self.value) == (self.op == "=")
        return patterns.matches(self.value, found) == (self.op == "=~")

    def of_many(self, labels: Sequence[Mapping[str, str]], budget: patterns.Budget | None = None) -> list[bool]:
        """`holds` of each: a pattern looks at each value once, whoever has it. Invalid beyond the budget."""
        if self.op in ("=", "!="):
            return [self.holds(each) for each in labels]
        found = [each.get(self.name, "") for each in labels]
        matching = patterns.matching(self.value, found, budget)
        return [matching[value] == (self.op == "=~") for value in found]

    def __str__(self) -> str:
        return f'{self.name}{self.op}"{self.value}"'


@dataclass(frozen=True)
class Matchers:
    """Conditions that all have to hold; none: everything matches."""

    all: tuple[Matcher, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Texts]) -> "Matchers":
        """From {label: "value" | "!=value" | "=~pattern" | "!~pattern"}, as rules files have it; or a list of these,
        which all have to hold. Invalid where it is none."""
        found = []
        for name, said in given.items():
            texts = said if isinstance(said, list | tuple) else (said,)
            if not texts or any(isinstance(text, list | tuple | dict) or text is None for text in texts):
                raise Invalid(f'{name}: a text such as "web1", "!=web1", "=~web.*" or "!~web.*", or a list of these')
            found += [_from_text(str(name), str(text)) for text in texts]
        return cls(tuple(found))

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy all."""
        return all(matcher.holds(labels) for matcher in self.all)

    def of_many(self, labels: Sequence[Mapping[str, str]], budget: patterns.Budget | None = None) -> list[bool]:
        """`holds` of each; Invalid beyond the budget."""
        left = list(range(len(labels)))
        # Comparisons first: what they leave out no pattern has to look at.
        for matcher in sorted(self.all, key=lambda each: each.op in ("=~", "!~")):
            holds = matcher.of_many([labels[place] for place in left], budget)
            left = [place for place, held in zip(left, holds, strict=True) if held]
        found = [False] * len(labels)
        for place in left:
            found[place] = True
        return found

    def as_mapping(self) -> dict[str, str | list[str]]:
        """The inverse of `of`: a label with several conditions has a list."""
        found: dict[str, list[str]] = {}
        for each in self.all:
            found.setdefault(each.name, []).append(_text(each))
        return {name: texts[0] if len(texts) == 1 else texts for name, texts in found.items()}

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
