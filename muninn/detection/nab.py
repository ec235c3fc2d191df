"""One series, one sample at a time: the form in which the Numenta Anomaly Benchmark asks a detector.

Belongs here: instants as benchmarks give them, the hold after an alert. Does not: scoring.
"""

from datetime import UTC, datetime

import numpy as np

from muninn.detection.engine import Engine
from muninn.detection.state import Floats, Index
from muninn.detection.tuning import ANOMALY, Tuning
from muninn.errors import Invalid
from muninn.model.window import as_us

HOLD_ROWS = 36
# The benchmark has a probation of its own (15 % of a series, at times half a day) in which nothing counts.
# Its series are two weeks long: caution until a season is well known would be caution to the end.
TUNING = Tuning(warm_up_s=0.0, young_days=0.0, young_extremes_days=0.0, new_weekday=1.0)


class Detector:
    """Streaming, one object a series; it knows neither the range of the series nor its length in advance.

    After an alert (score > 0.8) the next `hold_rows` scores are at most 0.8: one fault is one alert.
    """

    def __init__(self, tuning: Tuning = TUNING, hold_rows: int = HOLD_ROWS):
        self._engine = Engine(1, tuning)
        self._index = np.zeros(1, np.intp)
        self._hold = Hold(1, hold_rows)

    def update(self, timestamp: datetime | np.datetime64 | str, value: float) -> float:
        """The score of the next sample, 0..1; a timestamp without a zone is UTC. Invalid if value is not finite."""
        try:
            instant = np.array([_instant(timestamp)], np.int64)
        except (ValueError, TypeError) as error:
            raise Invalid(f"not a timestamp: {timestamp!r}", "timestamp") from error
        verdicts = self._engine.score(instant, np.array([value], np.float64), self._index)
        return float(self._hold.apply(verdicts.score, self._index)[0])


class Hold:
    """Lets one alert through and holds those of the same series within the next `rows` samples at 0.8."""

    def __init__(self, n_series: int, rows: int):
        self._rows = rows
        self._left = np.zeros(n_series, np.int64)

    def apply(self, score: Floats, index: Index) -> Floats:
        """float64[n]: the scores of n samples of distinct series, capped where an alert is being held."""
        alert, held = score > ANOMALY, self._left[index] > 0
        self._left[index] = np.where(alert & ~held, self._rows, np.maximum(0, self._left[index] - 1))
        return np.where(alert & held, ANOMALY, score)


def _instant(timestamp: datetime | np.datetime64 | str) -> int:
    if isinstance(timestamp, datetime):
        # Also pandas' own timestamps, which are datetimes.
        return as_us(timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC))
    return int(np.datetime64(timestamp).astype("datetime64[us]").astype(np.int64))
