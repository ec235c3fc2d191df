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
    sent = np.empty((0, 6), np.int64)
    places, lengths = [], []
    for place, minutes in enumerate(every):
        for number, some in enumerate(minutes):
            if some:
                figures = np.array([sum(some), min(some), max(some), np.nan])
                words = np.concatenate([[number * 60 + 7 * 60, len(some)], figures.view(np.int64)])
                sent = np.vstack([sent, words.astype(np.int64)])
                places.append(place if number % 2 else -1 if number == 4 else place)
                lengths.append(1)
    every = [[[] if number == 4 else some for number, some in enumerate(minutes)] for minutes in every]
    order = np.array(sorted(range(len(sent)), key=lambda _: random.random()), np.int64)  # type: ignore[attr-defined]
    table = np.zeros((3, len(every), 60))
    place, length = np.array(places, np.int64)[order], np.array(lengths, np.int64)
    _minutes.lay_out(np.ascontiguousarray(sent[order]), place, length, 7 * 60, 60, 1e100, table)
    found = changes.compare(table, np.full(len(every), counter), SPLIT)
    wanted = {place: told for place, some in enumerate(every) if (told := expected(some, counter=counter)) is not None}
    assert found.place.tolist() == list(wanted)
    for number, (before, now, spread) in enumerate(wanted.values()):
        assert (found.before[number], found.now[number]) == pytest.approx((before, now), rel=1e-9, abs=1e-9)
        assert found.spread[number] == pytest.approx(spread, rel=1e-6, abs=1e-6)


def test_what_cannot_be_squared_or_lies_elsewhere_is_left_out() -> None:
    figures = np.array([[1.0, -1e200, 1.0, 0.0], [1.0, 1.0, 1e200, 0.0], [1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
    sent = np.hstack([np.array([[60, 1], [120, 1], [59, 1], [3660, 1]]), figures.view(np.int64)])
    table = np.zeros((3, 1, 60))
    _minutes.lay_out(sent, np.zeros(1, np.int64), np.array([4]), 60, 60, 1e100, table)
    assert not table.any()
