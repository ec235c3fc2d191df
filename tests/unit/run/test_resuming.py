"""A detector that was killed goes on as if it had not been, but for what is told already."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from muninn.clock import SECOND_US
from muninn.detection import Tuning
from muninn.detection.watch import Findings, Watch
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.run.resuming import REACH_BACK_US, read_on

STEP_S, START_US = 10, 1_767_571_200_000_000
KEYS = tuple(SeriesKey.of("cpu_busy_pct", {"cpu": str(n)}, "agent", f"host-{n % 2}") for n in range(6))


@dataclass
class Past:
    """Samples as the store keeps them: a second apart, quiet but for what is laid over."""

    seconds: int
    value: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.value = 50 + np.random.default_rng(0).normal(size=(self.seconds, len(KEYS)))

    def read(self, window: Window) -> SampleBatch:
        first, last = ((at - START_US) // SECOND_US for at in (window.since_us, window.until_us))
        rows = self.value[max(0, first) : max(0, last)]
        at_us = window.since_us + np.arange(len(rows)).repeat(len(KEYS)) * SECOND_US
        index = np.tile(np.arange(len(KEYS), dtype=np.int32), len(rows))
        there = np.isfinite(rows.ravel())
        return SampleBatch(at_us[there], rows.ravel()[there], index[there], KEYS)

    def watched(self, watch: Watch, since_s: int, until_s: int) -> list[Findings]:
        found = []
        for second in range(since_s, until_s, STEP_S):
            end_us = START_US + (second + STEP_S) * SECOND_US
            watch.take(self.read(Window(end_us - STEP_S * SECOND_US, end_us)))
            found += watch.judge(end_us)
        return found


def new() -> Watch:
    return Watch(step_s=STEP_S, max_series=50, tuning=Tuning(warm_up_s=0.0))


def opened(found: list[Findings]) -> list[tuple[int, SeriesKey]]:
    return [(each.scores.until_us, each.scores.keys[row]) for each in found for row in each.opened.tolist()]


def open_now(watch: Watch) -> list[SeriesKey]:
    return [watch.keys[place] for place in np.flatnonzero(watch.episodes.open).tolist()]


def at(second: int) -> int:
    return START_US + second * SECOND_US


@pytest.mark.parametrize("killed_s", [3_050, 3_130, 3_290, 3_500])
def test_it_finds_what_one_that_never_stopped_finds_once(killed_s: int) -> None:
    past = Past(4_200)
    past.value[3_100:3_400, :2] += 60
    past.value[3_600:3_900, 5] -= 45
    never_stopped = new()
    past.watched(never_stopped, 0, 3_000)
    saved = never_stopped.to_bytes()
    told = past.watched(never_stopped, 3_000, killed_s)
    was_open = open_now(never_stopped)
    rest = past.watched(never_stopped, killed_s, 4_200)
    assert {key for _, key in opened(told + rest)} == {KEYS[0], KEYS[1], KEYS[5]}

    heir = new()
    heir.restore(saved)
    now_s = 3_700
    known_us = read_on(heir, past.read, at(killed_s), at(now_s))
    assert known_us == at(killed_s)
    heir.judge(known_us)
    heir.settle(was_open, at(now_s))
    found = heir.judge(at(now_s)) + past.watched(heir, now_s, 4_200)
    assert opened(found) == opened(rest)
    for mine, theirs in zip(found, rest, strict=True):
        assert mine.scores.until_us == theirs.scores.until_us
        assert np.array_equal(mine.scores.score, theirs.scores.score)
    assert np.array_equal(heir.engine.last_value(), never_stopped.engine.last_value())


def test_what_was_told_is_not_told_again_though_the_step_is_judged_twice() -> None:
    past = Past(3_400)
    past.value[3_100:] += 60
    first = new()
    past.watched(first, 0, 3_000)
    saved = first.to_bytes()
    assert len(opened(past.watched(first, 3_000, 3_120))) == len(KEYS)
    heir = new()
    heir.restore(saved)
    # It died after the incident was saved, and before that was noted to be told.
    heir.judge(read_on(heir, past.read, at(3_100), at(3_200)))
    heir.settle(KEYS, at(3_200))
    again = heir.judge(at(3_200))
    assert opened(again) == []
    assert {key for each in again for key in each.scores.keys} == set(KEYS), "their scores are told"


def test_an_episode_that_nobody_told_of_is_told() -> None:
    past = Past(3_400)
    past.value[3_100:] += 60
    first = new()
    past.watched(first, 0, 3_000)
    saved = first.to_bytes()
    heir = new()
    heir.restore(saved)
    heir.judge(read_on(heir, past.read, at(3_200), at(3_300)))
    heir.settle([], at(3_300))
    assert {key for _, key in opened(heir.judge(at(3_300)))} == set(KEYS)


def test_who_was_away_for_long_misses_what_came_before_and_blames_nobody() -> None:
    past = Past(7_000)
    first = new()
    past.watched(first, 0, 3_000)
    heir = new()
    heir.restore(first.to_bytes())
    known_us = read_on(heir, past.read, at(3_000), at(6_500))
    assert known_us == at(6_500) - REACH_BACK_US
    assert opened(heir.judge(at(6_500))) == []
    assert heir.engine.last_us()[0] == at(6_499)


def test_the_silence_of_all_is_nobodys_and_that_of_a_place_is_its_own() -> None:
    past = Past(4_000)
    past.value[3_050:3_400] = np.nan  # the whole platform was off
    past.value[3_400:, ::2] = np.nan  # and then one place does not come back
    first = new()
    past.watched(first, 0, 3_000)
    heir = new()
    heir.restore(first.to_bytes())
    read_on(heir, past.read, at(3_000), at(3_700))
    found = opened(heir.judge(at(3_700)))
    assert {key for _, key in found} == set(KEYS[::2])
    assert min(when for when, _ in found) > at(3_400 + 50)
