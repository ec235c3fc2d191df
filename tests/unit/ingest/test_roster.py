"""The roster: which names may be left out, and that it forgets in time."""

import threading

import numpy as np
from numpy.typing import NDArray

from muninn.clock import ManualClock
from muninn.errors import Unavailable
from muninn.ingest.buffer.roster import Roster
from muninn.model.series_set import Fingerprints, fingerprints_of


def some(*numbers: int) -> Fingerprints:
    return fingerprints_of([number.to_bytes(16, "big") for number in numbers])


class Store:
    def __init__(self, *numbers: int):
        self.known = {some(number)[0].item() for number in numbers}
        self.asked: list[int] = []
        self.away = False

    def registered(self, fingerprints: Fingerprints) -> NDArray[np.bool_]:
        if self.away:
            raise Unavailable("the store is away")
        self.asked.append(len(fingerprints))
        return np.array([digest in self.known for digest in fingerprints.tolist()], np.bool_)


def wanting(roster: Roster, *numbers: int) -> list[bool]:
    mask, _ = roster.wanting(some(*numbers))
    assert mask is not None
    return mask.tolist()


def test_a_name_is_wanted_until_the_store_has_confirmed_its_series() -> None:
    store = Store(1, 2)
    roster = Roster(store.registered)
    assert wanting(roster, 1, 2, 3) == [True, True, True]
    assert wanting(roster, 1, 2, 3) == [True, True, True]
    assert roster.refresh() == 2
    assert store.asked == [3], "each is asked about once"
    assert wanting(roster, 1, 2, 3) == [False, False, True]


def test_the_store_is_asked_again_about_what_was_still_to_be_loaded_though_nobody_sends_it_again() -> None:
    store = Store()
    roster = Roster(store.registered)
    wanting(roster, 1, 2)
    assert roster.refresh() == 0
    wanting(roster, 2, 3)
    store.known |= {some(1)[0].item(), some(2)[0].item()}
    assert sum(roster.refresh() for _ in range(3)) == 2
    assert wanting(roster, 1, 2, 3) == [False, False, True]
    for _ in range(200):
        roster.refresh()
    asked = len(store.asked)
    assert asked < 20, "less and less often"
    for _ in range(200):
        roster.refresh()
    assert len(store.asked) == asked, "and then no more"
    wanting(roster, 3)
    roster.refresh()
    assert len(store.asked) == asked + 1, "until it is sent again"


def test_without_a_store_every_name_goes_along() -> None:
    roster = Roster()
    assert roster.wanting(some(1)) == (None, "0")
    assert roster.refresh() == 0


def test_a_store_that_is_away_is_asked_again_by_later_requests() -> None:
    store = Store(1)
    store.away = True
    roster = Roster(store.registered)
    stop, clock = threading.Event(), ManualClock()
    wanting(roster, 1)
    thread = threading.Thread(target=roster.run, args=(stop, clock))
    thread.start()
    store.away = False
    while wanting(roster, 1) == [True]:
        clock.advance(1)
    stop.set()
    clock.advance(1)
    thread.join(20)
    assert not thread.is_alive()


def test_a_new_epoch_forgets_everything_once_even_while_the_store_is_asked() -> None:
    store = Store(1, 2)
    roster = Roster(store.registered)
    wanting(roster, 1)
    roster.refresh()
    roster.forget("7")
    assert roster.wanting(some(1))[1] == "7"
    assert wanting(roster, 1) == [True]
    roster.refresh()
    roster.forget("7")
    assert wanting(roster, 1) == [False]

    def asked_before_the_store_was_restored(fingerprints: Fingerprints) -> NDArray[np.bool_]:
        roster.forget("8")
        return store.registered(fingerprints)

    roster.registered = asked_before_the_store_was_restored
    wanting(roster, 2)
    roster.refresh()
    assert wanting(roster, 2) == [True]


def test_a_flood_of_series_leaves_it_within_its_bounds() -> None:
    store = Store(*range(1000))
    roster = Roster(store.registered, max_series=300)
    for start in range(0, 1000, 200):
        wanting(roster, *range(start, start + 200))
        roster.refresh()
        assert len(roster) <= 300
        assert not any(wanting(roster, *range(start, start + 200)))
