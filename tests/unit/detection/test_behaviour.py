"""What detection does with things that happen to metrics: faults, new normals, quiet, gaps, restarts, calendars."""

import numpy as np
import pytest
from made_series import DAY_ROWS, KINDS, MONDAY_US, QUICK, busy_hours, day_curve, instants, made, watch, watch_all
from numpy.typing import NDArray

from muninn.detection import ANOMALY, VIEWS, WARNING, Engine, Tuning, Verdicts
from muninn.detection.nab import HOLD_ROWS, Hold

WEEK_ROWS = 7 * DAY_ROWS


def noisy(rows: int, level: float = 100.0, seed: int = 0) -> NDArray[np.float64]:
    """level +- 2, normal."""
    return level + 2 * np.random.default_rng(seed).normal(size=rows)


def share(found: Verdicts, row: int, view: str) -> float:
    return float(found.contributions[row, VIEWS.index(view)])


def test_a_new_series_is_silent_whatever_it_shows() -> None:
    value = noisy(600)
    value[[100, 140, 147]] = 1e6
    found = watch(value, tuning=Tuning())
    assert found.learning[:DAY_ROWS].all()
    assert (found.score[:DAY_ROWS] == 0).all()
    assert not found.learning[DAY_ROWS:].any()


@pytest.mark.slow
def test_a_series_sampled_fast_is_silent_for_a_day_and_one_sampled_slowly_for_some_rows() -> None:
    assert watch(noisy(3_000), instants(3_000, step_s=10.0), Tuning()).learning.all()
    slow = watch(noisy(200), instants(200, step_s=3_600.0), Tuning())
    assert np.flatnonzero(~slow.learning)[0] == Tuning().warm_up_rows


def test_a_spike_is_an_anomaly_with_its_reasons() -> None:
    value = noisy(1_000)
    value[900] = 160
    found = watch(value)
    assert found.score[900] > ANOMALY
    assert (found.score[500:900] < ANOMALY).all()
    assert abs(found.expected[900] - 100) < 2
    assert 85 < found.low[900] < 97
    assert 103 < found.high[900] < 115
    names = {name for name, _ in found.reasons(900)}
    assert names <= {"value", "change", "surprise", "magnitude", "ratio"}
    assert all(signed > 0 for _, signed in found.reasons(900))


def test_a_drop_counts_downwards() -> None:
    value = noisy(1_000)
    value[900:] = 40
    found = watch(value)
    assert found.score[900] > ANOMALY
    assert share(found, 900, "value") < 0
    assert share(found, 900, "change") < 0


def test_a_fault_keeps_its_score_and_is_not_learned_while_it_lasts() -> None:
    value = noisy(1_300)
    value[1_000:1_040] += 60
    found = watch(value)
    assert (found.score[1_000:1_040] > ANOMALY).all()
    assert (found.high[1_000:1_040] < 115).all()
    assert abs(found.expected[1_000 + DAY_ROWS - 5] - 100) < 5, "the same hour a day later is not expected high"


@pytest.mark.slow
def test_a_new_normal_is_accepted_in_the_end() -> None:
    value = np.concatenate([noisy(1_000), noisy(1_000, level=160, seed=1)])
    found = watch(value)
    assert found.score[1_000] > ANOMALY
    assert (found.score[1_000:1_048] > ANOMALY).all()
    assert (found.score[1_500:] < ANOMALY).all()


@pytest.mark.slow
def test_a_fault_that_comes_back_alarms_again_and_less_each_time() -> None:
    value = noisy(6_000)
    starts = list(range(1_000, 6_000, 500))
    for start in starts:
        value[start] = 160
    found = watch(value)
    scores = found.score[starts]
    assert scores[0] > ANOMALY
    assert scores[1] > ANOMALY
    assert scores[-1] < ANOMALY
    assert (scores[4:] < scores[0] - 0.15).all()


@pytest.mark.slow
def test_a_quiet_hour_in_a_busy_time_is_seen_though_the_value_is_usual() -> None:
    rows = 9 * DAY_ROWS
    value = 20 + 60 * busy_hours(rows) + np.random.default_rng(0).normal(size=rows)
    missing = slice(8 * DAY_ROWS, 9 * DAY_ROWS)
    value[missing] = 20 + np.random.default_rng(1).normal(size=DAY_ROWS)
    found = watch(value)
    morning = 8 * DAY_ROWS + 8 * 12
    assert (found.score[morning - 12 : morning] < ANOMALY).all()
    assert (found.score[morning : morning + 12] > ANOMALY).any()
    row = morning + int(np.argmax(found.score[morning : morning + 12]))
    assert found.expected[row] > 50
    assert found.low[row] > value[row]
    seasonal = sum(share(found, row, view) for view in ("surprise", "drift", "day", "ratio", "ceiling"))
    assert seasonal < -0.6


