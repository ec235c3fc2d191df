"""The answers of rankings and comparisons, as frozen values.

Belongs here: the shapes of top-N, regressions, comparisons and latest values. Does not: how they are found.
Instants leave as epoch milliseconds (`_ms`); a figure that is not known is None, never NaN.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from muninn.model import SeriesKey
from muninn.reads.values import Trend

Figure = Literal["avg", "min", "max", "p95", "sum", "count", "rate"]
FIGURES: tuple[str, ...] = get_args(Figure)
Verdict = Literal["NORMAL", "WARNING", "CRITICAL"]


@dataclass(frozen=True)
class Ranked:
    """One series (or group) with its figures over the window; p95 is None unless it was ranked by."""

    key: SeriesKey
    value: float
    avg: float
    min: float
    max: float
    p95: float | None
    count: int


@dataclass(frozen=True)
class Top:
    """The first of a metric by one figure, largest (or least) first. of: how many were ranked.

    unit: of `value`. resolution: of the rows that whole hours came from.
    """

    metric: str
    unit: str
    figure: str
    since_ms: int
    until_ms: int
    ranked: tuple[Ranked, ...]
    of: int


@dataclass(frozen=True)
class Shift:
    """One figure, before and now. change_pct: of the size of `before`; None where that is 0.

    noise: three standard deviations of the same figure over the baseline's single days.
    """

    before: float
    now: float
    change_pct: float | None
    noise: float
    verdict: Verdict


@dataclass(frozen=True)
class Regression:
    """A series' last 24 hours against the 7 days before; `verdict` is the worse of its figures'.

    mean: for a counter, of its growth per second. p95: None for a counter. days: of the baseline, with samples.
    """

    key: SeriesKey
    unit: str
    verdict: Verdict
    mean: Shift
    p95: Shift | None
    days: int
    summary: str


@dataclass(frozen=True)
class Regressions:
    """The worst first. judged: how many had enough of a baseline; unjudged: how many had not.

    since_ms: the baseline's start; split_ms: where it ends and the 24 hours begin that it is compared with.
    store_away: what the database said while it is away and this is the last answer kept, else None.
    """

    since_ms: int
    split_ms: int
    until_ms: int
    judged: int
    unjudged: int
    warning: int
    critical: int
    series: tuple[Regression, ...]
    store_away: str | None = None


@dataclass(frozen=True, eq=False)
class Compared:
    """A trend and the same one `offset_us` earlier, its times moved forward by that; steps of both coincide.

    changes: of each series that is in both, from its mean then to its mean now, in order of their keys.
    """

    offset_us: int
    now: Trend
    before: Trend
    changes: tuple["MeanChange", ...]


@dataclass(frozen=True)
class MeanChange:
    """A series' mean over the window, before and now; change_pct as in Shift."""

    key: SeriesKey
    before: float
    now: float
    change_pct: float | None


@dataclass(frozen=True)
class LatestValue:
    """A series' newest sample. state: "ok", or "silent" where it is older than was asked for."""

    key: SeriesKey
    at_ms: int
    value: float
    state: Literal["ok", "silent"]


@dataclass(frozen=True, eq=False)
class Latest:
    """Newest samples of the n series that sent something in the window; silent ones first, each part by key.

    at_ms: int64[n]. value: float64[n]. truncated: how many match in all, where that is more than n. silent: how many of
    all that match are older than was asked for; they are the first ones.
    """

    metric: str
    unit: str
    since_ms: int
    until_ms: int
    keys: tuple[SeriesKey, ...]
    at_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    silent: int
    truncated: int | None

    @cached_property
    def series(self) -> tuple[LatestValue, ...]:
        """One value a series, for who wants them one by one."""
        columns = zip(self.keys, self.at_ms.tolist(), self.value.tolist(), strict=True)
        return tuple(
            LatestValue(key, at_ms, value, "silent" if place < self.silent else "ok")
            for place, (key, at_ms, value) in enumerate(columns)
        )
