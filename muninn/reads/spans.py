"""Series summed up over spans of any length, exact to the sample: whole hours from rollups, finer rows at the edges.

Belongs here: which rows make up a span. Does not: where spans begin (zones), what is told of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muninn.clock import DAY_US, HOUR_US, MINUTE_US
from muninn.errors import Invalid
from muninn.model import Window
from muninn.model.window import as_datetime
from muninn.reads import points
from muninn.reads.asking import Asker
from muninn.reads.points import Merged, Points, Sketches
from muninn.reads.steps import RAW, Kept

# A merged sketch costs about 5 us: a second.
MAX_SKETCHES = 200_000


@dataclass(frozen=True)
class Plan:
    """core: what is read over the whole of the spans; edge: what, over those of its buckets that a bound cuts."""

    core: str
    core_us: int
    edge: str | None
    cut_us: tuple[int, ...]


def plan(bounds_us: Sequence[int], now_us: int, kept: Kept) -> Plan:
    """The cheapest rows that give each span exactly.

    A bucket that a bound cuts is left whole, and counts where it begins, if retention has taken the finer rows.
    """
    for name, width_us in (("1day", DAY_US), ("1hour", HOUR_US)):
        if all(bound % width_us == 0 for bound in bounds_us):
            return Plan(name, width_us, None, ())
    cut = sorted({bound // HOUR_US * HOUR_US for bound in bounds_us if bound % HOUR_US})
    edge = next((name for name, width in _EDGES if all(bound % width == 0 for bound in bounds_us)), RAW)
    return Plan("1hour", HOUR_US, edge, tuple(at_us for at_us in cut if kept.reaches(edge, at_us, now_us)))


_EDGES = (("5min", 5 * MINUTE_US), ("1min", MINUTE_US))


def read(
    ask: Asker, groups: Mapping[int, int], bounds_us: Sequence[int], now_us: int, kept: Kept, *, p95: bool
) -> Merged:
    """Each group of series (id -> group) over each span [bounds[i], bounds[i + 1]); `at_us` of the answer is i.

    Invalid where that would merge too many sketches.
    """
    planned = plan(bounds_us, now_us, kept)
    found = points_of(ask, list(groups), planned, bounds_us, "all" if p95 else "none")
    span = np.searchsorted(np.asarray(bounds_us), found.at_us, side="right") - 1
    return points.merge(found, found.labelled(groups), span)


def points_of(ask: Asker, series: list[int], planned: Plan, bounds_us: Sequence[int], sketches: Sketches) -> Points:
    """The buckets that make up the spans, each within one of them."""
    window = Window(bounds_us[0], bounds_us[-1])
    if sketches == "all" and len(series) * window.length_us // planned.core_us > MAX_SKETCHES:
        raise Invalid(
            f"since: {len(series)} series over {window.length_us // DAY_US} days are more percentiles than are merged"
            " at once; filter by a label, or ask for a shorter window",
            "since",
        )
    core = points.read(ask, planned.core, series, window.aligned(planned.core_us), sketches)
    if planned.edge is None or not planned.cut_us:
        return core
    # Above the watermark the core comes in finer buckets.
    hours_us = core.at_us // planned.core_us * planned.core_us
    whole = core.take(~np.isin(hours_us, np.array(planned.cut_us)))
    edges = points.edges(ask, planned.edge, series, [as_datetime(at_us) for at_us in planned.cut_us], sketches)
    found = Points.concat([whole, edges])
    return found.take((found.at_us >= window.since_us) & (found.at_us < window.until_us))


def share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """100 * part / |whole|; infinite where the whole is 0 and the part is not, 0 where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = np.where(part == 0, 0.0, 100 * part / np.abs(whole))
    return found
