"""Inhibition: while one alert fires, those that follow from it are not told.

Belongs here: which alerts are inhibited, and by which. Does not: silences.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property

from muninn.alerting.alert import Alert
from muninn.alerting.matchers import Matchers
from muninn.alerting.rules import Match, Part


class Inhibition(Part):
    """While an alert that `source` matches fires, alerts that `target` matches and that are `equal` are not told."""

    source: Match
    target: Match
    equal: tuple[str, ...] = ()

    @cached_property
    def sources(self) -> Matchers:
        """What inhibits."""
        return Matchers.of(self.source)

    @cached_property
    def targets(self) -> Matchers:
        """What is inhibited."""
        return Matchers.of(self.target)


def inhibited(alerts: Iterable[Alert], inhibitions: Sequence[Inhibition]) -> dict[str, str]:
    """alert id -> id of the alert that inhibits it. An alert never inhibits itself or one that is also a source."""
    alerts = [alert for alert in alerts if alert.state == "firing"]
    found: dict[str, str] = {}
    labels = [alert.all_labels for alert in alerts]
    for rule in inhibitions:
        sources, targets = rule.sources.of_many(labels), rule.targets.of_many(labels)
        heads: dict[tuple[str, ...], str] = {}
        for alert, is_source in zip(alerts, sources, strict=True):
            if is_source:
                heads.setdefault(_equal(alert, rule), alert.alert_id)
        for alert, is_source, is_target in zip(alerts, sources, targets, strict=True):
            if is_target and not is_source:
                head = heads.get(_equal(alert, rule))
                if head is not None:
                    found.setdefault(alert.alert_id, head)
    return found


def _equal(alert: Alert, rule: Inhibition) -> tuple[str, ...]:
    labels = alert.all_labels
    return tuple(labels.get(name, "") for name in rule.equal)
