"""Keys of sets of series are found once, and forgotten when there are too many."""

import numpy as np

from muninn.model import SeriesKey
from muninn.reads.known import Known, Ordered


def ordered(*hosts: int, metric: str = "m") -> Ordered:
    keys = tuple(SeriesKey.of(metric, {"host": f"{host:03d}"}) for host in hosts)
    return Ordered(np.array(hosts, np.int64), np.arange(len(hosts)), keys)


class Finding:
    """Counts how often it is asked."""

    def __init__(self, found: Ordered):
        self.found = found
        self.asked = 0

    def __call__(self) -> Ordered:
        self.asked += 1
        return self.found


def test_a_set_is_found_once() -> None:
    known, find = Known(), Finding(ordered(1, 2))
    assert known.of(1, b"12", find) is known.of(1, b"12", find)
    assert find.asked == 1


def test_another_table_of_series_has_others_of_the_same_numbers() -> None:
    known, before, after = Known(), Finding(ordered(1)), Finding(ordered(1, metric="n"))
    assert known.of(1, b"1", before) is before.found
    assert known.of(2, b"1", after) is after.found


def test_what_was_asked_for_longest_ago_is_forgotten_first() -> None:
    known = Known(most_keys=5)
    sets = [Finding(ordered(1, 2)), Finding(ordered(3, 4)), Finding(ordered(5, 6))]
    for name in (0, 1, 0, 2, 0, 1):
        known.of(1, bytes([name]), sets[name])
    assert [find.asked for find in sets] == [1, 2, 1]


def test_a_set_that_is_too_large_is_found_each_time_and_pushes_nothing_out() -> None:
    known, small, large = Known(most_keys=3), Finding(ordered(1)), Finding(ordered(1, 2, 3, 4))
    for find, name in ((small, b"s"), (large, b"l"), (large, b"l"), (small, b"s")):
        known.of(1, name, find)
    assert (small.asked, large.asked) == (1, 2)


def test_metrics_lie_one_after_the_other() -> None:
    some, others = ordered(7, 9), ordered(8, metric="n")
    both = Ordered(np.array([7, 9, 8]), np.array([0, 2, 1]), some.keys + others.keys)
    assert both.spans == {"m": slice(0, 2), "n": slice(2, 3)}
    assert both.each == {"m": {7: some.keys[0], 9: some.keys[1]}, "n": {8: others.keys[0]}}
