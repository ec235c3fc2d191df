"""Scores samples of many series as they come, and learns while it does: one step, vectorised over series.

Belongs here: the order of things for one round of samples, what a score is made of. Does not: views and ranges
themselves, I/O, clocks, what to do about a score (alerting).

A score has one meaning for every series: over 0.6 a warning, over 0.8 an anomaly. It is e / (e + evidence / 4)
with e the sum of the views' excesses over their own remembered ranges, in units in which a young series has a
higher bar. Scores are the same for a series in other units, and at the same hours of another week.
"""

from collections.abc import Sequence

import numpy as np

from muninn.detection import counters, ranges, season, views
from muninn.detection.state import FLOAT_NAMES, INT_NAMES, Floats, Index, Ints, Rows, State, rows_of
from muninn.detection.tuning import ANOMALY, Tuning
from muninn.detection.verdicts import Verdicts
from muninn.detection.views import Bools
from muninn.errors import Invalid

# So many series at a time stay in the processor's cache.
_CHUNK = 1024
_SCORE_SHARE = (1.0 - ANOMALY) / ANOMALY
# Before so many rows a range says too little to trim what the season learns.
_SETTLED_ROWS = 21
# Silence of so many times the longest remembered interval scores 0.8.
_SILENCE_TIMES = 3.0


