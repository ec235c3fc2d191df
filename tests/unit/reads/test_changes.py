"""Minutes of many series compared, against doing it series by series."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.reads import _minutes, changes

SPLIT = 50
# Samples of a minute; none: the minute has none.
series = st.lists(st.lists(st.floats(0, 1e6).map(lambda value: round(value, 2)), max_size=3), min_size=60, max_size=60)


def expected(minutes: list[list[float]], *, counter: bool) -> tuple[float, float, float] | None:
    """The mean before and from then on, and the spread before."""
    there = [number for number, some in enumerate(minutes) if some]
    parts: list[tuple[int, float, float]] = [(number, sum(minutes[number]), len(minutes[number])) for number in there]
    if counter:
        pairs = pairwise(there)
        grown = [(one, min(minutes[two]) - min(minutes[one]), 60.0 * (two - one)) for one, two in pairs]
        parts = [part for part in grown if part[1] >= 0]
    before, now = ([part for part in parts if (part[0] >= SPLIT) == later] for later in (False, True))
    if len(before) < changes.MIN_BEFORE or len(now) < changes.MIN_NOW:
        return None
    means = [sum(part[1] for part in some) / sum(part[2] for part in some) for some in (before, now)]
    return means[0], means[1], float(np.std([part[1] / part[2] for part in before], ddof=1))


@pytest.mark.slow
@given(st.lists(series, min_size=1, max_size=3), st.booleans(), st.randoms())
def test_each_series_is_compared_with_itself(every: list[list[list[float]]], counter: bool, random: object) -> None:
    # Series have every second number; what has an odd one is compared with nothing.
    sent = [
        (2 * place + (number == 4), number, len(some), sum(some), min(some))
        for place, minutes in enumerate(every)
        for number, some in enumerate(minutes)
        if some
    ]
    every = [[[] if number == 4 else some for number, some in enumerate(minutes)] for minutes in every]
    random.shuffle(sent)  # type: ignore[attr-defined]
    ids, minute, *amounts = np.array(sent, np.float64).reshape(-1, 5).T
    place_of = np.full(2 * len(every), -1)
    place_of[::2] = np.arange(len(every))
    table = np.zeros((3, len(every), 60))
    _minutes.lay_out(ids.astype(np.int64), minute.astype(np.int64), np.array(amounts), place_of, 1e100, table)
    found = changes.compare(table, np.full(len(every), counter), SPLIT)
    wanted = {place: told for place, some in enumerate(every) if (told := expected(some, counter=counter)) is not None}
    assert found.place.tolist() == list(wanted)
    for number, (before, now, spread) in enumerate(wanted.values()):
        assert (found.before[number], found.now[number]) == pytest.approx((before, now), rel=1e-9, abs=1e-9)
        assert found.spread[number] == pytest.approx(spread, rel=1e-6, abs=1e-6)


def test_what_cannot_be_squared_or_lies_elsewhere_is_left_out() -> None:
    counts, totals, lows = np.array([[1.0, 1, 1, 1, 2], [1, 1e200, 1, 1, 7], [-1e200, 1, 1, 1, 3]])
    minute, table = np.array([0, 1, -1, 60, 2]), np.zeros((3, 1, 60))
    _minutes.lay_out(
        np.zeros(5, np.int64), minute, np.array([counts, totals, lows]), np.zeros(1, np.int64), 1e100, table
    )
    assert table[:, 0, 2].tolist() == [2, 7, 3]
    assert np.count_nonzero(table) == 3
