"""The scoring engine's algebra: the same scores in any grouping, unit and week, from saved state, and bounded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_series import DAY_ROWS, KINDS, MONDAY_US, QUICK, instants, made, watch, watch_all
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from muninn.detection import ANOMALY, VIEWS, Engine, Tuning
from muninn.detection.engine import rounds
from muninn.errors import Invalid

ROWS = 400
seeds = st.integers(0, 10_000)
few = settings(max_examples=5)


def spoiled(kind: str, seed: int) -> NDArray[np.float64]:
    """A series with a spike, a step and a quiet stretch, so that alarms and their aftermath are in play."""
    value = made(kind, ROWS, seed)
    size = np.ptp(value[:200]) + 1
    value[210] += 3 * size
    value[260:320] += 2 * size
    value[360:380] = value[360]
    return value


def all_kinds(seed: int) -> NDArray[np.float64]:
    """float64[ROWS, kinds]: each kind, spoiled."""
    return np.stack([spoiled(kind, seed) for kind in sorted(KINDS)], axis=1)


def batch(n_series: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.intp]]:
    """Samples of several series, each irregular, mixed in time order as a gateway would send them."""
    random, names = np.random.default_rng(seed), sorted(KINDS)
    columns = []
    for series in range(n_series):
        at_us = instants(ROWS, start_us=MONDAY_US + series) + random.integers(0, 200_000_000, ROWS)
        columns.append((np.sort(at_us), spoiled(names[series % len(names)], seed), np.full(ROWS, series)))
    at_us, value, index = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(at_us, kind="stable")
    return at_us[order], value[order], index[order]


@pytest.mark.slow
@few
@given(seeds, st.integers(1, 300))
def test_a_batch_scores_as_its_samples_one_by_one(seed: int, size: int) -> None:
    at_us, value, index = batch(7, seed)
    whole = Engine(7, QUICK).score(at_us, value, index)
    assert (whole.score > ANOMALY).any()
    engine = Engine(7, QUICK)
    for start in range(0, len(value), size):
        part = slice(start, start + size)
        found = engine.score(at_us[part], value[part], index[part])
        assert_allclose(found.score, whole.score[part], rtol=0, atol=1e-9)
        assert_allclose(found.contributions, whole.contributions[part], rtol=0, atol=1e-9)


def test_samples_one_by_one_score_as_a_batch() -> None:
    at_us, value, index = batch(9, 1)
    whole, engine = Engine(9, QUICK).score(at_us, value, index), Engine(9, QUICK)
    for row in range(len(value)):
        one = engine.score(at_us[row : row + 1], value[row : row + 1], index[row : row + 1])
        assert abs(one.score[0] - whole.score[row]) < 1e-9


@pytest.mark.slow
@few
@given(seeds, st.floats(-3, 3))
def test_another_unit_changes_no_score(seed: int, decades: float) -> None:
    value = all_kinds(seed)
    assert_allclose(watch_all(value * 10.0**decades), watch_all(value), rtol=0, atol=1e-9)


@pytest.mark.slow
@few
@given(seeds, st.integers(-500, 500))
def test_whole_weeks_change_no_score(seed: int, weeks: int) -> None:
    value = all_kinds(seed)
    moved = watch_all(value, instants(ROWS, start_us=MONDAY_US + weeks * 7 * 86_400_000_000))
    assert_array_equal(moved, watch_all(value))


@pytest.mark.slow
@few
@given(seeds, st.integers(1, ROWS - 1))
def test_no_score_depends_on_what_comes_later(seed: int, until: int) -> None:
    value = all_kinds(seed)
    other = value.copy()
    other[until:] = -7.5
    assert_array_equal(watch_all(other)[:until], watch_all(value)[:until])


magnitudes = st.one_of(st.just(0.0), st.floats(-1e290, 1e290), st.floats(-1e3, 1e3))


@few
@given(st.lists(magnitudes, min_size=200, max_size=400), st.lists(st.integers(-10, 4_000), min_size=400, max_size=400))
def test_any_finite_values_at_any_times_score_within_bounds(values: list[float], intervals: list[int]) -> None:
    at_us = MONDAY_US + np.cumsum(np.array(intervals[: len(values)], np.int64)) * 1_000_000
    found = watch(np.array(values), at_us, Tuning(warm_up_rows=30, warm_up_s=0))
    assert np.isfinite(found.score).all()
    assert ((found.score >= 0) & (found.score < 1)).all()
    assert np.isfinite(found.contributions).all()
    assert ((found.confidence > 0) & (found.confidence <= 1)).all()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_contributions_add_up_to_the_score(kind: str) -> None:
    found = watch(spoiled(kind, 7))
    assert found.contributions.shape == (ROWS, len(VIEWS))
    assert_allclose(np.abs(found.contributions).sum(axis=1), found.score, rtol=0, atol=1e-12)


@pytest.mark.slow
@few
@given(seeds, st.integers(1, ROWS - 1))
def test_a_restored_engine_goes_on_as_if_never_stopped(seed: int, stop: int) -> None:
    n = len(KINDS)
    value, at_us, index = all_kinds(seed).ravel(), np.repeat(instants(ROWS), n), np.tile(np.arange(n), ROWS)
    before, after = slice(0, stop * n), slice(stop * n, None)
    engine = Engine(n, QUICK)
    engine.score(at_us[before], value[before], index[before])
    restored = Engine.from_bytes(engine.to_bytes(), QUICK)
    assert_array_equal(
        restored.score(at_us[after], value[after], index[after]).score,
        engine.score(at_us[after], value[after], index[after]).score,
    )
    assert restored.to_bytes() == engine.to_bytes()


def test_what_is_no_state_is_refused() -> None:
    data = Engine(3).to_bytes()
    for wrong in (b"", b"something else", data[:-8], data.replace(b"surprise", b"astonish"), b"\n[]\n" + data):
        with pytest.raises(Invalid):
            Engine.from_bytes(wrong)


def test_growing_keeps_what_was_learned() -> None:
    at_us, value, index = instants(ROWS), spoiled("daily", 3), np.zeros(ROWS, np.intp)
    engine = Engine(1, QUICK)
    engine.score(at_us[:200], value[:200], index[:200])
    engine.grow(5)
    engine.grow(2)
    assert len(engine) == 5
    later = engine.score(at_us[200:], value[200:], index[200:])
    assert_array_equal(later.score, watch(value).score[200:])


@pytest.mark.parametrize(
    ("at_us", "value", "index"),
    [
        ([1, 2], [1.0, np.nan], [0, 0]),
        ([1, 2], [1.0, np.inf], [0, 0]),
        ([1, 2], [1.0, 2.0], [0, 1]),
        ([1, 2], [1.0, 2.0], [0, -1]),
        ([1, 2], [1.0], [0]),
    ],
)
def test_a_wrong_batch_is_refused_and_teaches_nothing(at_us: list[int], value: list[float], index: list[int]) -> None:
    engine = Engine(1)
    before = engine.to_bytes()
    with pytest.raises(Invalid):
        engine.score(np.array(at_us), np.array(value), np.array(index))
    assert engine.to_bytes() == before


def test_an_empty_batch_is_no_news() -> None:
    engine = Engine(2)
    assert len(engine.score(np.array([], np.int64), np.array([]), np.array([], np.intp))) == 0


@given(st.lists(st.integers(0, 6), max_size=60))
def test_rounds_hold_each_series_once_and_keep_its_order(index: list[int]) -> None:
    series = np.array(index, np.intp)
    parts = rounds(series)
    assert sorted(np.concatenate([*parts, np.array([], np.intp)]).tolist()) == list(range(len(index)))
    for part in parts:
        assert len(set(series[part].tolist())) == len(part)
    for one in set(index):
        own = [place for part in parts for place in part.tolist() if index[place] == one]
        assert own == sorted(own)


def test_many_series_do_not_touch_each_other() -> None:
    """More than one chunk at once, each series as if it were alone."""
    rows, n = DAY_ROWS, 1_500
    random = np.random.default_rng(5)
    value = 10 + random.normal(size=(rows, n))
    engine, index, found = Engine(n, QUICK), np.arange(n), np.zeros((rows, n))
    for row in range(rows):
        found[row] = engine.score(np.full(n, instants(rows)[row]), value[row], index).score
    for one in (0, 1_023, 1_024, 1_499):
        alone = watch(value[:, one].copy())
        assert_allclose(found[:, one], alone.score, rtol=0, atol=1e-9)
