"""Incidents of the detector as rules see them: what an alert on one is labelled with, and what it says.

Belongs here: an incident as a value, its labels and texts. Does not: finding them (detection), reading them (store).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from muninn.alerting.evaluate import About
from muninn.alerting.windows import labels_of
from muninn.model import SeriesKey

# An alert on an incident has this label, and so has every alert on the score of one of its series.
INCIDENT = "incident"
_MOST_CAUSES, _MOST_EVIDENCE = 3, 3


@dataclass(frozen=True)
class Cause:
    """Why, with a confidence of 0..1. evidence: (what it says, the series that shows it). runbook: its page's name."""

    title: str
    confidence: float
    evidence: tuple[tuple[str, str], ...] = ()
    actions: tuple[str, ...] = ()
    runbook: str = ""


@dataclass(frozen=True)
class Standing:
    """An incident. score: the highest of its series. causes: most probable first. closed_us None: it is open."""

    incident_id: str
    opened_us: int
    closed_us: int | None
    title: str
    score: float
    series_count: int
    head: SeriesKey
    members: tuple[SeriesKey, ...] = ()
    causes: tuple[Cause, ...] = ()

    def is_open(self, now_us: int) -> bool:
        """Whether it was open at an instant."""
        return self.opened_us <= now_us and (self.closed_us is None or self.closed_us > now_us)

    @property
    def labels(self) -> dict[str, str]:
        """What tells it from all others, for ever: its head may change."""
        return {INCIDENT: self.incident_id}

    @property
    def head_labels(self) -> dict[str, str]:
        """Of the series that it is named after: what matchers see, besides its id."""
        return {**labels_of(self.head, ()), **self.labels}

    def about(self) -> About:
        """What an alert on it says as of now."""
        extra = tuple(sorted((name, value) for name, value in self.head_labels.items() if name != INCIDENT))
        runbook = next((f"docs/runbooks/{each.runbook}.md" for each in self.causes if each.runbook), "")
        return About(extra, self.title, self._description(), runbook)

    def _description(self) -> str:
        """The probable causes with what speaks for them, and what to do about the first."""
        lines = [f"{self.series_count} series, score {self.score:.2f}, head {_named(self.head)}"]
        for cause in self.causes[:_MOST_CAUSES]:
            shown = "; ".join(f"{says}: {series}" for says, series in cause.evidence[:_MOST_EVIDENCE])
            lines.append(f"probable cause ({cause.confidence:.0%}): {cause.title}{f' ({shown})' if shown else ''}")
        if self.causes:
            lines += [f"do: {action}" for action in self.causes[0].actions]
        else:
            lines.append("no cause is known: see which series changed together")
        return "\n".join(lines)


def marks(incidents: Iterable[Standing], by: Sequence[str]) -> dict[tuple[tuple[str, str], ...], str]:
    """Labels of an alert on the score of a series (or of a group, with `by`) -> the incident that it belongs to."""
    return {
        tuple(sorted(labels_of(member, by).items())): each.incident_id for each in incidents for member in each.members
    }


def _named(key: SeriesKey) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(labels_of(key, ()).items()) if name != "metric")
    return f"{key.metric} {{{labels}}}"
