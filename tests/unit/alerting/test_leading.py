"""Who leads among alerters, with a row and a board that come and go."""

import threading
from dataclasses import dataclass

import pytest

from muninn.clock import ManualClock
from muninn.errors import Unavailable
from muninn.meter import Meter
from muninn.operations.alerts.leading import LEADS, Leading

LEASE_S = 6.0


@dataclass
class Row:
    """The row that everybody sees."""

    clock: ManualClock
    away: bool = False
    term: int = 0
    until_s: float = 0.0

    def take(self) -> int | None:
        self._ask()
        if self.until_s > self.clock.monotonic():
            return None
        self.term, self.until_s = self.term + 1, self.clock.monotonic() + LEASE_S
        return self.term

    def renew(self, term: int) -> bool:
        self._ask()
        if term == self.term:
            self.until_s = self.clock.monotonic() + LEASE_S
        return term == self.term

    def end(self, term: int) -> None:
        self._ask()
        self.until_s = float("-inf")

    def _ask(self) -> None:
        if self.away:
            raise Unavailable("away")


class World:
    """Two alerters, their row, and what the board says."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.row, self.board_away = Row(self.clock), False
        self.meters = [Meter(), Meter()]
        self.one, self.two = (self._made(number) for number in (0, 1))

    def _made(self, number: int) -> Leading:
        def others() -> bool:
            if self.board_away:
                raise Unavailable("away")
            return any(value > 0 for name, _, value in self.meters[1 - number].snapshot() if name == LEADS)

        return Leading(self.row, others, self.clock, self.meters[number], LEASE_S)

    def tries(self, who: Leading, seconds: int = 1) -> bool:
        """Whether it leads after having stood by for so long."""
        for _ in range(seconds):
            if who._try():
                return True
            self.clock.advance(1)
        return False


@pytest.fixture
def world() -> World:
    made = World()
    assert made.one.wait(threading.Event())
    return made


def test_the_other_waits_until_the_leader_is_silent(world: World) -> None:
    for _ in range(20):
        assert not world.tries(world.two)
        world.one.renew()
    assert not world.one.lost
    assert world.tries(world.two, 8)
    assert (world.two.term, world.one.term) == (2, 1)
    world.one.renew()
    assert world.one.lost
    world.one.end()  # what is no longer its own is not given away
    assert world.row.until_s > world.clock.monotonic()


def test_an_end_lets_the_other_lead_at_once(world: World) -> None:
    world.one.end()
    assert world.two.wait(threading.Event())
    assert [value for name, _, value in world.meters[0].snapshot() if name == LEADS] == [0]


def test_with_the_database_away_the_leader_goes_on_and_is_heard_first_afterwards(world: World) -> None:
    assert not world.tries(world.two)
    world.row.away = True
    for _ in range(30):
        world.one.renew()
        assert not world.tries(world.two)
    assert not world.one.lost
    world.row.away = False
    assert not world.tries(world.two, 3)
    world.one.renew()
    assert not world.tries(world.two, 5)
    assert world.one.term == 1


def test_one_that_starts_without_the_database_leads_where_nobody_else_does() -> None:
    world = World()
    world.row.away = True
    assert world.one.wait(threading.Event())
    assert world.one.term is None
    assert not world.tries(world.two, 3)
    world.row.away = False
    world.one.renew()
    assert world.one.term == 1
    world.clock.advance(3)
    world.one.renew()
    assert not world.tries(world.two, 5)


def test_with_nothing_to_ask_a_follower_goes_on_following(world: World) -> None:
    assert not world.tries(world.two)
    world.row.away = world.board_away = True
    assert not world.tries(world.two, 3)
    stranger = World()
    stranger.row.away = stranger.board_away = True
    assert stranger.one.wait(threading.Event())


def test_standing_by_ends_with_the_program(world: World) -> None:
    stop = threading.Event()
    stop.set()
    assert not world.two.wait(stop)
