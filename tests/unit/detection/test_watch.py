"""Many series from samples to findings: episodes, silence, announcements, limits, restarts."""

import numpy as np
import pytest

from muninn.detection import ANOMALY, Tuning
from muninn.detection.episodes import Episodes
from muninn.detection.telling import ALL_VIEWS
from muninn.detection.watch import GONE_US, Findings, Watch
from muninn.errors import Invalid
from muninn.model import SampleBatch, SeriesKey
from muninn.model.scores import WORTH_SENDING

STEP_S = 10
START_US = 1_767_571_200_000_000
QUICK = Tuning(warm_up_s=0.0)
KEYS = tuple(SeriesKey.of("cpu_busy_pct", {"cpu": str(n)}, "agent", f"host-{n % 2}") for n in range(6))


class Feeder:
    """Feeds a watch step by step; `level` is added to the usual values."""

    def __init__(self, **options: object):
        self.watch = Watch(**{"step_s": STEP_S, "max_series": 50, "tuning": QUICK, **options})  # type: ignore[arg-type]
        self.random = np.random.default_rng(0)
        self.step = 0

    def feed(self, steps: int, level: float = 0.0, keys: tuple[SeriesKey, ...] = KEYS) -> list[Findings]:
        found = []
        for _ in range(steps):
            at_us = START_US + self.step * STEP_S * 1_000_000
            value = 50 + level + self.random.normal(size=len(keys))
            self.watch.take(SampleBatch(np.full(len(keys), at_us), value, np.arange(len(keys), dtype=np.int32), keys))
            self.step += 1
            found += self.watch.judge(at_us + STEP_S * 1_000_000)
        return found

    def announce(self, metric: str, value: float, instance: str) -> None:
        at_us = START_US + self.step * STEP_S * 1_000_000
        self.watch.take(SampleBatch.of([(SeriesKey.of(metric, None, "ci", instance), at_us, value)]))


def opened(found: list[Findings]) -> list[SeriesKey]:
    return [each.scores.keys[each.scores.key_index[row]] for each in found for row in each.opened.tolist()]


def closed(found: list[Findings]) -> list[SeriesKey]:
    return [each.scores.keys[each.scores.key_index[row]] for each in found for row in each.closed.tolist()]


def test_quiet_series_open_nothing_and_are_not_told() -> None:
    found = Feeder().feed(400)
    assert opened(found) == []
    assert sum(len(each.scores) for each in found) < 20
    assert all(each.judged == len(KEYS) for each in found)


def test_a_fault_opens_one_episode_a_series_told_until_it_is_over() -> None:
    feeder = Feeder()
    feeder.feed(300)
    bad = feeder.feed(12, 40.0)
    assert sorted(key.canonical for key in opened(bad)) == sorted(key.canonical for key in KEYS)
    last = bad[-1].scores
    assert set(last.keys) == set(KEYS)
    assert (last.score > ANOMALY).all()
    assert np.allclose(np.abs(last.contributions).sum(axis=1), last.score)
    assert last.views == ALL_VIEWS
    after = feeder.feed(100)
    assert sorted(key.canonical for key in closed(after)) == sorted(key.canonical for key in KEYS)
    assert opened(after) == [], "what rings after a fault is no new one"
    end = next(number for number, each in enumerate(after) if len(each.closed))
    assert 28 <= end <= 36, "calm for five minutes"
    assert all(np.allclose(np.abs(each.scores.contributions).sum(axis=1), each.scores.score) for each in after)


def test_a_counter_that_begins_anew_amid_a_fault_shows_no_total_as_if_it_were_a_rate() -> None:
    key = SeriesKey.of("jobs_done_total", None, "agent", "host-1")
    random, watch, total, found = np.random.default_rng(0), Watch(step_s=STEP_S, max_series=5, tuning=QUICK), 0.0, []
    for step in range(430):
        at_us = START_US + step * STEP_S * 1_000_000
        total = 1e6 if step == 410 else total + random.poisson(9_000 if step >= 400 else 300)
        watch.take(SampleBatch.of([(key, at_us, total + (1e8 if step < 410 else 0.0))]))
        found += watch.judge(at_us + STEP_S * 1_000_000)
    assert opened(found) == [key]
    told = np.concatenate([each.scores.value for each in found])
    assert len(told) > 20
    assert told.max() < 2_000
    shown = np.concatenate([each.watched for each in found])
    assert np.flatnonzero(np.isnan(shown)).tolist() == [0, 410], "its first sample, and the one that began anew"
    assert np.nanmax(shown) < 2_000


