"""What is remembered of each series, as columns: two blocks of numbers and the learned season.

Belongs here: the layout, growing it, taking rows out of it and putting them back, bytes and back.
Does not: what the numbers mean to a view.
"""

import json
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from muninn.errors import Invalid

VIEWS = (
    "value",
    "change",
    "surprise",
    "drift",
    "day",
    "trend",
    "floor",
    "ceiling",
    "volatility",
    "magnitude",
    "growth",
    "ratio",
    "departure",
)
HOURS = 24
WEEK_HOURS = 168
MAGIC = b"muninn-detection-1\n"

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Index = NDArray[np.intp]


@dataclass
class Rows:
    """The remembered numbers of m series, one array each, to be changed in place.

    The first group is float64[m], in the metric's unit unless the name says otherwise:
    raw, value: the last sample as it came, and as it is watched (a counter is watched as its rate).
    step_s, longest_s: the usual and the longest remembered interval between samples, seconds.
    noise: the usual step from row to row. level: the slow level, for hours not seen yet.
    fast, slow, log_fast, log_slow, drift, day, centre, spread: smoothed values.
    low_now, low_before, high_now, high_before: extremes of the running and the last block of rows.
    departed_...: extremes of the trend in the running and the last span, which are learned when that is over.
    """

    raw: Floats
    value: Floats
    step_s: Floats
    longest_s: Floats
    noise: Floats
    level: Floats
    fast: Floats
    slow: Floats
    log_fast: Floats
    log_slow: Floats
    drift: Floats
    day: Floats
    centre: Floats
    spread: Floats
    low_now: Floats
    low_before: Floats
    high_now: Floats
    high_before: Floats
    departed_high_now: Floats
    departed_high_before: Floats
    departed_low_now: Floats
    departed_low_before: Floats
    # int64[m]: instants, and numbers of rows.
    at_us: Ints
    first_us: Ints
    seen: Ints
    log_seen: Ints
    block_row: Ints
    departure_row: Ints
    alarm_left: Ints
    excused_left: Ints
    has_negative: Ints
    kind: Ints
    rises: Ints
    # float64[views, m]: the remembered range of each view, and the extremes that wait to be taken in.
    high: Floats
    low: Floats
    high_waiting: Floats
    low_waiting: Floats


_NAMES = [field.name for field in fields(Rows)]
FLOAT_NAMES = tuple(_NAMES[: _NAMES.index("at_us")])
INT_NAMES = tuple(_NAMES[_NAMES.index("at_us") : _NAMES.index("high")])
RANGE_NAMES = tuple(_NAMES[_NAMES.index("high") :])
_FLOAT_ROWS = len(FLOAT_NAMES) + len(RANGE_NAMES) * len(VIEWS)


def rows_of(floats: Floats, ints: Ints) -> Rows:
    """Names for the blocks' rows; the arrays are views into the blocks."""
    views, start = len(VIEWS), len(FLOAT_NAMES)
    ranges = [floats[start + n * views : start + (n + 1) * views] for n in range(len(RANGE_NAMES))]
    return Rows(*floats[:start], *ints, *ranges)


