"""The features of each place (a host, an instance of a service), minute by minute, from what its series show.

Belongs here: names of places, rows of features, trends of an hour. Does not: several series to one (minutes), which
metric is which feature (features), models.

Fails: a place with fewer than two features has no row; its trends start an hour after it did.
"""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from muninn.clock import DAY_US, HOUR_US, MINUTE_US
from muninn.detection.features import HOUR, MODELLED, TRENDS, WEEKDAY
from muninn.detection.markers import place_of
from muninn.detection.minutes import NO_PART, Minutes, part_of
from muninn.detection.parts import complete
from muninn.detection.state import Floats, Index
from muninn.detection.wall_clock import UTC, local_us
from muninn.errors import Invalid
from muninn.model import SeriesKey

COLUMN = {name: place for place, name in enumerate(MODELLED)}
_FEWEST = 2
_FAST, _SLOW = 1 / 5, 1 / 60
_TREND_MINUTES = 60
# Trends that have missed more than this begin anew.
_MOST_MISSED = 20
# 1970-01-01 was a Thursday: 0 is Monday.
_MONDAY = 3


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """One row a place. at_us: the minute's end. values: float64[n, len(MODELLED)], NaN where a place has no such
    feature. agents: of the places' series, for a key of their own."""

    at_us: int
    places: tuple[str, ...]
    agents: tuple[str, ...]
    values: Floats

    def __len__(self) -> int:
        return len(self.places)

    def without(self, places: Container[str]) -> "FeatureRows":
        """The rows of all other places."""
        kept = [row for row, place in enumerate(self.places) if place not in places]
        names, agents = (tuple(names[row] for row in kept) for names in (self.places, self.agents))
        return FeatureRows(self.at_us, names, agents, self.values[kept])


@dataclass
class _Place:
    agent: str
    fast: Floats = field(default_factory=lambda: np.full(len(TRENDS), np.nan))
    slow: Floats = field(default_factory=lambda: np.full(len(TRENDS), np.nan))
    minutes: int = 0

    @property
    def means(self) -> tuple[Floats, Floats]:
        """Of five minutes and of an hour."""
        return self.fast, self.slow

    @classmethod
    def of(cls, agent: str, minutes: int, fast: list[float | None], slow: list[float | None]) -> "_Place":
        """What was saved; ValueError or TypeError if it is none of that."""
        means = [np.array(mean, np.float64) for mean in (fast, slow)]
        if any(mean.shape != (len(TRENDS),) for mean in means):
            raise ValueError("other trends")
        return cls(str(agent), means[0], means[1], int(minutes))


class Places:
    """Collects one minute at a time; hour and weekday are those of the zone."""

    def __init__(self, time_zone: str = UTC) -> None:
        self._time_zone = time_zone
        self._known: list[_Place] = []
        self._names: dict[str, int] = {}
        self._minutes = Minutes()
        self._minute = 0

    def take(self, keys: Sequence[SeriesKey], index: Index, value: Floats) -> None:
        """Take in what series showed, NaN for nothing: `index` points into `keys`, the list of all series, which only
        grows."""
        self._learn(keys)
        self._minutes.take(index, value)

    def renumber(self, keys: Sequence[SeriesKey]) -> None:
        """The list of all series was made anew: places that none of them is of are forgotten.

        Of the minute that runs only what follows counts.
        """
        kept = {name: self._known[place] for name, place in self._names.items()}
        self._names, self._known = {}, []
        self._minutes = Minutes()
        self._learn(keys, kept)

    def put_back(self, now_us: int) -> None:
        """The clock was ahead: the minute that runs is this one."""
        self._minute = min(self._minute, now_us // MINUTE_US)

    def to_bytes(self) -> bytes:
        """The trends of all places, for `restore`."""
        trends = {
            name: [self._known[place].agent, self._known[place].minutes, *map(_numbers, self._known[place].means)]
            for name, place in self._names.items()
        }
        return json.dumps({"minute": self._minute, "trends": trends}).encode()

    def restore(self, data: bytes, now_us: int) -> None:
        """Go on with the trends that were saved, unless too much was missed; Invalid if `data` is none of that."""
        try:
            saved = json.loads(data)
            minute = int(saved["minute"])
            known = {str(name): _Place.of(*each) for name, each in saved["trends"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Invalid("these are no trends of places") from error
        if 0 <= now_us // MINUTE_US - minute <= _MOST_MISSED:
            self._minute, self._names = minute, {name: place for place, name in enumerate(known)}
            self._known = list(known.values())
            self._minutes.meet([], [], len(known))

    def close(self, now_us: int) -> FeatureRows | None:
        """The rows of the minute that ended, once a minute; None before."""
        minute = now_us // MINUTE_US
        if minute <= self._minute:
            return None
        first, self._minute = self._minute == 0, minute
        found = self._minutes.close()
        if first or not self._known:
            return None
        values = complete(found)
        at_us = minute * MINUTE_US
        here_us = int(local_us(np.array([at_us]), self._time_zone)[0])
        values[:, COLUMN[HOUR]] = here_us % DAY_US / HOUR_US
        values[:, COLUMN[WEEKDAY]] = (here_us // DAY_US + _MONDAY) % 7
        self._trends(values)
        own = np.isfinite(values).sum(axis=1) - 2
        rows = np.flatnonzero(own >= _FEWEST)
        names = list(self._names)
        return FeatureRows(
            at_us,
            tuple(names[row] for row in rows.tolist()),
            tuple(self._known[row].agent for row in rows.tolist()),
            values[rows],
        )

    def _learn(self, keys: Sequence[SeriesKey], known: Mapping[str, _Place] = MappingProxyType({})) -> None:
        """Meet the series that are new; known: places met before."""
        if len(keys) == len(self._minutes):
            return
        fresh = keys[len(self._minutes) :]
        parts, places = [part_of(key) for key in fresh], []
        for key, part in zip(fresh, parts, strict=True):
            name = place_of(key)
            if part is NO_PART:
                places.append(-1)
                continue
            place = self._names.setdefault(name, len(self._names))
            if place == len(self._known):
                self._known.append(known.get(name) or _Place(key.source_agent_id))
            places.append(place)
        self._minutes.meet(places, parts, len(self._known))

    def _trends(self, values: Floats) -> None:
        """The mean of five minutes less that of an hour."""
        sources = values[:, [COLUMN[name] for name in TRENDS.values()]]
        for row, place in enumerate(self._known):
            here = np.isfinite(sources[row])
            for mean, pull in ((place.fast, _FAST), (place.slow, _SLOW)):
                young = max(pull, 1 / (place.minutes + 1))
                mean[here] = np.where(np.isnan(mean[here]), sources[row, here], mean[here])
                mean[here] += young * (sources[row, here] - mean[here])
            place.minutes += 1
            if place.minutes > _TREND_MINUTES:
                values[row, [COLUMN[name] for name in TRENDS]] = np.where(here, place.fast - place.slow, np.nan)


def _numbers(mean: Floats) -> list[float | None]:
    """For JSON, which knows no NaN."""
    return [float(each) if np.isfinite(each) else None for each in mean]