def test_what_is_a_counter_by_its_name_is_shown_as_its_rate_however_seldom_it_rises() -> None:
    key = SeriesKey.of("errors_total", None, "agent", "host-1")
    watch, found = Watch(step_s=STEP_S, max_series=5, tuning=QUICK), []
    for step in range(200):
        at_us = START_US + step * STEP_S * 1_000_000
        watch.take(SampleBatch.of([(key, at_us, 1e6 + 20.0 * (step // 20))]))
        found += watch.judge(at_us + STEP_S * 1_000_000)
    shown = np.concatenate([each.watched for each in found])
    assert np.isnan(shown[0])
    assert set(shown[1:].tolist()) == {0.0, 2.0}


@pytest.mark.slow
def test_a_single_odd_step_opens_nothing_unless_it_is_beyond_doubt() -> None:
    mild, gross = Feeder(), Feeder()
    for feeder in (mild, gross):
        feeder.feed(600)
    assert opened(mild.feed(1, 6.5)) == []
    assert opened(mild.feed(3)) == []
    assert len(opened(gross.feed(1, 1_000.0))) == len(KEYS)


@pytest.mark.slow
@pytest.mark.parametrize("level", [8.0, 12.0, -9.0, -14.0])
def test_the_way_back_from_a_single_odd_step_confirms_nothing(level: float) -> None:
    feeder = Feeder()
    feeder.feed(600)
    (odd,), after = feeder.feed(1, level), feeder.feed(5)
    assert (odd.scores.score > ANOMALY).sum() > len(KEYS) / 2
    assert opened([odd, *after]) == []
    assert len(opened(feeder.feed(2, level))) > len(KEYS) / 2, "one that lasts is confirmed"


def test_a_place_that_goes_silent_is_an_anomaly_and_one_series_alone_is_not() -> None:
    feeder = Feeder()
    feeder.feed(200)
    one = feeder.feed(30, keys=KEYS[1:])
    assert opened(one) == []
    assert {each.scores.keys[row] for each in one for row in range(len(each.scores.keys))} >= {KEYS[0]}
    feeder.feed(40)
    host = feeder.feed(30, keys=tuple(key for key in KEYS if key.instance_id == "host-0"))
    assert {key.instance_id for key in opened(host)} == {"host-1"}
    first = next(each for each in host if len(each.opened))
    row = int(first.opened[0])
    assert first.scores.reasons(row) == [("silence", pytest.approx(-first.scores.score[row]))]
    assert {key.instance_id for key in closed(feeder.feed(60))} == {"host-1"}


def test_a_series_that_falls_silent_while_it_rings_after_a_fault_is_no_new_fault_when_it_is_back() -> None:
    episodes, index, second = Episodes(1, calm_us=10_000_000), np.zeros(1, np.intp), 1_000_000

    def step(at: int, score: float, present: float, silent: bool = False) -> int:
        columns = (np.array([value]) for value in (score, present, score))
        return len(episodes.judge(index, *columns, at * second, np.array([silent])).opened)

    assert [step(1, 0.9, 0.9), step(2, 0.9, 0.9)] == [0, 1]
    assert [step(at, 0.9, 0.1) for at in range(3, 20)] == [0] * 17
    assert not episodes.open[0], "over, as far as the present goes, and ringing"
    assert [step(at, score, score, silent=True) for at, score in ((20, 0.45), (21, 0.55), (22, 0.7))] == [0] * 3
    assert [step(23, 0.9, 0.1), step(24, 0.9, 0.1)] == [0, 0]
    assert [step(25, 0.85, 0.85, silent=True), step(26, 0.9, 0.9, silent=True)] == [0, 1], "silence counts all the same"


def test_nobody_is_to_blame_for_what_we_could_not_hear() -> None:
    feeder = Feeder()
    feeder.feed(200)
    feeder.step += 60
    feeder.watch.hears_again(START_US + feeder.step * STEP_S * 1_000_000)
    assert opened(feeder.feed(5, keys=KEYS[:3])) == []


@pytest.mark.parametrize(("metric", "values"), [("deploy_marker", (1.0,)), ("uptime_s", (500.0, 3.0))])
def test_an_announced_place_is_given_time_and_then_judged_as_ever(metric: str, values: tuple[float, ...]) -> None:
    feeder = Feeder(ignored=("uptime_s",))
    feeder.feed(300)
    for value in values:
        feeder.announce(metric, value, "host-0")
    short = feeder.feed(9, 40.0)
    assert {key.instance_id for key in opened(short)} == {"host-1"}, "host-0 is excused"
    lasting = feeder.feed(10, 40.0)
    assert {key.instance_id for key in opened(lasting)} == {"host-0"}, "what outlasts the excuse is seen"


def test_too_many_series_are_left_out_and_counted() -> None:
    feeder = Feeder(max_series=4)
    feeder.feed(3)
    assert (len(feeder.watch), feeder.watch.left_out) == (4, 2)


def test_ignored_metrics_are_not_watched() -> None:
    feeder = Feeder(ignored=("cpu_*",))
    feeder.feed(3)
    assert (len(feeder.watch), feeder.watch.left_out) == (0, 0)


def test_series_that_are_gone_make_room_and_the_others_keep_what_was_learned() -> None:
    feeder = Feeder(max_series=len(KEYS))
    feeder.feed(200)
    feeder.step += 24 * 360
    feeder.feed(2, keys=KEYS[2:])
    now_us = START_US + feeder.step * STEP_S * 1_000_000
    assert feeder.watch.forget_gone(now_us) == 2
    assert feeder.watch.keys == list(KEYS[2:])
    found = feeder.feed(3, 60.0, keys=KEYS[2:])
    assert set(opened(found)) == set(KEYS[2:]), "they are still known"
    feeder.feed(2, keys=KEYS)
    assert len(feeder.watch) == len(KEYS)


def test_a_restored_watch_goes_on_as_if_never_stopped() -> None:
    one, other = Feeder(), Feeder()
    one.feed(300)
    other.watch.restore(one.watch.to_bytes())
    other.step, other.random = one.step, np.random.default_rng(1)
    one.random = np.random.default_rng(1)
    for left, right in zip(one.feed(20, 30.0), other.feed(20, 30.0), strict=True):
        assert left.scores.keys == right.scores.keys
        assert np.array_equal(left.scores.score, right.scores.score)
        assert np.array_equal(left.opened, right.opened)
    assert (one.watch.episodes.open.sum(), other.watch.episodes.open.sum()) == (len(KEYS), len(KEYS))


@pytest.mark.parametrize(
    "data", [b"", b"muninn-watch-1\n", b"something else", Watch(step_s=1, max_series=1).to_bytes()[:-1]]
)
def test_what_is_no_state_is_refused_and_changes_nothing(data: bytes) -> None:
    feeder = Feeder()
    feeder.feed(3)
    with pytest.raises(Invalid):
        feeder.watch.restore(data)
    assert len(feeder.watch) == len(KEYS)


def test_scores_under_the_line_are_not_sent() -> None:
    feeder = Feeder()
    feeder.feed(300)
    found = feeder.feed(3, 5.0)
    assert all((each.scores.score >= WORTH_SENDING).all() for each in found)


def test_series_in_trouble_that_there_is_no_place_for_are_given_back() -> None:
    watch = Watch(step_s=STEP_S, max_series=4, tuning=QUICK)
    assert watch.settle(KEYS, START_US) == list(KEYS[4:])
    assert np.flatnonzero(watch.episodes.open).tolist() == [0, 1, 2, 3]


def test_a_clock_that_was_far_ahead_and_was_put_back_leaves_no_blind_time() -> None:
    feeder = Feeder()
    feeder.feed(300)
    right = feeder.step
    feeder.step += 8_640
    feeder.announce("deploy_marker", 1.0, "host-1")
    feeder.feed(3)
    feeder.step = right
    now_us = START_US + right * STEP_S * 1_000_000
    assert feeder.watch.is_ahead(now_us)
    feeder.watch.put_back(now_us)
    assert not feeder.watch.is_ahead(now_us)
    assert sum(each.judged for each in feeder.feed(30)) > 0
    assert sorted(opened(feeder.feed(4, 40.0)), key=str) == sorted(KEYS, key=str), (
        "an announcement of that time has passed too"
    )
    assert sorted(closed(feeder.feed(60)), key=str) == sorted(KEYS, key=str)


def test_many_short_lived_series_leave_nothing_behind() -> None:
    watch = Watch(step_s=STEP_S, max_series=10_000, ignored=("*uptime*",), tuning=QUICK)
    stays = SeriesKey.of("deploy_marker", None, "ci", "stays")
    for day in range(6):
        at_us = START_US + day * GONE_US
        pods = [f"pod-{day}-{n}" for n in range(200)]
        keys = [SeriesKey.of(metric, None, "agent", pod) for metric in ("uptime_s", "cpu_busy_pct") for pod in pods]
        rows = [(key, at_us, 1.0) for key in keys] + [(stays, at_us, 0.0)]
        rows += [(SeriesKey.of("deploy_marker", None, "ci", pods[0]), at_us, 1.0)]
        watch.take(SampleBatch.of(rows))
        watch.judge(at_us + STEP_S * 1_000_000)
        watch.forget_gone(at_us + STEP_S * 1_000_000)
        assert len(watch) <= 2 * 200 + 3
    known = watch.announced.to_dict()
    assert len(known["last"]) <= 2 * 201 + 1
    assert len(known["deployed_us"]) <= 2
    # What was known of those that stay holds, by its new number: the marker is no news, another value is.
    later_us = START_US + 5 * GONE_US + 20_000_000
    watch.take(SampleBatch.of([(stays, later_us, 0.0)]))
    assert "stays" not in watch.announced.excused(later_us)
    watch.take(SampleBatch.of([(stays, later_us + 1_000_000, 1.0)]))
    assert "stays" in watch.announced.excused(later_us + 1_000_000)
