"""Routes: which alerts go to whom, in which groups, how soon and how often.

Belongs here: the route that labels take. Does not: when something is due (dispatch), sending.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

from pydantic import Field

from muninn.alerting.matchers import Matchers
from muninn.alerting.rules import Match, Part
from muninn.alerting.spans import Seconds


class Escalation(Part):
    """Nobody acknowledged for `after`: this receiver is told as well."""

    after_s: Seconds = Field(alias="after", gt=0)
    receiver: str


class Route(Part):
    """The first route whose matchers hold is taken; `go_on` looks at those after it too.

    group_by: alerts that are alike in these labels are told together. group_wait: the first message waits this
    long for others. group_interval: between messages about changes of a group. repeat: it is said again.
    """

    match: Match = Field(default_factory=dict)
    receivers: tuple[str, ...]
    group_by: tuple[str, ...] = ("rule",)
    group_wait_s: Seconds = Field(10.0, alias="group_wait")
    group_interval_s: Seconds = Field(60.0, alias="group_interval")
    repeat_s: Seconds = Field(14_400.0, alias="repeat", gt=0)
    escalate: tuple[Escalation, ...] = ()
    resolved: bool = True
    go_on: bool = Field(False, alias="continue")

    @cached_property
    def matchers(self) -> Matchers:
        """Whom it is for."""
        return Matchers.of(self.match)


def routes_of(labels: Mapping[str, str], routes: Sequence[Route]) -> list[tuple[int, Route]]:
    """The routes that an alert takes, with their places in the book; none: nobody is told."""
    found = []
    for place, route in enumerate(routes):
        if route.matchers.holds(labels):
            found.append((place, route))
            if not route.go_on:
                break
    return found
