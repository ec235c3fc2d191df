"""The book: every rule, receiver, route, inhibition and maintenance window, from YAML files, checked.

Belongs here: text to values, and what is wrong where. Does not: finding files (operations.alerts), using the book.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from muninn.alerting.inhibit import Inhibition
from muninn.alerting.receivers import Receiver, receiver_type
from muninn.alerting.route import Route
from muninn.alerting.rules import Rule
from muninn.alerting.silence import Maintenance
from muninn.errors import Invalid, Misconfigured

P = TypeVar("P", bound=BaseModel)
SECTIONS = ("rules", "receivers", "routes", "inhibit", "maintenance")


@dataclass(frozen=True)
class Fault:
    """What is wrong: in which file, of which entry ("rules[3] cpu_high"), in which field."""

    file: str
    entry: str
    field: str
    problem: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.entry, self.field, self.problem) if part)


@dataclass(frozen=True)
class Book:
    """Everything that is said about alerts. `sources`: rule name -> the file (or "API") that it came from."""

    rules: tuple[Rule, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    routes: tuple[Route, ...] = ()
    inhibitions: tuple[Inhibition, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    sources: Mapping[str, str] | None = None

    def rule(self, name: str) -> Rule | None:
        """A rule by name."""
        return next((rule for rule in self.rules if rule.name == name), None)

    def receiver(self, name: str) -> Receiver | None:
        """A receiver by name."""
        return next((each for each in self.receivers if each.name == name), None)

    @property
    def active(self) -> tuple[Rule, ...]:
        """The rules that are switched on."""
        return tuple(rule for rule in self.rules if rule.enabled)


def parse(files: Sequence[tuple[str, str]]) -> tuple[Book, list[Fault]]:
    """The book of (name, YAML text) files in order, and every fault; a later rule or receiver replaces an earlier.

    Entries with a fault are left out, so that one bad rule does not silence the others.
    """
    faults: list[Fault] = []
    found: dict[str, list[tuple[str, Any]]] = {section: [] for section in SECTIONS}
    for name, text in files:
        for section, entries in _sections(name, text, faults).items():
            found[section] += [(name, each) for each in _entries(name, section, entries, faults)]
    rules = _last_of_each(found["rules"])
    receivers = {each.name: each for _, each in found["receivers"]}
    routes = [(file, route) for file, route in found["routes"] if _known_receivers(file, route, receivers, faults)]
    return (
        Book(
            rules=tuple(rule for _, rule in rules.values()),
            receivers=tuple(receivers.values()),
            routes=tuple(route for _, route in routes),
            inhibitions=tuple(each for _, each in found["inhibit"]),
            maintenance=tuple(each for _, each in found["maintenance"]),
            sources={name: file for name, (file, _) in rules.items()},
        ),
        faults,
    )


def load(files: Sequence[tuple[str, str]]) -> Book:
    """The book; Misconfigured lists what is wrong."""
    book, faults = parse(files)
    if faults:
        raise Misconfigured("\n".join(map(str, faults)))
    return book


def from_yaml(text: str) -> Any:
    """What a text says as YAML; Invalid, with the line as its parameter, where it is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or error
        raise Invalid(f"not YAML: {problem}", f"line {mark.line + 1}" if mark else None) from None
    except RecursionError:
        raise Invalid("not YAML: nested too deeply") from None
    except (ValueError, OverflowError) as error:  # a date that there is not, such as 2026-02-30
        raise Invalid(f"not YAML: {error}; a text that looks like a date or a number goes in quotes") from None


def rule_of(given: object, where: str = "rule") -> Rule:
    """One rule from plain values, as the API takes it; Invalid names the field."""
    return _checked(Rule, where, given)


def maintenance_of(given: object, where: str = "window") -> Maintenance:
    """One maintenance window from plain values, as the API takes it; Invalid names the field."""
    return _checked(Maintenance, where, given)


def _checked(kind: type[P], where: str, given: object) -> P:
    faults: list[Fault] = []
    made = _one(kind, where, _label(0, "", given), given, faults)
    if made is None:
        raise Invalid("; ".join(f"{fault.field or where}: {fault.problem}" for fault in faults), faults[0].field)
    return made


