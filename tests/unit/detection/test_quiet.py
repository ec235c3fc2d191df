"""Noise in which nothing happens opens hardly an episode, and a fault in it does."""

import numpy as np
import pytest
from made_series import FIVE_MINUTES_S, watch

from bench.quiet import FURTHER, episodes
from bench.quiet import KINDS as OFTEN
from muninn.detection import ANOMALY, Tuning

AIM = 0.03
SERIES, DAYS = 100, 8
KINDS = {**OFTEN, **{kind: FURTHER[kind] for kind in ("bursts", "log-normal", "counter")}}


@pytest.mark.parametrize("kind", KINDS)
def test_false_episodes_a_series_and_day_are_fewer_than_the_aim(kind: str) -> None:
    assert episodes(KINDS[kind], round(FIVE_MINUTES_S), SERIES, DAYS) <= AIM


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_in_such_noise_is_found_by_the_same_numbers(kind: str) -> None:
    rows = round(DAYS * 86_400 / FIVE_MINUTES_S)
    value = KINDS[kind](np.random.default_rng(1), rows, 1, FIVE_MINUTES_S)[:, 0]
    value[-24:] += 4 * np.ptp(value[:-24])
    assert (watch(value, tuning=Tuning()).score[-24:] > ANOMALY).any()