@pytest.mark.slow
def test_quiet_weekends_are_learned() -> None:
    rows = 6 * WEEK_ROWS
    weekday = (np.arange(rows) // DAY_ROWS) % 7 < 5
    value = 20 + 60 * busy_hours(rows) * weekday + np.random.default_rng(0).normal(size=rows)
    found = watch(value)
    last = slice(5 * WEEK_ROWS, 6 * WEEK_ROWS)
    assert (found.score[last] < WARNING).all()
    noon = 5 * WEEK_ROWS + 12 * 12
    assert found.expected[noon] > 65, "Monday"
    assert found.expected[noon + 5 * DAY_ROWS] < 35, "Saturday"


def test_a_leak_is_seen_as_it_leaves_the_range() -> None:
    value = noisy(2_000)
    value[1_500:] += 0.15 * np.arange(500)
    found = watch(value)
    assert (found.score[1_500:] > ANOMALY).any()
    first = 1_500 + int(np.argmax(found.score[1_500:] > ANOMALY))
    assert value[first] < 125


@pytest.mark.slow
def test_noise_that_grows_is_seen_in_volatility() -> None:
    random = np.random.default_rng(2)
    value = 100 + random.uniform(-2, 2, 2_000)
    value[1_500:] = 100 + random.uniform(-5, 5, 500)
    found = watch(value)
    alarms = 1_500 + np.flatnonzero(found.score[1_500:1_600] > ANOMALY)
    assert len(alarms)
    assert max(share(found, row, "volatility") for row in range(1_500, 1_600)) > 0


def test_a_constant_series_is_silent_until_it_changes() -> None:
    value = np.full(1_000, 7.0)
    value[900] = 8.0
    found = watch(value)
    assert (found.score[:900] == 0).all()
    assert found.score[900] > ANOMALY
    assert found.score[500:900].max() == 0
    zero = watch(np.zeros(500))
    assert (zero.score == 0).all()


def test_a_hair_more_than_constant_is_no_anomaly() -> None:
    value = np.full(1_000, 7.0)
    value[900:] = 7.0 * (1 + 1e-6)
    assert (watch(value).score < WARNING).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_undisturbed_series_alarm_seldom_and_ever_less(kind: str) -> None:
    n, rows = 16, 4_000
    value = np.stack([made(kind, rows, seed) for seed in range(n)], axis=1)
    hold, alerts = Hold(n, HOLD_ROWS), np.zeros(rows)
    for row, scores in enumerate(watch_all(value)):
        alerts[row] = (hold.apply(scores, np.arange(n)) > ANOMALY).sum()
    assert 1000 * alerts[:2_000].sum() / (n * 2_000) < 2.5
    assert 1000 * alerts[2_000:].sum() / (n * 2_000) < 1.0


@pytest.mark.slow
def test_faster_sampling_does_not_multiply_alarms() -> None:
    random, n = np.random.default_rng(0), 40
    slow = watch_all(100 + random.normal(size=(864, n)))
    fast = watch_all(100 + random.normal(size=(8_640, n)), instants(8_640, step_s=30.0), Tuning(warm_up_s=6 * 3_600.0))
    assert (slow > ANOMALY).sum() > 0
    assert (fast > ANOMALY).sum() < 3 * (slow > ANOMALY).sum()


def test_a_step_across_a_gap_is_no_change() -> None:
    value = 100 + 40 * day_curve(2_000) + noisy(2_000, level=0.0)
    keep = np.ones(2_000, bool)
    keep[1_440 + 40 : 1_440 + 110] = False
    found = watch(value[keep], instants(2_000)[keep])
    after = 1_440 + 40
    assert abs(value[keep][after] - value[keep][after - 1]) > 30
    assert share(found, after, "change") == 0
    assert (found.score[after : after + 30] < ANOMALY).all()


@pytest.mark.slow
def test_irregular_sampling_is_usual() -> None:
    random = np.random.default_rng(3)
    at_us = MONDAY_US + np.cumsum(random.exponential(300e6, 3_000)).astype(np.int64)
    value = noisy(3_000)
    value[2_500] = 200
    found = watch(value, at_us)
    assert (found.score[1_000:2_500] < ANOMALY).all()
    assert found.score[2_500] > ANOMALY


@pytest.mark.slow
def test_a_clock_that_jumps_raises_no_alarm() -> None:
    at_us = instants(2_000)
    at_us[1_000:] -= 2 * 3_600_000_000
    at_us[1_500:] += 40 * 86_400_000_000
    value = np.stack([noisy(2_000, seed=seed) for seed in range(10)], axis=1)
    assert (watch_all(value, at_us)[1_000:] > ANOMALY).sum() <= 3
    value[1_600:1_603] += 60
    assert (watch_all(value, at_us)[1_600:1_603] > ANOMALY).all(), "it still sees what is odd"


def test_a_counter_is_watched_as_its_rate() -> None:
    random = np.random.default_rng(4)
    rises = random.poisson(3_000, 1_500).astype(np.float64)
    rises[1_200] = 30_000
    found = watch(np.cumsum(rises))
    assert np.allclose(found.watched[1_000], rises[1_000] / 300)
    assert (found.score[400:1_200] < ANOMALY).all()
    assert found.score[1_200] > ANOMALY


def test_a_counter_that_restarts_is_forgiven() -> None:
    value = np.cumsum(np.random.default_rng(4).poisson(3_000, 1_500)).astype(np.float64)
    value[1_000:] -= value[999]
    found = watch(value)
    assert found.score[1_000] == 0
    assert (found.score[1_000:1_100] < ANOMALY).all()
    assert not found.learning[1_000:].any(), "what was learned of the rate stays"


def test_a_gauge_that_only_grew_is_learned_anew_once_it_falls() -> None:
    value = np.cumsum(np.abs(noisy(1_000, level=5)))
    value[600:] = value[599] - 20 + noisy(400, level=0)
    found = watch(value)
    assert found.learning[601:750].all()
    assert (found.score[600:750] == 0).all()
    assert np.allclose(found.watched[601:], value[601:])
    assert not found.learning[-1]


@pytest.mark.slow
def test_what_was_announced_is_excused_and_learned() -> None:
    value = np.concatenate([noisy(1_000), noisy(500, level=140, seed=1)])
    engine, zeros = Engine(1, QUICK), np.zeros(1_500, np.intp)
    at_us = instants(1_500)
    engine.score(at_us[:1_000], value[:1_000], zeros[:1_000])
    engine.excuse(np.array([0]), 30)
    found = engine.score(at_us[1_000:], value[1_000:], zeros[1_000:])
    assert (found.score[:30] == 0).all()
    assert (found.score[30:100] < ANOMALY).all()
    value[1_400] = 230
    assert watch(value).score[1_400] > ANOMALY


def test_forgetting_starts_anew() -> None:
    engine, at_us, value = Engine(2, QUICK), instants(400), noisy(400)
    for series in (0, 1):
        engine.score(at_us, value, np.full(400, series))
    engine.forget(np.array([1]))
    found = engine.score(at_us[-1:].repeat(2) + 300_000_000, np.array([100.0, 100.0]), np.array([0, 1]))
    assert found.learning.tolist() == [False, True]


def test_silence_is_odd_by_the_longest_pause() -> None:
    engine, at_us = Engine(2), instants(400, step_s=10.0)
    engine.score(at_us, noisy(400), np.zeros(400, np.intp))
    last = int(at_us[-1])
    assert engine.overdue(last + 10_000_000)[0] == 0
    assert engine.overdue(last + 29_000_000)[0] < ANOMALY
    assert engine.overdue(last + 31_000_000)[0] > ANOMALY
    assert engine.overdue(last - 5_000_000)[0] == 0
    assert engine.overdue(last + 10**12)[1] == 0, "a series that was never seen"


@pytest.mark.slow
def test_confidence_grows_with_what_is_known() -> None:
    found = watch(noisy(3_000))
    assert (np.diff(found.confidence) >= 0).all()
    assert found.confidence[200] < 0.25
    assert found.confidence[-1] > 0.4


@pytest.mark.slow
def test_small_hours_count_as_much_as_busy_ones() -> None:
    """Errors at night at ten times the usual, yet below the day's: the ratio sees them."""
    rows = 14 * DAY_ROWS
    value = np.exp(4 + 2 * day_curve(rows) + 0.1 * np.random.default_rng(0).normal(size=rows))
    night = 13 * DAY_ROWS
    value[night : night + 6] *= 8
    found = watch(value)
    assert value[night : night + 6].max() < value.max() / 2
    assert (found.score[night : night + 6] > ANOMALY).any()
    assert share(found, night + 1, "ratio") > 0.2