class State:
    """All series' numbers: floats float64[k, n], ints int64[j, n], hour float64[n, 24], week float64[n, 168].

    hour_seen and week_seen (uint16) count the rows that each hour has taught.
    """

    def __init__(self, n_series: int):
        self.floats = np.zeros((_FLOAT_ROWS, n_series))
        self.floats[len(FLOAT_NAMES) :] = np.nan
        self.ints = np.zeros((len(INT_NAMES), n_series), np.int64)
        self.hour = np.zeros((n_series, HOURS))
        self.week = np.zeros((n_series, WEEK_HOURS))
        self.hour_seen = np.zeros((n_series, HOURS), np.uint16)
        self.week_seen = np.zeros((n_series, WEEK_HOURS), np.uint16)

    def __len__(self) -> int:
        return self.floats.shape[1]

    @property
    def bytes_per_series(self) -> float:
        """Bytes kept for each series."""
        return sum(array.nbytes for array in self._arrays()) / max(1, len(self))

    def grow(self, n_series: int) -> None:
        """Room for `n_series`; those already known keep their numbers."""
        fresh = State(max(0, n_series - len(self)))
        self.floats = np.concatenate([self.floats, fresh.floats], axis=1)
        self.ints = np.concatenate([self.ints, fresh.ints], axis=1)
        self.hour, self.week = np.concatenate([self.hour, fresh.hour]), np.concatenate([self.week, fresh.week])
        self.hour_seen = np.concatenate([self.hour_seen, fresh.hour_seen])
        self.week_seen = np.concatenate([self.week_seen, fresh.week_seen])

    def take(self, index: Index) -> tuple[Floats, Ints]:
        """The blocks of the series at `index`; a run of neighbours comes without a copy."""
        if len(index) and index[-1] - index[0] == len(index) - 1 and np.all(np.diff(index) == 1):
            part = slice(int(index[0]), int(index[-1]) + 1)
            return self.floats[:, part], self.ints[:, part]
        return self.floats.take(index, axis=1), self.ints.take(index, axis=1)

    def put(self, index: Index, floats: Floats, ints: Ints) -> None:
        """The inverse of `take`."""
        if floats.base is not self.floats:
            self.floats[:, index] = floats
            self.ints[:, index] = ints

    def taken(self, index: Index) -> "State":
        """A state of the series at `index`, in that order."""
        state = State(len(index))
        state.floats[:], state.ints[:] = self.floats[:, index], self.ints[:, index]
        state.hour[:], state.week[:] = self.hour[index], self.week[index]
        state.hour_seen[:], state.week_seen[:] = self.hour_seen[index], self.week_seen[index]
        return state

    def forget(self, index: Index) -> None:
        """The series at `index` start anew."""
        self.floats[: len(FLOAT_NAMES), index] = 0.0
        self.floats[len(FLOAT_NAMES) :, index] = np.nan
        self.ints[:, index] = 0
        for array in self._season():
            array[index] = 0

    def forget_season(self) -> None:
        """No hour was ever seen."""
        for array in self._season():
            array[:] = 0

    def to_bytes(self) -> bytes:
        """The whole state; `from_bytes` continues with equal scores."""
        layout = {"series": len(self), "views": VIEWS, "floats": FLOAT_NAMES, "ints": INT_NAMES}
        head = MAGIC + json.dumps(layout).encode() + b"\n"
        return head + b"".join(np.ascontiguousarray(array).tobytes() for array in self._arrays())

    @classmethod
    def from_bytes(cls, data: bytes) -> "State":
        """The state that was saved; Invalid if it is none, or of a layout that this version does not know."""
        try:
            _, layout_line, body = data.split(b"\n", 2)
            layout = json.loads(layout_line)
            known = [list(names) for names in (VIEWS, FLOAT_NAMES, INT_NAMES)]
            if not data.startswith(MAGIC) or [layout["views"], layout["floats"], layout["ints"]] != known:
                raise Invalid("this detection state has another layout: let the series be learned anew")
            state, place = cls(layout["series"]), 0
            if len(body) != sum(array.nbytes for array in state._arrays()):
                raise Invalid("this detection state is cut short")
        except (ValueError, KeyError, TypeError) as error:
            raise Invalid("this is no detection state") from error
        for array in state._arrays():
            array[...] = np.frombuffer(body, array.dtype, array.size, place).reshape(array.shape)
            place += array.nbytes
        return state

    def _arrays(self) -> tuple[NDArray[np.generic], ...]:
        return (self.floats, self.ints, *self._season())

    def _season(self) -> tuple[NDArray[np.generic], ...]:
        return (self.hour, self.week, self.hour_seen, self.week_seen)
