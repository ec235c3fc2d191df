"""The book's routes as Alertmanager knows them: its groups, and a configuration that amtool reads.

Belongs here: our routes in its words. Does not: HTTP (operations.alerts.alertmanager), telling an Alertmanager
(payloads).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from muninn.alerting.book import Book
from muninn.alerting.matchers import Matcher, Matchers
from muninn.alerting.route import Route, routes_of

# There every alert has a receiver; here one that no route takes is told to nobody.
NOBODY = "nobody"
_LEAST_S = 1.0


def receivers_of(labels: Mapping[str, str], routes: Sequence[Route]) -> list[str]:
    """The names of receivers that an alert's routes lead to."""
    found = [name for _, route in routes_of(labels, routes) for name in route.receivers]
    return list(dict.fromkeys(found)) or [NOBODY]


def groups_of(labels: Mapping[str, str], routes: Sequence[Route]) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """(receiver, labels that the group is alike in) of each group that an alert is in."""
    found = []
    for _, route in routes_of(labels, routes):
        alike = tuple((name, labels[name]) for name in route.group_by if labels.get(name))
        found += [(receiver, alike) for receiver in route.receivers]
    return found or [(NOBODY, ())]


def configuration(book: Book) -> str:
    """Receivers, routes and inhibition as a configuration file of Alertmanager, without anything secret."""
    said = {
        "route": {"receiver": NOBODY, "routes": [each for route in book.routes for each in _routes(route)]},
        "receivers": [{"name": NOBODY}, *({"name": each.name} for each in book.receivers if each.name != NOBODY)],
        "inhibit_rules": [
            {
                "source_matchers": _matchers(each.sources),
                "target_matchers": _matchers(each.targets),
                "equal": [their_name(name) for name in each.equal],
            }
            for each in book.inhibitions
        ],
    }
    head = "# Muninn's routes in Alertmanager's words; they are made in rules files, see docs/alerting.md.\n"
    return head + yaml.safe_dump(said, sort_keys=False, width=200)


def their_name(name: str) -> str:
    """What is `rule` here is `alertname` there."""
    return "alertname" if name == "rule" else name


def their_matcher(matcher: Matcher) -> Matcher:
    """The same matcher by their name."""
    return Matcher(their_name(matcher.name), matcher.op, matcher.value)


def our_matcher(matcher: Matcher) -> Matcher:
    """The inverse of `their_matcher`."""
    return Matcher("rule" if matcher.name == "alertname" else matcher.name, matcher.op, matcher.value)


def _routes(route: Route) -> list[dict[str, Any]]:
    """One for each receiver: there a route has one."""
    made = []
    for receiver in route.receivers:
        found: dict[str, Any] = {
            "receiver": receiver,
            "matchers": _matchers(route.matchers),
            "continue": route.go_on or receiver != route.receivers[-1],
            "group_wait": _span(route.group_wait_s),
            "group_interval": _span(max(_LEAST_S, route.group_interval_s)),
            "repeat_interval": _span(max(_LEAST_S, route.repeat_s)),
        }
        if route.group_by:
            found["group_by"] = [their_name(name) for name in route.group_by]
        made.append(found)
    return made


def _span(span_s: float) -> str:
    """It takes no fractions."""
    return f"{span_s:.0f}s" if span_s == round(span_s) else f"{span_s * 1000:.0f}ms"


def _matchers(matchers: Matchers) -> list[str]:
    found = []
    for each in map(their_matcher, matchers.all):
        value = each.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        found.append(f'{each.name}{each.op}"{value}"')
    return found
