"""Watches many series as their samples come: what the detector does, without its servers.

Belongs here: from samples to steps, scores, episodes; which series are known; what is worth telling.
Does not: I/O, clocks, incidents, models.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from muninn.detection import counters, telling
from muninn.detection.engine import Engine
from muninn.detection.episodes import Episodes, lastingly, presently
from muninn.detection.features import rises
from muninn.detection.markers import Announcements, place_of
from muninn.detection.roster import LEFT_OUT, Roster
from muninn.detection.state import Floats, Index, Ints
from muninn.detection.steps import Step, Steps
from muninn.detection.tuning import Tuning
from muninn.detection.verdicts import Verdicts
from muninn.detection.views import Bools
from muninn.detection.wall_clock import UTC
from muninn.errors import Invalid
from muninn.model import SampleBatch, ScoreBatch, SeriesKey
from muninn.model.scores import WARNING, WORTH_SENDING

_MAGIC = b"muninn-watch-2\n"
_GROWTH = 256
# A series that sent nothing for so long is gone, and its place is free for another.
GONE_US = 24 * 3_600_000_000
# A clock so far behind what was judged before is not late: it was ahead, and was put back.
_PUT_BACK_US = 60_000_000
# A pause shorter than this is nobody's silence: at 3 times that a place is missed, so that a minute of it is found.
LEAST_PAUSE_S = 18.0
# A single series that stops is a warning; an anomaly only with most of its place.
_ALONE_AT_MOST = WARNING - 1e-6
_PLACE_SHARE = 0.8


@dataclass(frozen=True, eq=False)
class Findings:
    """What one step showed: `scores` worth sending, and the rows of `scores` whose episode opened or closed.

    judged: how many series had a sample in it. index, watched: which, and what each showed (of a counter its rise per
    second, NaN where that is not known).
    """

    scores: ScoreBatch
    opened: Index
    closed: Index
    judged: int
    index: Index = field(default_factory=lambda: np.zeros(0, np.intp))
    watched: Floats = field(default_factory=lambda: np.zeros(0))


class Watch:
    """Knows series by their key, scores their steps, and keeps their episodes.

    max_series: further ones are left out, and counted in `left_out`.
    ignored: patterns (fnmatch) of metric names that are not watched.
    """

    def __init__(
        self,
        *,
        step_s: float,
        max_series: int,
        ignored: Sequence[str] = (),
        tuning: Tuning | None = None,
        calm_s: float = 300.0,
    ):
        self.tuning = tuning or Tuning()
        self.steps = Steps(round(step_s * 1e6))
        self.announced = Announcements()
        self.roster = Roster(max_series, ignored, self.announced.number_of)
        self.engine = Engine(0, self.tuning)
        self.episodes = Episodes(0, round(calm_s * 1e6))
        self._places: dict[str, int] = {}
        self._place: Index = np.zeros(0, np.intp)
        self._counts = np.zeros(0, bool)
        self._seated = 0
        # Silence is not counted from before we could hear.
        self._deaf_until_us = 0

    def __len__(self) -> int:
        return len(self.roster)

    @property
    def keys(self) -> list[SeriesKey]:
        """The series that are watched, in the order of their positions."""
        return self.roster.keys

    @property
    def left_out(self) -> int:
        """How many series there was no room for."""
        return self.roster.left_out

    def take(self, batch: SampleBatch) -> None:
        """Take in samples; what is not watched is left out."""
        if not len(batch):
            return
        position, announcer = self.roster.find(batch.keys)
        self._seat()
        index = position[batch.key_index]
        kept = index >= 0
        if kept.all():
            self.steps.add(index, batch.at_us, batch.value)
        else:
            self.steps.add(index[kept], batch.at_us[kept], batch.value[kept])
        if (announcer >= 0).any():
            number = announcer[batch.key_index]
            rows = np.flatnonzero(number >= 0)
            self.announced.take(number[rows], batch.at_us[rows], batch.value[rows])

    def judge(self, until_us: int) -> list[Findings]:
        """Score every step that ended at or before `until_us`; a step in which nothing came has no findings."""
        return [self._judge(step) for step in self.steps.close(until_us, self._counts)]

    def hears_again(self, now_us: int) -> None:
        """Nothing was heard before now, for reasons of our own: no series is to blame for that silence."""
        self._deaf_until_us = now_us

    def settle(self, keys: Sequence[SeriesKey], now_us: int) -> list[SeriesKey]:
        """The episodes that are open are those of these series, as another detector told; others begin anew.

        Those that there is no place for are given back: nobody watches them any more.
        """
        places = {key: self.roster.add(key) for key in keys}
        self._seat()
        seated = [position for position in places.values() if position != LEFT_OUT]
        self.episodes.settle(np.array(seated, np.intp), now_us)
        return [key for key, position in places.items() if position == LEFT_OUT]

    def is_ahead(self, now_us: int) -> bool:
        """What was judged lies in the future: the clock was ahead, and was put back."""
        return now_us < self.steps.until_us - _PUT_BACK_US

    def put_back(self, now_us: int) -> None:
        """What is known of a time that has not come yet holds from now on."""
        self.steps.start_from(now_us // self.steps.step_us * self.steps.step_us)
        self.hears_again(now_us)
        for each in (self.engine, self.episodes, self.announced):
            each.put_back(now_us)

    def forget_gone(self, now_us: int) -> int:
        """Let go of series that sent nothing for a day; how many of those watched. Positions change."""
        seen_us = self.engine.last_us()[: len(self)]
        gone = (seen_us < now_us - GONE_US) & ~self.episodes.open[: len(self)]
        renumbered = self.announced.forget(now_us - GONE_US)
        if not gone.any():
            if renumbered:
                self.roster.keep(np.arange(len(self)))
            return 0
        stays, engine, episodes = np.flatnonzero(~gone), self.engine, self.episodes
        self.roster.keep(stays)
        self._places, self._seated = {}, 0
        self._seat()
        self.engine, self.episodes = engine.taken(stays, len(self._place)), episodes.taken(stays, len(self._place))
        # What waits was numbered by the old positions.
        moved = np.full(len(gone), LEFT_OUT, np.intp)
        moved[stays] = np.arange(len(stays))
        self.steps.renumber(moved)
        return int(gone.sum())

    def to_bytes(self) -> bytes:
        """All that was learned, the open episodes, and what was announced."""
        zone = self.tuning.time_zone
        head = {"until_us": self.steps.until_us, "announced": self.announced.to_dict(), "time_zone": zone}
        keys = b"\n".join(key.canonical for key in self.keys)
        return _MAGIC + _packed(json.dumps(head).encode(), keys, self.engine.to_bytes(), self.episodes.to_bytes())

    def restore(self, data: bytes) -> None:
        """Go on from what was saved; Invalid if it is no such state, and then nothing is changed."""
        if not data.startswith(_MAGIC):
            raise Invalid("this is no state of the detector, or one of another version")
        announced = Announcements()
        try:
            head, keys, learned, opened = _unpacked(data[len(_MAGIC) :])
            known = json.loads(head)
            until_us = int(known["until_us"])
            announced.restore(known["announced"])
            episodes = Episodes.from_bytes(opened, self.episodes.calm_us)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Invalid("this state of the detector is damaged") from error
        engine = Engine.from_bytes(learned, self.tuning)
        if known.get("time_zone", UTC) != self.tuning.time_zone:
            engine.forget_season()
        found = [SeriesKey.parse(key) for key in keys.split(b"\n")] if keys else []
        stays = np.arange(min(len(found), self.roster.max_series))
        self.announced.restore(known["announced"])
        for key in found[: len(stays)]:
            self.roster.add(key)
        self._seat()
        self.engine, self.episodes = engine.taken(stays, len(self._place)), episodes.taken(stays, len(self._place))
        self.steps.start_from(until_us)

    def _seat(self) -> None:
        """Make room for the series that are new, and note where they belong."""
        n = len(self.roster)
        if n > len(self._place):
            room = min(self.roster.max_series, n + max(_GROWTH, n // 4))
            more = room - len(self._place)
            self._place = np.append(self._place, np.zeros(more, np.intp))
            self._counts = np.append(self._counts, np.zeros(more, bool))
            self.engine.grow(room)
            self.episodes.grow(room)
        for position in range(self._seated, n):
            key = self.keys[position]
            self._place[position] = self._places.setdefault(place_of(key), len(self._places))
            self._counts[position] = rises(key.metric)
        self._seated = n

    def _judge(self, step: Step) -> Findings:
        excused = self._excused(step.until_us)
        heard = ~excused[step.index]
        came, at_us = step.index[heard], step.at_us[heard]
        verdicts, shown = self._scored(came, at_us, step.value[heard])
        seen = np.flatnonzero(~verdicts.silent)
        index, at_us, verdicts = came[seen], at_us[seen], verdicts.take(seen)
        silent, silence = self._silence(step, excused)
        every = np.concatenate([index, silent])
        present, shares = presently(verdicts.score, verdicts.contributions)
        lasting = lastingly(verdicts.score, verdicts.contributions)
        scores, at_present, lasts = (np.concatenate([each, silence]) for each in (verdicts.score, present, lasting))
        unheard = np.arange(len(every)) >= len(index)
        turns = self.episodes.judge(every, scores, at_present, lasts, step.until_us, unheard)
        calm = turns.presently[: len(index)]
        score = np.where(calm, present, verdicts.score)
        verdicts = verdicts.scored(score, np.where(calm[:, None], shares, verdicts.contributions))
        matters = np.flatnonzero((score >= WORTH_SENDING) | self.episodes.open[index] | np.isin(index, turns.closed))
        told = telling.judged(step.until_us, verdicts.take(matters), at_us[matters], index[matters], self.keys)
        # An episode may end without a sample: the series is told with what it last showed.
        mute = np.concatenate([silent, np.setdiff1d(turns.closed, every)])
        quiet = np.concatenate([silence, np.zeros(len(mute) - len(silent))])
        last = self.engine.last_value()
        told = telling.joined(
            told, telling.silent(step.until_us, quiet, self.engine.last_us()[mute], last[mute], mute, self.keys)
        )
        positions = np.concatenate([index[matters], mute])
        opened, closed = (np.flatnonzero(np.isin(positions, part)) for part in (turns.opened, turns.closed))
        return Findings(told, opened, closed, len(came), came, shown)

    def _scored(self, index: Index, at_us: Ints, value: Floats) -> tuple[Verdicts, Floats]:
        """Verdicts, and what each series showed: a counter by its name, however seldom it rises, its rate."""
        before = self.engine.last_reading(index)
        verdicts = self.engine.score(at_us, value, index)
        rate = counters.rate(at_us, value, *before)
        watched = np.where(verdicts.silent, np.nan, verdicts.watched)
        return verdicts, np.where(self._counts[index], rate, watched)

    def _excused(self, now_us: int) -> Bools:
        """bool[room]: series of places that were announced to be unsettled."""
        numbers = [self._places[place] for place in self.announced.excused(now_us) if place in self._places]
        return np.isin(self._place, numbers)

    def _silence(self, step: Step, excused: Bools) -> tuple[Index, Floats]:
        """Series that should have come and did not, with their scores."""
        overdue = self.engine.overdue(step.until_us, self._deaf_until_us, LEAST_PAUSE_S)
        overdue[excused] = 0.0
        overdue[step.index] = 0.0
        silent = np.flatnonzero(overdue >= WORTH_SENDING)
        if not len(silent):
            return silent, np.empty(0)
        # Of each place: series that came in the last day, and how many of them are overdue.
        alive = self.engine.last_us() > step.until_us - GONE_US
        of_place = np.bincount(self._place[alive], minlength=len(self._places))
        overdue_of_place = np.bincount(self._place[silent], minlength=len(self._places))
        whole = overdue_of_place >= _PLACE_SHARE * np.maximum(1, of_place)
        return silent, np.where(
            whole[self._place[silent]], overdue[silent], np.minimum(overdue[silent], _ALONE_AT_MOST)
        )


def _packed(*parts: bytes) -> bytes:
    return b"".join(piece for part in parts for piece in (len(part).to_bytes(8, "little"), part))


def _unpacked(data: bytes) -> list[bytes]:
    parts, place = [], 0
    while place < len(data):
        end = place + 8 + int.from_bytes(data[place : place + 8], "little")
        if end > len(data):
            raise ValueError("cut short")
        parts.append(data[place + 8 : end])
        place = end
    return parts