class Engine:
    """Detection for `n_series` series, known by their position 0 .. n_series - 1."""

    def __init__(self, n_series: int = 0, tuning: Tuning | None = None):
        self.tuning = tuning or Tuning()
        self._state = State(n_series)

    def __len__(self) -> int:
        return len(self._state)

    @property
    def bytes_per_series(self) -> float:
        """Bytes of memory that a series takes."""
        return self._state.bytes_per_series

    def grow(self, n_series: int) -> None:
        """Take on series up to `n_series`; fewer than there are is no change."""
        self._state.grow(n_series)

    def score(self, at_us: Ints, value: Floats, series_index: Index) -> Verdicts:
        """Score n samples and learn from them.

        at_us: int64[n]; value: float64[n], finite; series_index: int[n], each in [0, len(self)). Samples of
        one series count in the order given. Raises Invalid, before anything is learned, for anything else.
        """
        at_us, value = np.asarray(at_us, np.int64), np.asarray(value, np.float64)
        index = np.asarray(series_index, np.intp)
        self._check(at_us, value, index)
        verdicts = Verdicts.blank(value)
        for part in rounds(index):
            for start in range(0, len(part), _CHUNK):
                rows = part[start : start + _CHUNK]
                self._step(at_us[rows], value[rows], index[rows], rows, verdicts)
        return verdicts

    def excuse(self, series_index: Index, samples: int) -> None:
        """For the next `samples` of these series score 0 and take in what comes: a deploy, a restart was announced."""
        self._state.ints[_int_row("excused_left"), np.asarray(series_index, np.intp)] = samples

    def forget(self, series_index: Index) -> None:
        """These series start anew."""
        self._state.forget(np.asarray(series_index, np.intp))

    def forget_season(self) -> None:
        """What the hours show is learned anew; all else stays."""
        self._state.forget_season()

    def overdue(self, now_us: int, deaf_until_us: int = 0, least_pause_s: float = 0.0) -> Floats:
        """float64[n_series]: how odd each series' silence is, in 0..1 as a score: 0.8 at 3 times its longest pause.

        deaf_until_us: nothing was heard before, which is no series' fault. least_pause_s: a pause as long as this is
        usual for every series.
        """
        rows = self._rows()
        silence_s = np.maximum(0.0, (now_us - np.maximum(rows.at_us, deaf_until_us)) / 1e6)
        known = (rows.longest_s > 0) & (rows.seen > self.tuning.warm_up_rows)
        pause_s = np.maximum(rows.longest_s, least_pause_s)
        times = np.divide(silence_s, pause_s, out=np.zeros(len(self)), where=known & (pause_s > 0))
        far = np.maximum(0.0, times - 1.0) / (_SILENCE_TIMES - 1.0)
        return far / (far + _SCORE_SHARE)

    def put_back(self, now_us: int) -> None:
        """The clock was ahead: no series was seen later than now."""
        rows = self._rows()
        for instants in (rows.at_us, rows.first_us):
            np.minimum(instants, now_us, out=instants)

    def old_enough(self) -> Bools:
        """bool[n_series]: the series whose next sample has a score, as far as that is known before it."""
        rows = self._rows()
        old: Bools = (rows.seen >= self.tuning.warm_up_rows) & (
            rows.at_us - rows.first_us >= self.tuning.warm_up_s * 1e6
        )
        return old

    def last_us(self) -> Ints:
        """int64[n_series]: when each series was last seen; 0 for never."""
        return self._rows().at_us

    def last_value(self) -> Floats:
        """float64[n_series]: what each series last showed."""
        return self._rows().value

    def last_reading(self, index: Index) -> tuple[Ints, Floats]:
        """(int64[n], float64[n]): when these series were last seen, 0 for never, and the sample as it came."""
        return self._state.ints[_int_row("at_us"), index], self._state.floats[_float_row("raw"), index]

    def taken(self, index: Index, n_series: int) -> "Engine":
        """An engine of `n_series` that knows the series at `index`, in that order, from its start on."""
        engine = Engine(0, self.tuning)
        engine._state = self._state.taken(np.asarray(index, np.intp))
        engine.grow(n_series)
        return engine

    def to_bytes(self) -> bytes:
        """All that was learned; `from_bytes` with the same tuning continues with equal scores."""
        return self._state.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes, tuning: Tuning | None = None) -> "Engine":
        """The engine that was saved; Invalid if `data` is no such state."""
        engine = cls(0, tuning)
        engine._state = State.from_bytes(data)
        return engine

    def _rows(self) -> Rows:
        return rows_of(self._state.floats, self._state.ints)

    def _check(self, at_us: Ints, value: Floats, index: Index) -> None:
        if not len(at_us) == len(value) == len(index):
            raise Invalid("a batch's columns differ in length")
        if not np.isfinite(value).all():
            raise Invalid("value must be finite", "value")
        if len(index) and not 0 <= index.min() <= index.max() < len(self):
            raise Invalid(f"series_index must be in 0 .. {len(self) - 1}", "series_index")

    def _step(self, at_us: Ints, raw: Floats, index: Index, places: Index, verdicts: Verdicts) -> None:
        """One sample of each of m distinct series; what it tells goes to `verdicts` at `places`."""
        floats, ints = self._state.take(index)
        reading = counters.read(rows_of(floats, ints), at_us, raw, self.tuning)
        watched = ~reading.silent
        verdicts.silent[places] = reading.silent
        if reading.silent.any() or reading.relearn.any():
            self._state.put(index, floats, ints)
            self._restart(index, at_us, raw, reading)
            verdicts.learning[places] = reading.relearn
            places, index, at_us = places[watched], index[watched], at_us[watched]
            floats, ints = self._state.take(index)
        if len(index):
            self._watch(floats, ints, index, at_us, reading.value[watched], places, verdicts)
            self._state.put(index, floats, ints)

    def _restart(self, index: Index, at_us: Ints, raw: Floats, reading: counters.Reading) -> None:
        """Series of another kind than thought lose what was learned; silent counters keep time and reading."""
        anew = index[reading.relearn]
        kind = self._state.ints[_int_row("kind"), anew].copy()
        self._state.forget(anew)
        self._state.ints[_int_row("kind"), anew] = kind
        noted = reading.silent | reading.relearn
        self._state.ints[_int_row("at_us"), index[noted]] = at_us[noted]
        self._state.floats[_float_row("raw"), index[noted]] = raw[noted]

    def _watch(
        self, floats: Floats, ints: Ints, index: Index, at_us: Ints, value: Floats, places: Index, verdicts: Verdicts
    ) -> None:
        """Score and learn m samples of m distinct series, in place in their blocks."""
        tuning, rows = self.tuning, rows_of(floats, ints)
        gap = views.keep_time(rows, at_us, tuning)
        rows.level[:] = np.where(rows.seen == 0, value, rows.level)
        rows.seen += 1
        slots = season.slots_of(index, at_us, rows, tuning.time_zone)
        expected = season.expected(self._state, slots, rows)
        sight = views.look(rows, value, expected, slots.rows_per_hour, gap, tuning)
        new = season.first_visit(self._state, slots, rows)
        excess = ranges.excess(rows, sight, new, tuning)

        learning = (rows.seen <= tuning.warm_up_rows) | (rows.at_us - rows.first_us < tuning.warm_up_s * 1e6)
        excused = rows.excused_left > 0
        evidence = excess.evidence.sum(axis=0)
        score = evidence / (evidence + _SCORE_SHARE * tuning.evidence)
        score = np.where(learning | excused, 0.0, score)
        patience = ranges.span_rows(rows, tuning.patience_rows, tuning.patience_s).astype(np.int64)
        rows.alarm_left[:] = np.where((score > ANOMALY) & (rows.alarm_left == 0), patience, rows.alarm_left)
        verdicts.fill(places, rows, score, excess, expected, learning, tuning)

        usual = np.clip(value, rows.low[views.VALUE], rows.high[views.VALUE])
        settled = rows.seen > _SETTLED_ROWS
        ranges.learn(rows, sight, (rows.alarm_left > 0) & ~excused, excused, tuning)
        season.learn(self._state, slots, rows, np.where(settled, usual, value), tuning)
        rows.excused_left -= excused


def rounds(index: Index) -> Sequence[Index]:
    """Positions of a batch in rounds: each round has a series at most once, and a series' samples stay in order."""
    if len(index) < 2 or np.all(np.diff(index) > 0):
        return [np.arange(len(index))]
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    nth = np.arange(len(index)) - np.repeat(begins, np.diff(np.append(begins, len(index))))
    by_round = order[np.argsort(nth, kind="stable")]
    return np.split(by_round, np.cumsum(np.bincount(nth))[:-1])


def _int_row(name: str) -> int:
    return INT_NAMES.index(name)


def _float_row(name: str) -> int:
    return FLOAT_NAMES.index(name)
