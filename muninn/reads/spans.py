"""Series summed up over spans of any length, exact to the sample: whole hours from rollups, finer rows at the edges.

Belongs here: which rows make up a span. Does not: where spans begin (zones), what is told of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from muninn.clock import DAY_US, HOUR_US, MINUTE_US
from muninn.errors import Invalid
from muninn.model import Window
from muninn.model.window import as_datetime
from muninn.reads import points, steps
from muninn.reads.asking import Asker
from muninn.reads.points import Merged, Piece, Points, Sketches
from muninn.reads.steps import RAW, Kept

# A merged sketch costs about 5 us: a second.
MAX_SKETCHES = 200_000


@dataclass(frozen=True)
class Plan:
    """core: what is read over the whole of the spans; edge: what, over those of its buckets that a bound cuts.

    within: the coarsest that may make up an edge, where no bound cuts it.
    """

    core: str
    core_us: int
    edge: str | None
    cut_us: tuple[int, ...]
    within: str = RAW


def plan(bounds_us: Sequence[int], now_us: int, kept: Kept) -> Plan:
    """The cheapest rows that give each span exactly.

    A bucket that a bound cuts is left whole, and counts where it begins, if retention has taken the finer rows.
    """
    for name, width_us in (("1day", DAY_US), ("1hour", HOUR_US)):
        if all(bound % width_us == 0 for bound in bounds_us):
            return Plan(name, width_us, None, ())
    cut = sorted({bound // HOUR_US * HOUR_US for bound in bounds_us if bound % HOUR_US})
    edge = next((name for name, width in _EDGES if all(bound % width == 0 for bound in bounds_us)), RAW)
    reached = tuple(at_us for at_us in cut if kept.reaches(edge, at_us, now_us))
    coarser = edge != RAW and all(kept.reaches("5min", at_us, now_us) for at_us in reached)
    return Plan("1hour", HOUR_US, edge, reached, "5min" if coarser else edge)


_EDGES = (("5min", 5 * MINUTE_US), ("1min", MINUTE_US))


def pieces(planned: Plan, bounds_us: Sequence[int]) -> list[Piece]:
    """What is read but for samples: whole buckets of the core, and of the hours that bounds cut what lies between."""
    whole = Window(bounds_us[0], bounds_us[-1]).aligned(planned.core_us)
    first, last = (at_us in planned.cut_us for at_us in (whole.since_us, whole.until_us - HOUR_US))
    since_us, until_us = whole.since_us + HOUR_US * first, whole.until_us - HOUR_US * last
    core = [Piece(planned.core, Window(since_us, until_us), planned.cut_us)] if since_us < until_us else []
    if planned.edge in (None, RAW):
        return core
    return core + [piece for at_us in planned.cut_us for piece in _edges(planned, at_us, bounds_us)]


def _edges(planned: Plan, hour_us: int, bounds_us: Sequence[int]) -> Iterator[Piece]:
    since_us, until_us = max(hour_us, bounds_us[0]), min(hour_us + HOUR_US, bounds_us[-1])
    # No bound cuts a bucket of the edge's own level; what is coarser has to end at each.
    inner = [bound for bound in bounds_us if since_us < bound < until_us] if planned.within != planned.edge else []
    for start_us, stop_us in pairwise([since_us, *inner, until_us]):
        if start_us < stop_us:
            yield from (Piece(*one) for one in steps.pieces(Window(start_us, stop_us), planned.within))


def merged(found: Points, groups: Mapping[int, int], bounds_us: Sequence[int]) -> Merged:
    """Buckets that each lie within one span, summed up by group and span."""
    span = np.searchsorted(np.asarray(bounds_us), found.at_us, side="right") - 1
    return points.merge(found, found.labelled(groups), span)


def points_of(ask: Asker, series: list[int], planned: Plan, bounds_us: Sequence[int], sketches: Sketches) -> Points:
    """The buckets that make up the spans, each within one of them."""
    check_size(len(series), planned, bounds_us, sketches)
    found = points.read(ask, pieces(planned, bounds_us), series, sketches)
    return with_samples(ask, series, planned, bounds_us, found)


def with_samples(ask: Asker, series: list[int], planned: Plan, bounds_us: Sequence[int], found: Points) -> Points:
    """What was read of the pieces, and the samples of hours that are cut amid a minute."""
    if planned.edge == RAW and planned.cut_us and series:
        hours = [as_datetime(at_us) for at_us in planned.cut_us]
        found = Points.concat([found, points.raw(ask, series, hours)])
    return found.take((found.at_us >= bounds_us[0]) & (found.at_us < bounds_us[-1]))


def check_size(series: int, planned: Plan, bounds_us: Sequence[int], sketches: Sketches) -> None:
    """Invalid where so many series over these spans would be too many sketches."""
    length_us = bounds_us[-1] - bounds_us[0]
    if sketches == "all" and series > most_series(planned, bounds_us):
        raise Invalid(
            f"since: {series} series over {length_us // DAY_US} days are more percentiles than are merged"
            " at once; filter by a label, or ask for a shorter window",
            "since",
        )


def most_series(planned: Plan, bounds_us: Sequence[int]) -> int:
    """Of how many series sketches are merged over these spans."""
    return MAX_SKETCHES * planned.core_us // (bounds_us[-1] - bounds_us[0])


def share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """100 * part / |whole|; infinite where the whole is 0 and the part is not, 0 where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = np.where(part == 0, 0.0, 100 * part / np.abs(whole))
    return found
