"""A trend beside the same one some time before.

Belongs here: both trends on one axis, and the change of means. Does not: verdicts (regressions).
"""

from dataclasses import replace

import numpy as np

from muninn.clock import MINUTE_US
from muninn.errors import Invalid
from muninn.model import SeriesKey, Window
from muninn.reads import trend
from muninn.reads.asking import Asker
from muninn.reads.rankings import Compared, MeanChange
from muninn.reads.steps import Kept
from muninn.reads.trend import Question
from muninn.reads.values import Trend, TrendSeries


def compare(ask: Asker, question: Question, offset_us: int, now_us: int, kept: Kept) -> Compared:
    """Both trends by the step of the later one, or of the earlier one where only coarser rows are left of it.

    The offset is whole minutes. UnknownMetric, Invalid, Unavailable.
    """
    if offset_us <= 0 or offset_us % MINUTE_US:
        raise Invalid("offset: must be whole minutes, and more than none", "offset")
    past = Window(question.window.since_us - offset_us, question.window.until_us - offset_us)
    if past.since_us < 0:
        raise Invalid("offset: reaches back before 1970", "offset")
    earlier = trend.planned_of(replace(question, window=past), now_us, kept)
    step_us = question.step_us
    if earlier.step_us > MINUTE_US or step_us is not None:
        step_us = earlier.step_us
    later = trend.planned_of(replace(question, step_us=step_us), now_us, kept)
    if offset_us % later.step_us:
        raise Invalid(f"offset: must be a multiple of the step, which is {later.step_us // 1_000_000} s here", "offset")
    before, now = trend.pair(ask, question, earlier, later, now_us, kept)
    moved = _moved(before, offset_us)
    return Compared(offset_us, now, moved, tuple(_changes(now, moved)))


def _moved(found: Trend, offset_us: int) -> Trend:
    window = Window(found.window.since_us + offset_us, found.window.until_us + offset_us)
    series = tuple(replace(one, at_ms=one.at_ms + offset_us // 1000) for one in found.series)
    return replace(found, window=window, series=series)


def _changes(now: Trend, before: Trend) -> list[MeanChange]:
    then = {one.key: _mean(one) for one in before.series}
    return [_change(one.key, then[one.key], _mean(one)) for one in now.series if one.key in then]


def _change(key: SeriesKey, before: float, now: float) -> MeanChange:
    return MeanChange(key, before, now, (now - before) / abs(before) * 100 if before else None)


def _mean(one: TrendSeries) -> float:
    return float(np.average(one.avg, weights=one.count))
