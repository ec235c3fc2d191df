"""How much counters have grown over spans: exact on the samples, resets included, nothing assumed between them.

Belongs here: joining the growth of buckets. Does not: growth inside a bucket (the rollups), which rows (spans).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from muninn.clock import HOUR_US, SECOND_US
from muninn.model import Window
from muninn.numerics import counters
from muninn.reads import arrays, spans
from muninn.reads.asking import Asker
from muninn.reads.points import Floats, Ints
from muninn.reads.steps import RAW, Kept


@dataclass(frozen=True, eq=False)
class _Buckets:
    """n buckets of counters, in any order: int64[n] and float64[n] each."""

    series: Ints
    at_us: Ints
    first: Floats
    last: Floats
    increase: Floats

    def take(self, order: Ints) -> "_Buckets":
        return _Buckets(
            self.series[order], self.at_us[order], self.first[order], self.last[order], self.increase[order]
        )


def rates(
    ask: Asker, groups: Mapping[int, int], bounds_us: Sequence[int], now_us: int, kept: Kept, count: int
) -> Floats:
    """float64[count, spans]: each group's growth per second over each span [bounds[i], bounds[i + 1]).

    groups: series id -> group, below `count`. NaN where a group sent no counter's sample in a span.
    """
    seconds = np.diff(np.asarray(bounds_us, np.float64)) / SECOND_US
    grown = np.full((count, len(seconds)), np.nan)
    found = _read(ask, list(groups), bounds_us, now_us, kept)
    found = found.take(np.lexsort((found.at_us, found.series)))
    if len(found.at_us):
        span = np.searchsorted(np.asarray(bounds_us), found.at_us, side="right") - 1
        together = (np.diff(found.series) == 0) & (np.diff(span) == 0)
        between = np.where(together, counters.steps(found.last[:-1], found.first[1:]), 0.0)
        amount = found.increase + np.append(between, 0.0)
        group = np.array([groups[int(ident)] for ident in found.series], np.int64)
        inside = (span >= 0) & (span < len(seconds))
        summed = np.zeros_like(grown)
        np.add.at(summed, (group[inside], span[inside]), amount[inside])
        seen = np.zeros(grown.shape, np.bool_)
        seen[group[inside], span[inside]] = True
        grown[seen] = summed[seen]
    rates: Floats = grown / seconds
    return rates


def _read(ask: Asker, series: list[int], bounds_us: Sequence[int], now_us: int, kept: Kept) -> _Buckets:
    planned = spans.plan(bounds_us, now_us, kept)
    window = Window(bounds_us[0], bounds_us[-1])
    core = _fetch(ask, planned.core, series, window.aligned(planned.core_us))
    if planned.edge is None or not planned.cut_us:
        return core
    edge = "1min" if planned.edge == RAW else planned.edge
    pieces = [core.take(np.flatnonzero(~np.isin(core.at_us, np.array(planned.cut_us))))]
    pieces += [_fetch(ask, edge, series, Window(at_us, at_us + HOUR_US)) for at_us in planned.cut_us]
    joined = _joined(pieces)
    inside = (joined.at_us >= window.since_us) & (joined.at_us < window.until_us)
    return joined.take(np.flatnonzero(inside))


def _fetch(ask: Asker, resolution: str, series: list[int], window: Window) -> _Buckets:
    limits = {"since": window.since, "until": window.until}
    rows = ask.fetch(f"reads_growth_{resolution}", series=series, **limits) if series else []
    return _joined(
        [
            _Buckets(
                np.full(len(at_us := arrays.instants_us(row.at)), row.series_id, np.int64),
                at_us,
                arrays.float64s(row.first_value),
                arrays.float64s(row.last_value),
                arrays.float64s(row.increase),
            )
            for row in rows
        ]
    )


def _joined(some: Sequence[_Buckets]) -> _Buckets:
    none, nothing = np.empty(0, np.int64), np.empty(0, np.float64)
    return _Buckets(
        np.concatenate([none, *(each.series for each in some)]),
        np.concatenate([none, *(each.at_us for each in some)]),
        np.concatenate([nothing, *(each.first for each in some)]),
        np.concatenate([nothing, *(each.last for each in some)]),
        np.concatenate([nothing, *(each.increase for each in some)]),
    )
