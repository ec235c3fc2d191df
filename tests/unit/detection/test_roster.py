"""Who is watched and who announces something: columnar, bounded, the same as series by series."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muninn.detection.markers import Announcements
from muninn.detection.roster import LEFT_OUT, Roster
from muninn.model import SeriesKey
from muninn.model.series_set import SeriesSet


def key(number: int, metric: str = "m") -> SeriesKey:
    return SeriesKey.of(metric, {"n": str(number)}, "agent", f"host-{number % 3}")


def roster(most: int = 1_000, *ignored: str) -> Roster:
    return Roster(most, ignored, Announcements().number_of)


def test_series_get_positions_in_the_order_in_which_they_come_and_keep_them() -> None:
    book = roster()
    keys = [key(3), key(1), key(3), key(2)]
    assert book.find(SeriesSet.of(keys))[0].tolist() == [0, 1, 0, 2]
    assert book.find(SeriesSet.of(keys[::-1]))[0].tolist() == [2, 0, 1, 0]
    assert book.keys == [key(3), key(1), key(2)]
    assert book.add(key(1)) == 1
    assert book.add(key(9)) == 3


def test_many_more_series_than_there_is_room_for_take_no_memory() -> None:
    book = roster(10)
    for start in range(0, 20_000, 100):
        found = book.find(SeriesSet.of([key(n) for n in range(start, start + 100)]))[0]
        assert (found != LEFT_OUT).sum() == (10 if start == 0 else 0)
    assert len(book) == 10
    assert len(book._table) < 700
    assert book.find(SeriesSet.of([key(n) for n in range(10)]))[0].tolist() == list(range(10))


def test_a_series_that_is_ignored_is_watched_where_it_is_known_to_be_in_trouble() -> None:
    book = roster(10, "m*")
    assert book.find(SeriesSet.of([key(1)]))[0].tolist() == [LEFT_OUT]
    assert book.add(key(1)) == 0
    assert book.find(SeriesSet.of([key(1)]))[0].tolist() == [0]


def test_where_all_are_ignored_many_take_no_memory_and_the_next_is_met() -> None:
    book = roster(10, "m*")
    for start in range(0, 2_000, 100):
        found = book.find(SeriesSet.of([key(n) for n in range(start, start + 100)]))[0]
        assert (found == LEFT_OUT).all()
    assert len(book._table) < 700
    assert book.add(key(1)) == 0


def test_those_that_stay_are_numbered_anew() -> None:
    book = roster()
    book.find(SeriesSet.of([key(n) for n in range(6)]))
    book.keep(np.array([4, 1]))
    assert book.keys == [key(4), key(1)]
    assert book.find(SeriesSet.of([key(1), key(4), key(0)]))[0].tolist() == [1, 0, 2]


SAMPLES = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, 2.0, 3.5]), st.integers(1, 40)), max_size=40)
ANNOUNCING = [key(0, "deploy_marker"), key(1, "uptime_s"), key(2, "process_start_time_seconds"), key(4, "deploy")]


@given(SAMPLES, st.integers(1, 7))
def test_announcements_in_batches_of_any_size_are_those_one_by_one(
    samples: list[tuple[int, float, int]], n: int
) -> None:
    one, other = Announcements(), Announcements()
    at_us = np.cumsum([wait * 5_000_000 for *_, wait in samples]).astype(np.int64)
    numbers = np.array([one.number_of(ANNOUNCING[which]) for which, *_ in samples], np.intp)
    value = np.array([value for _, value, _ in samples], np.float64)
    for which in dict.fromkeys(which for which, *_ in samples):
        other.number_of(ANNOUNCING[which])
    for row in range(len(samples)):
        one.take(numbers[row : row + 1], at_us[row : row + 1], value[row : row + 1])
    for start in range(0, len(samples), n):
        part = slice(start, start + n)
        other.take(numbers[part], at_us[part], value[part])
    assert one.to_dict() == other.to_dict()
    third = Announcements()
    third.restore(one.to_dict())
    assert third.to_dict() == one.to_dict()


def test_what_announces_something() -> None:
    told = Announcements()
    marker, uptime, start = (told.number_of(each) for each in ANNOUNCING[:3])

    def places(number: int, at_s: int, value: float) -> set[str]:
        told.take(np.array([number]), np.array([at_s * 1_000_000]), np.array([value]))
        return told.excused(at_s * 1_000_000)

    assert places(marker, 1_000, 0.0) == set()
    assert places(marker, 1_001, 1.0) == {"host-0"}
    assert places(marker, 1_119, 1.0) == {"host-0"}, "an event again after a minute"
    assert places(marker, 1_160, 1.0) == {"host-0"}
    assert places(marker, 1_200, 1.0) == {"host-0"}, "one that stays is a gauge"
    assert places(marker, 1_240, 1.0) == set()
    assert told.deployed_us == {"host-0": 1_119_000_000}
    assert places(uptime, 2_000, 900.0) == set()
    assert places(uptime, 2_010, 910.0) == set()
    assert places(uptime, 2_020, 4.0) == {"host-1"}
    assert places(start, 3_000, 5_000.0) == set()
    assert places(start, 3_010, 5_000.4) == set(), "a jitter"
    assert places(start, 3_020, 5_900.0) == {"host-2"}
    assert told.number_of(key(7, "cpu_busy_pct")) == -1


def test_what_is_read_again_or_in_no_order_announces_nothing() -> None:
    told = Announcements()
    marker, uptime = (told.number_of(each) for each in ANNOUNCING[:2])
    at_us = np.arange(1_000, 1_060, 5, np.int64) * 1_000_000
    up_s, no_marker = at_us / 1e6, np.zeros(len(at_us))
    mixed = np.random.default_rng(7).permutation(len(at_us))
    told.take(np.full(len(at_us), uptime), at_us[mixed], up_s[mixed])
    told.take(np.full(len(at_us), marker), at_us[mixed], no_marker)
    told.take(np.array([marker]), np.array([1_060_000_000]), np.array([1.0]))
    told.take(np.array([marker]), np.array([1_065_000_000]), np.array([0.0]))
    deployed = dict(told.until_us)
    for again in (slice(None), slice(4, 8)):
        told.take(np.full(len(at_us[again]), uptime), at_us[again], up_s[again])
    told.take(np.array([marker]), np.array([1_060_000_000]), np.array([1.0]))
    assert told.until_us == deployed == {"host-0": 1_180_000_000}
    told.take(np.array([uptime]), np.array([1_065_000_000]), np.array([3.0]))
    assert set(told.until_us) == {"host-0", "host-1"}, "a restart is one as ever"


def test_a_clock_that_was_wrong_and_is_put_right_silences_no_announcement() -> None:
    told = Announcements()
    uptime = told.number_of(ANNOUNCING[1])
    for at_s, value in ((90_000, 500.0), (2_000, 510.0), (2_005, 2.0)):
        told.take(np.array([uptime]), np.array([at_s * 1_000_000]), np.array([value]))
    assert told.until_us == {"host-1": 2_125_000_000}
