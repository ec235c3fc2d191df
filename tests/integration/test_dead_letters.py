"""What cannot be stored, on a real Valkey and a real PostgreSQL: kept aside, shown, sent again exactly once."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import psycopg
import pytest

from muninn import reads, settings
from muninn.clock import DAY_US, SystemClock
from muninn.errors import Invalid
from muninn.ingest.buffer.codec import Decoder
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.ingest.loader import Loader
from muninn.model import SampleBatch, SeriesKey
from muninn.run import deadletters as commands
from muninn.run.programs.loader import _OneStream
from muninn.store.database import Database
from muninn.store.writer import StoreWriter

KEY = SeriesKey.of("cpu", {"host": "a"})


class House:
    """A buffer, a store that keeps a day, and a loader between them."""

    def __init__(self, postgres_url: str, redis_url: str):
        self.url, self.redis_url = postgres_url, redis_url
        self.config = settings.load({"MUNINN_DATABASE_URL": postgres_url, "MUNINN_REDIS_URL": redis_url})
        self.broker = ValkeyBroker(redis_url)
        self.now_us = SystemClock().now_us()

    def send(self, *ages_days: float) -> None:
        rows = [(KEY, self.now_us - round(age * DAY_US), float(place)) for place, age in enumerate(ages_days)]
        self.broker.append(SampleBatch.of(rows))

    def load(self, raw_days: int = 1) -> None:
        with Database(self.url) as database:
            writer = StoreWriter(database, raw_days=raw_days)
            loader = Loader(self.broker, _OneStream(writer, "muninn:ingest:0"), "test:1")
            while loader.step():
                pass

    def stored(self) -> list[float]:
        with psycopg.connect(self.url) as connection:
            rows = connection.execute("select metric_value from performance_metrics order by 1").fetchall()
        return [value for (value,) in rows]

    def ids(self) -> list[str]:
        return [letter.letter_id for letter in self.broker.dead_letters()]


@pytest.fixture
def house(postgres_url: str, redis_url: str) -> House:
    return House(postgres_url, redis_url)


def test_samples_that_the_store_refuses_are_sent_again_once_when_it_takes_them(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.send(0.0, 5.0, 6.0)
    house.load()
    assert house.stored() == [0.0]
    (letter_id,) = house.ids()
    commands.show_all(house.config, 10, True)
    (listed,) = orjson.loads(capsys.readouterr().out)
    assert (listed["samples"], listed["series"], listed["reason"]) == (2, 1, "older than what is kept")
    commands.show(house.config, letter_id, True)
    assert [row["value"] for row in orjson.loads(capsys.readouterr().out)["first_samples"]] == [1.0, 2.0]
    # Nothing has changed: it comes back, once.
    commands.replay(house.config, [letter_id], False)
    house.load()
    (letter_id,) = house.ids()
    # Now the store takes it; whoever sends it again first, it goes once.
    commands.replay(house.config, [], True)
    with pytest.raises(SystemExit):
        commands.replay(house.config, [letter_id], False)
    house.load(raw_days=30)
    assert house.stored() == [0.0, 1.0, 2.0]
    assert house.ids() == []
    assert house.broker.depth() == 0


@pytest.mark.parametrize("fatal", ["before_keep", "after_keep", "after_commit"])
def test_a_loader_that_is_killed_around_the_commit_loses_no_letter_and_doubles_none(house: House, fatal: str) -> None:
    """Kill -9 before samples are kept aside, between that and the commit, between commit and acknowledgement."""
    house.send(0.0, 5.0)
    house.send(0.001, 6.0, 7.0)
    victim = Path(__file__).parents[1] / "loader_victim.py"
    died = subprocess.run([sys.executable, str(victim), house.url, house.redis_url, fatal], check=False, timeout=120)
    assert died.returncode == -signal.SIGKILL
    assert house.stored() == ([0.0, 0.0] if fatal == "after_commit" else [])
    assert len(house.ids()) == {"before_keep": 0, "after_keep": 1, "after_commit": 2}[fatal]
    house.load()
    assert house.stored() == [0.0, 0.0]
    letters = house.broker.dead_letters()
    assert sorted(Decoder().decode(letter.fields).value.tolist() for letter in letters) == [[1.0], [1.0, 2.0]]
    assert house.broker.depth() == 0
    commands.replay(house.config, [], True)
    house.load(raw_days=30)
    assert (house.stored(), house.ids()) == ([0.0, 0.0, 1.0, 1.0, 2.0], [])


def test_a_replay_that_was_not_answered_is_harmless(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The letter moves in one step: a caller that dies before or after it finds one or the other, never both."""
    house.send(5.0)
    house.load()
    (letter_id,) = house.ids()
    house.broker.replay(letter_id)
    assert house.broker.replay(letter_id) is None
    assert house.broker.depth() == 1


def test_a_damaged_entry_is_shown_and_can_be_dropped(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.broker.append(SampleBatch.of([(KEY, house.now_us, 1.0)]))
    house.broker._ask(lambda client: client.xadd("muninn:ingest:0", {"v": "9"}))
    house.load()
    assert house.stored() == [1.0]
    (letter_id,) = house.ids()
    commands.show_all(house.config, 10, False)
    assert "layout" in capsys.readouterr().out
    with reads.connect(house.config) as asked:
        found = asked.dead_letters()
    assert (found.count, found.newest[0].samples, found.newest[0].letter_id) == (1, None, letter_id)
    commands.drop(house.config, [letter_id], False)
    assert house.ids() == []
    commands.show_all(house.config, 10, False)
    assert "none" in capsys.readouterr().out


@pytest.mark.parametrize("act", [commands.replay, commands.drop])
def test_ids_or_all_must_be_said(house: House, act: Callable[..., None]) -> None:
    with pytest.raises(Invalid, match="--all"):
        act(house.config, [], False)
    with pytest.raises(Invalid, match="no dead letter"):
        commands.show(house.config, "1-0", False)