def _last_of_each(found: Iterable[tuple[str, Rule]]) -> dict[str, tuple[str, Rule]]:
    rules: dict[str, tuple[str, Rule]] = {}
    for file, rule in found:
        rules[rule.name] = (file, rule)
    return rules


def _sections(name: str, text: str, faults: list[Fault]) -> dict[str, Any]:
    try:
        said = from_yaml(text)
    except Invalid as error:
        faults.append(Fault(name, error.parameter or "", "", str(error)))
        return {}
    if said is None:
        return {}
    if not isinstance(said, dict):
        faults.append(Fault(name, "", "", f"a rules file is a mapping with {', '.join(SECTIONS)}"))
        return {}
    unknown = [str(section) for section in said if section not in (*SECTIONS, "tests")]
    faults += [Fault(name, section, "", f"not known here; known are {', '.join(SECTIONS)}") for section in unknown]
    return {section: said[section] for section in SECTIONS if said.get(section) is not None}


def _entries(name: str, section: str, entries: Any, faults: list[Fault]) -> list[Any]:
    if not isinstance(entries, list):
        faults.append(Fault(name, section, "", "must be a list"))
        return []
    found: list[BaseModel] = []
    for number, given in enumerate(entries):
        kind = _kind_of(section, given)
        entry = f"{section}[{number}]{_label(number, ' ', given)}"
        if isinstance(kind, str):
            faults.append(Fault(name, entry, "type", kind))
            continue
        made = _one(kind, name, entry, given, faults)
        if made is None:
            continue
        if isinstance(made, Rule) and any(isinstance(other, Rule) and made.name == other.name for other in found):
            faults.append(Fault(name, entry, "name", "there are two rules of this name in the file"))
            continue
        found.append(made)
    return found


def _kind_of(section: str, given: object) -> type[BaseModel] | str:
    if section == "receivers":
        return receiver_type(given)
    kinds: dict[str, type[BaseModel]] = {
        "rules": Rule,
        "routes": Route,
        "inhibit": Inhibition,
        "maintenance": Maintenance,
    }
    return kinds[section]


def _label(number: int, before: str, given: object) -> str:  # noqa: ARG001 - the number speaks where there is no name
    name = given.get("name") if isinstance(given, dict) else None
    return f"{before}{name}" if name else ""


def _one(kind: type[P], file: str, entry: str, given: object, faults: list[Fault]) -> P | None:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        for each in found:
            inside = [other for other in found if other["loc"][: len(each["loc"])] == each["loc"] != other["loc"]]
            if each["type"] == "too_short" and inside:
                continue  # its entries are there, and each was told what is wrong with it
            field = ".".join(str(part) for part in each["loc"])
            problem = _said(kind, each)
            head, colon, rest = problem.partition(": ")
            if not field and colon and head.replace("_", "").isalnum():
                field, problem = head, rest
            faults.append(Fault(file, entry, field, problem))
        return None


def _said(kind: type[BaseModel], error: Any) -> str:
    """What is wrong, in words of a rules file."""
    match error["type"]:
        case "extra_forbidden" if len(error["loc"]) == 1:
            known = [field.alias or name for name, field in kind.model_fields.items()]
            return f"not known here; known are {', '.join(known)}"
        case "extra_forbidden":
            return "not known here"
        case "missing":
            return "is missing"
        case "tuple_type":
            return "must be a list"
        case "too_short":
            return "must have at least one entry"
        case "string_pattern_mismatch" if error["loc"] == ("name",):
            return f"a name is of the form {error['ctx']['pattern'].strip('^$')}"
    return str(error["msg"]).removeprefix("Value error, ")


def _known_receivers(file: str, route: Route, receivers: Mapping[str, Receiver], faults: list[Fault]) -> bool:
    named = [*route.receivers, *(step.receiver for step in route.escalate)]
    missing = [name for name in named if name not in receivers]
    faults += [Fault(file, "routes", "receivers", f"there is no receiver {name!r}") for name in missing]
    return not missing
