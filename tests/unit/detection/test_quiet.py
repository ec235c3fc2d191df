"""Noise in which nothing happens opens hardly an episode, and a fault in it does."""

import numpy as np
import pytest
from made_series import FIVE_MINUTES_S, watch

from bench.quiet import FURTHER, episodes
from bench.quiet import KINDS as OFTEN
from muninn.detection import ANOMALY, Engine, Tuning

pytestmark = pytest.mark.slow

AIM = 0.03
FIRST_US = 1_767_571_200_000_000
SERIES, DAYS = 100, 8
# Above the aim: a walk whose steps grow with its level, one that is at zero for the first time one day, first weekends.
LOUDER = ("geometric walk", "walk between bounds", "day and week")
KINDS = {**OFTEN, **{kind: make for kind, make in FURTHER.items() if kind not in LOUDER}}


@pytest.mark.parametrize("kind", KINDS)
def test_false_episodes_a_series_and_day_are_fewer_than_the_aim(kind: str) -> None:
    assert episodes(KINDS[kind], round(FIVE_MINUTES_S), SERIES, DAYS) <= AIM


def test_the_first_weekend_of_a_series_opens_few() -> None:
    assert episodes(FURTHER["day and week"], round(FIVE_MINUTES_S), SERIES, 10) <= 0.04


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_in_such_noise_is_found_by_the_same_numbers(kind: str) -> None:
    rows = round(DAYS * 86_400 / FIVE_MINUTES_S)
    value = KINDS[kind](np.random.default_rng(1), rows, 1, FIVE_MINUTES_S)[:, 0]
    value[-24:] += 4 * np.ptp(value[:-24])
    assert (watch(value, tuning=Tuning()).score[-24:] > ANOMALY).any()


@pytest.mark.parametrize("kind", ["white", "AR(1), 0.9", "wanders for 6 h", "daily and noise", "random walk"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_leak_that_each_sample_continues_a_little_is_found(kind: str, sign: int) -> None:
    """It leaves by four of the ranges kept to so far in a hundred samples: the steps themselves are small."""
    rows, leaking, step_s, series = 1_700, 100, 60.0, 20
    value = {**OFTEN, **FURTHER}[kind](np.random.default_rng(2), rows + leaking, series, step_s)
    value[rows:] += sign * np.linspace(0, 4, leaking)[:, None] * np.ptp(value[:rows], axis=0)
    engine, index = Engine(series), np.arange(series)
    at_us = FIRST_US + np.arange(rows + leaking) * round(step_s * 1e6)
    score = np.array(
        [engine.score(np.full(series, at), now, index).score for at, now in zip(at_us, value, strict=True)]
    )
    assert ((score[rows:] > ANOMALY).any(axis=0)).mean() >= 0.9
