"""Episodes that belong together become one incident with a head and its probable causes.

Belongs here: joining, the head, the causes, when it is over. Does not: scores and episodes, storing.

An episode joins an open incident when it begins within `join_us` of that incident's last beginning, in one of its
places or on one of its metrics. The head is the series that began within `first_us` of the first one with the
highest score. An incident is over when all its episodes are.
Fails: for a cause that spreads more slowly than that (it makes two incidents), and for two causes at a time in one
place (they make one).
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from muninn.detection.causes import Observation, Probable, weigh
from muninn.detection.causes.table import DOWN, SILENT, UP
from muninn.detection.features import feature_of
from muninn.detection.markers import place_of
from muninn.detection.telling import SILENCE
from muninn.detection.watch import Findings
from muninn.model import ScoreBatch, SeriesKey

MAX_MEMBERS = 200
# A point each step at first, then every other one: the window around an incident is drawn from them.
MAX_TRACK = 360
_JOIN_US = 180_000_000
_FIRST_US = 30_000_000
_DEPLOY_US = 1_800_000_000
_RISE_WORTH_SAVING = 0.02

Point = tuple[int, float, float, float, float]


@dataclass
class Member:
    """One series' episode in an incident; peak: of its score, with what was seen and expected then.

    track: (at_us, value, expected, low, high) while it lasted.
    """

    key: SeriesKey
    opened_us: int
    closed_us: int | None = None
    peak_us: int = 0
    score: float = 0.0
    value: float = 0.0
    expected: float = 0.0
    low: float = 0.0
    high: float = 0.0
    confidence: float = 0.0
    shares: dict[str, float] = field(default_factory=dict)
    track: list[Point] = field(default_factory=list)

    def see(self, scores: ScoreBatch, row: int) -> bool:
        """Take in a score of this series; True if it is a new peak worth saving."""
        at_us, score = int(scores.at_us[row]), float(scores.score[row])
        value, expected = float(scores.value[row]), float(scores.expected[row])
        low, high = float(scores.low[row]), float(scores.high[row])
        if not self.track or at_us > self.track[-1][0]:
            self.track.append((at_us, value, expected, low, high))
            if len(self.track) > MAX_TRACK:
                del self.track[1::2]
        if score <= self.score and self.peak_us:
            return False
        risen = score > self.score + _RISE_WORTH_SAVING
        self.peak_us, self.score, self.confidence = at_us, score, float(scores.confidence[row])
        self.value, self.expected, self.low, self.high = value, expected, low, high
        self.shares = dict(scores.reasons(row, most=6))
        return risen

    def observed(self) -> Observation:
        """What it says about causes."""
        feature = feature_of(self.key)
        moves = SILENT if SILENCE in self.shares else UP if sum(self.shares.values()) >= 0 else DOWN
        return Observation(feature.name if feature else "", moves, self.score, name_of(self.key))


@dataclass
class Incident:
    """counted_out: series beyond MAX_MEMBERS, as they were counted before a restart. beyond: those of them known.

    deployed: places of it that had a deploy shortly before.
    """

    incident_id: uuid.UUID
    opened_us: int
    closed_us: int | None = None
    joined_us: int = 0
    members: dict[SeriesKey, Member] = field(default_factory=dict)
    counted_out: int = 0
    deployed: tuple[str, ...] = ()
    beyond: set[SeriesKey] = field(default_factory=set)

    @property
    def head(self) -> Member:
        """The series that it is named after."""
        first = [member for member in self.members.values() if member.opened_us <= self.opened_us + _FIRST_US]
        return max(first or self.members.values(), key=lambda member: member.score)

    @property
    def left_out(self) -> int:
        """How many series there was no room for: each once, however often it began."""
        return max(self.counted_out, len(self.beyond))

    @property
    def score(self) -> float:
        """The highest of its series."""
        return max(member.score for member in self.members.values())

    @property
    def title(self) -> str:
        """One line: the head, and how many more."""
        head, more = self.head, len(self.members) - 1 + self.left_out
        observed = {UP: "higher than expected", DOWN: "lower than expected", SILENT: "silent"}[head.observed().moves]
        others = f", and {more} more series" if more else ""
        return f"{name_of(head.key)} {observed}{others}"

    def causes(self) -> list[Probable]:
        """Why, most probable first."""
        seen = [member.observed() for member in self.members.values()]
        return weigh([*seen, *(Observation("deploy", UP, 1.0, place) for place in self.deployed)])


def name_of(key: SeriesKey) -> str:
    """A series as people read it."""
    labels = {**dict(key.labels), **({"instance": key.instance_id} if key.instance_id else {})}
    inner = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return f"{key.metric} {{{inner}}}" if inner else key.metric


class Incidents:
    """The open incidents."""

    def __init__(self, new_id: Callable[[], uuid.UUID] = uuid.uuid4):
        self._new_id = new_id
        self.open: dict[uuid.UUID, Incident] = {}
        self._of: dict[SeriesKey, uuid.UUID] = {}

    def restore(self, incidents: Iterable[Incident]) -> None:
        """Go on with what another detector left open."""
        for incident in incidents:
            self.open[incident.incident_id] = incident
            self._of |= {key: incident.incident_id for key, each in incident.members.items() if each.closed_us is None}

    def take(self, found: Findings, deployed_us: Mapping[str, int]) -> list[Incident]:
        """Take in one step; the incidents that opened, closed, grew or got worse, to be saved."""
        scores, changed = found.scores, dict[uuid.UUID, Incident]()
        keys = [scores.keys[place] for place in scores.key_index.tolist()]
        for row in found.opened.tolist():
            incident = self._joined(keys[row], scores.until_us, deployed_us)
            changed[incident.incident_id] = incident
        for row, key in enumerate(keys):
            known = self.open.get(self._of[key]) if key in self._of else None
            if known is not None and known.members[key].see(scores, row):
                changed[known.incident_id] = known
        for row in found.closed.tolist():
            closed = self._close(keys[row], scores.until_us)
            if closed is not None:
                changed[closed.incident_id] = closed
        return list(changed.values())

    def leave(self, keys: Iterable[SeriesKey], now_us: int) -> list[Incident]:
        """Nobody watches these series any more: their part is over; the incidents that changed, to be saved."""
        changed = {each.incident_id: each for key in keys if (each := self._close(key, now_us)) is not None}
        return list(changed.values())

    def _joined(self, key: SeriesKey, now_us: int, deployed_us: Mapping[str, int]) -> Incident:
        place = place_of(key)
        incident = next((each for each in self.open.values() if _related(each, key, place, now_us)), None)
        if incident is None:
            incident = Incident(self._new_id(), now_us)
            self.open[incident.incident_id] = incident
        incident.joined_us = now_us
        if now_us - _DEPLOY_US <= deployed_us.get(place, 0) and place not in incident.deployed:
            incident.deployed += (place,)
        known = incident.members.get(key)
        if known is not None:
            known.closed_us = None
        elif len(incident.members) < MAX_MEMBERS:
            incident.members[key] = Member(key, now_us)
        else:
            incident.beyond.add(key)
            return incident
        self._of[key] = incident.incident_id
        return incident

    def _close(self, key: SeriesKey, now_us: int) -> Incident | None:
        incident = self.open.get(self._of.pop(key, uuid.UUID(int=0)))
        if incident is None:
            return None
        incident.members[key].closed_us = now_us
        if all(member.closed_us is not None for member in incident.members.values()):
            incident.closed_us = now_us
            del self.open[incident.incident_id]
        return incident


def _related(incident: Incident, key: SeriesKey, place: str, now_us: int) -> bool:
    if key in incident.members:
        return True
    if now_us - incident.joined_us > _JOIN_US:
        return False
    return any(place_of(known) == place or known.metric == key.metric for known in incident.members)
