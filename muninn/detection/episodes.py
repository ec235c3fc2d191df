"""Which series are in trouble, since when: scores of single steps become episodes, with hysteresis.

Belongs here: when an episode opens and closes, and what it makes of the scores around it. Does not: scoring, what
episodes have in common (incidents).

An episode opens when a score over ANOMALY is confirmed by the next one, or is so high that it needs no
confirmation; the way back from a single odd sample is a change too, and confirms nothing. It closes after `calm_us`
without a score over WARNING. Views that look back (trend, volatility, a day's drift) ring for a long time after a
fault: an episode that began with what is seen at present is judged by that alone, and so is what follows it until the
ringing is over.
"""

from dataclasses import dataclass

import numpy as np

from muninn.detection.state import VIEWS, Floats, Index, Ints
from muninn.detection.views import CEILING, CHANGE, FLOOR, MAGNITUDE, RATIO, SURPRISE, VALUE, Bools
from muninn.model.scores import ANOMALY, WARNING

# A single step with such a score is an episode.
CERTAIN = 0.96
_LOOKING_BACK = np.ones(len(VIEWS), bool)
_LOOKING_BACK[[VALUE, SURPRISE, FLOOR, CEILING, MAGNITUDE, RATIO]] = False
_CHANGING = np.zeros(len(VIEWS), bool)
_CHANGING[CHANGE] = True


@dataclass(frozen=True, eq=False)
class Turns:
    """opened, closed: positions of series whose episode began or ended with this step.

    presently: bool[n], of the samples given: they count by what is seen at present alone.
    """

    opened: Index
    closed: Index
    presently: Bools


class Episodes:
    """The open episodes of n series, known by their position."""

    def __init__(self, n_series: int = 0, calm_us: int = 300_000_000):
        self.calm_us = calm_us
        self.open: Bools = np.zeros(n_series, bool)
        # Opened by views that look back. / Closed while they still ring.
        self._slow: Bools = np.zeros(n_series, bool)
        self._rings: Bools = np.zeros(n_series, bool)
        self._hot: Bools = np.zeros(n_series, bool)
        self._hot_us: Ints = np.zeros(n_series, np.int64)

    def grow(self, n_series: int) -> None:
        """Room for `n_series`."""
        more = n_series - len(self.open)
        if more > 0:
            for name in _COLUMNS:
                old = getattr(self, name)
                setattr(self, name, np.append(old, np.zeros(more, old.dtype)))

    def taken(self, index: Index, n_series: int) -> "Episodes":
        """The episodes of the series at `index`, in that order, and room for `n_series`."""
        kept = Episodes(0, self.calm_us)
        for name in _COLUMNS:
            setattr(kept, name, getattr(self, name)[index])
        kept.grow(n_series)
        return kept

    def settle(self, index: Index, now_us: int) -> None:
        """The episodes that are open are those of the series at `index`, as was told by another detector."""
        told = np.zeros(len(self.open), bool)
        told[index] = True
        missed, untold = told & ~self.open, self.open & ~told
        self._hot_us[missed] = now_us
        self._slow[missed] = self._rings[missed] = False
        self._hot[untold] = False
        self.open = told

    def put_back(self, now_us: int) -> None:
        """The clock was ahead: nothing was seen later than now."""
        np.minimum(self._hot_us, now_us, out=self._hot_us)

    def to_bytes(self) -> bytes:
        """All of it, for `from_bytes`."""
        return b"".join(getattr(self, name).tobytes() for name in _COLUMNS)

    @classmethod
    def from_bytes(cls, data: bytes, calm_us: int) -> "Episodes":
        """What was saved; ValueError if it is cut short."""
        made, place = cls(0, calm_us), 0
        n, left = divmod(len(data), sum(getattr(made, name).itemsize for name in _COLUMNS))
        if left:
            raise ValueError("cut short")
        for name in _COLUMNS:
            kind = getattr(made, name).dtype
            setattr(made, name, np.frombuffer(data, kind, n, place).copy())
            place += n * kind.itemsize
        return made

    def restore(self, index: Index, now_us: int) -> None:
        """These series were in an episode when the last detector stopped."""
        self.open[index], self._hot_us[index] = True, now_us

    def judge(
        self, index: Index, score: Floats, present: Floats, lasting: Floats, now_us: int, silent: Bools | None = None
    ) -> Turns:
        """Take in one step's scores of distinct series; `now_us` is its end.

        present: the scores by what is seen at present alone. lasting: the scores but for the change from the last step.
        silent: bool[n], scores of series that sent nothing, which does not tell whether they ring no more.
        """
        unheard = np.zeros(len(index), bool) if silent is None else silent
        self._rings[index] &= (score > WARNING) | unheard
        was_open = self.open[index]
        presently = (was_open & ~self._slow[index]) | (self._rings[index] & ~unheard)
        counts = np.where(presently, present, score)
        hot = counts > ANOMALY
        confirms = np.where(presently, present, lasting) > ANOMALY
        opens = hot & ~was_open & ((self._hot[index] & confirms) | (counts > CERTAIN))
        self._hot[index] = hot
        self._hot_us[index[counts > WARNING]] = now_us
        opened = index[opens]
        self.open[opened] = True
        self._slow[opened] = present[opens] < WARNING
        closed = np.flatnonzero(self.open & (self._hot_us <= now_us - self.calm_us))
        self.open[closed] = self._hot[closed] = False
        self._rings[index] |= was_open & ~self.open[index] & (score > WARNING)
        return Turns(opened, closed, presently)


_COLUMNS = ("open", "_slow", "_rings", "_hot", "_hot_us")


def presently(score: Floats, contributions: Floats) -> tuple[Floats, Floats]:
    """Scores and contributions (float64[n, views]) with the views left out that look back."""
    return _without(_LOOKING_BACK, score, contributions)


def lastingly(score: Floats, contributions: Floats) -> Floats:
    """Scores without the part of the change from the last sample."""
    return _without(_CHANGING, score, contributions)[0]


def _without(views: Bools, score: Floats, contributions: Floats) -> tuple[Floats, Floats]:
    shares = np.where(views, 0.0, contributions)
    part = np.abs(shares).sum(axis=1)
    whole = np.where(score > 0, score, 1.0)
    # A score is e / (e + 1), with e in units of a constant bar: back to evidence, its part, and forth.
    evidence = part / whole * score / np.maximum(1e-12, 1.0 - score)
    found = evidence / (evidence + 1.0)
    return found, shares * np.divide(found, part, out=np.zeros(len(part)), where=part > 0)[:, None]
