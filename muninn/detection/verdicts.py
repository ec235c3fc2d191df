"""What detection says about samples, as columns: score, what was expected, which views contributed.

Belongs here: the columns and how they are derived. Does not: scoring, learning.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from muninn.detection import ranges
from muninn.detection.state import VIEWS, Floats, Index, Rows
from muninn.detection.tuning import Tuning
from muninn.detection.views import SURPRISE, Bools


@dataclass(frozen=True, eq=False)
class Verdicts:
    """One entry for each of n samples.

    score: 0..1; over 0.6 a warning, over 0.8 an anomaly; 0 while the series is learned or excused.
    watched: what was judged, the sample or, for a counter, its rise per second.
    expected, low, high: the expected value for this hour and the band that `watched` has kept to, in its unit.
    contributions: float64[n, views], the share of the score each view of VIEWS has, positive for above its
        range, negative for below; the absolute values add up to the score.
    confidence: 0..1, how far the bar has come down from where it stands for a new series to a fully known one.
    learning: the series is too young for a score.
    silent: there was nothing to watch: a counter's first sample, or one that began anew. `watched` is the sample then.
    """

    score: Floats
    watched: Floats
    expected: Floats
    low: Floats
    high: Floats
    contributions: Floats
    confidence: Floats
    learning: Bools
    silent: Bools

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def blank(cls, value: Floats) -> "Verdicts":
        """Nothing to say about these samples: score 0, the value itself expected."""
        n = len(value)
        shares = np.zeros((n, len(VIEWS)))
        same = value.copy(), value.copy(), value.copy(), value.copy()
        return cls(np.zeros(n), *same, shares, np.zeros(n), np.zeros(n, bool), np.zeros(n, bool))

    def scored(self, score: Floats, contributions: Floats) -> "Verdicts":
        """The same with other scores."""
        return replace(self, score=score, contributions=contributions)

    def take(self, rows: Index) -> "Verdicts":
        """Those at `rows`."""
        return Verdicts(*(getattr(self, column.name)[rows] for column in fields(self)))

    def fill(
        self,
        places: Index,
        rows: Rows,
        score: Floats,
        excess: ranges.Excess,
        expected: Floats,
        learning: Bools,
        tuning: Tuning,
    ) -> None:
        """Write what m samples showed at `places`; `rows` as they were before learning from them."""
        self.score[places] = score
        self.watched[places] = rows.value
        self.expected[places] = expected
        self.low[places] = expected + np.fmin(rows.low[SURPRISE], 0.0)
        self.high[places] = expected + np.fmax(rows.high[SURPRISE], 0.0)
        total = excess.evidence.sum(axis=0)
        share = np.divide(score, total, out=np.zeros(len(total)), where=total > 0)
        self.contributions[places] = (np.where(excess.above, share, -share) * excess.evidence).T
        self.confidence[places] = ranges.confidence(rows, tuning)
        self.learning[places] = learning

    def reasons(self, row: int, most: int = 3) -> list[tuple[str, float]]:
        """The views that contributed most to one score, with their signed shares; [] where nothing is odd."""
        shares = self.contributions[row]
        order = np.argsort(-np.abs(shares), kind="stable")[:most]
        return [(VIEWS[view], float(shares[view])) for view in order if shares[view] != 0]
