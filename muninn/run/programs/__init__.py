"""The long-running programs, one module each: `python -m muninn.run.programs NAME [NUMBER]`.

Belongs here: wiring, and what every program shares: settings, signals, heartbeat. Does not: what it does.
"""

import importlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any

from muninn import logs, settings
from muninn.clock import Clock, SystemClock
from muninn.errors import Misconfigured, MuninnError
from muninn.meter import Meter
from muninn.names import ingest_stream
from muninn.settings import Settings

log = logging.getLogger(__name__)

NAMES = ("gateway", "loader", "refresher", "sidecar", "detector", "collector", "scraper", "statsd", "alerter")


@dataclass
class Context:
    """What a program is given. `number`: which of its instances it is, from 1. `stop`: set when it is to end."""

    name: str
    number: int
    settings: Settings
    meter: Meter = field(default_factory=Meter)
    clock: Clock = field(default_factory=SystemClock)
    stop: threading.Event = field(default_factory=threading.Event)
    cleanup: ExitStack = field(default_factory=ExitStack)

    @property
    def host(self) -> str:
        """This machine."""
        return socket.gethostname()

    @property
    def instance(self) -> str:
        """The name of this instance, the same again after a restart."""
        return f"{self.host}:{self.number}"

    def board(self) -> Any:
        """The heartbeat board."""
        from muninn import cache

        return cache.RedisBoard(cache.connect(self.settings.require_redis_url(), max_connections=4), self.clock)

    def start_heartbeat(self, refresh: Callable[[], None] | None = None) -> None:
        """Tell each second how we are, until the end; `refresh` sets gauges before."""
        from muninn.operations.selfwatch import Heartbeat

        beat = Heartbeat(self.board(), self.name, self.instance, self.meter, self.clock, refresh=refresh)
        self.cleanup.enter_context(beat)

    def database(self) -> Any:
        """The store, closed at the end."""
        from muninn.store.database import Database

        chosen = self.settings.database
        database = Database(
            self.settings.require_database_url(),
            pool_size=chosen.pool_size,
            statement_timeout_s=chosen.statement_timeout_s,
            application_name=f"muninn-{self.name}",
        )
        return self.cleanup.enter_context(database)

    def judge(self, listener: str) -> Any:
        """Who may come in at a listener; Misconfigured where it may not listen at all."""
        from muninn.guard.judge import Judge
        from muninn.operations import access, listening

        roll, database = access.roll(self.settings, self.clock)
        self.cleanup.callback(database.close)
        roll.start()
        self.cleanup.callback(roll.close)
        listening.check(self.settings, listener, roll)
        return Judge(access.policy(self.settings, listener), roll, self.clock)

    def gate(self) -> Any:
        """What stands between the decoders and the buffer, kept up to date in a thread."""
        from muninn.ingest.gate.gate import Bounds, Gate, Limits
        from muninn.ingest.gate.keeper import Keeper
        from muninn.ingest.gate.rules import DoorRules, load
        from muninn.store import series_index
        from muninn.store.database import Database

        chosen = self.settings.cardinality
        limits = Limits(
            Bounds(chosen.metric_series, chosen.metric_new_per_hour),
            Bounds(chosen.source_series, chosen.source_new_per_hour),
            chosen.max_labels,
            chosen.max_label_value_bytes,
        )
        rules = DoorRules() if chosen.rules is None else load(chosen.rules)
        # Requests wait for its answer: while it is away that must be short.
        database = Database(
            self.settings.require_database_url(),
            pool_size=2,
            statement_timeout_s=10.0,
            connect_timeout_s=1.0,
            hang_s=1.0,
            application_name="muninn-gate",
        )
        self.cleanup.enter_context(database)
        registered = partial(series_index.registered, database)
        gate = Gate(limits, rules, registered, clock=self.clock, meter=self.meter)
        new_series = partial(series_index.new_series, database, self.clock)
        keeper = Keeper(gate, chosen.rules, new_series, self.clock)
        threading.Thread(target=keeper.run, args=(self.stop,), name="gate", daemon=True).start()
        return gate

    def gateway_client(self, url: str) -> Any:
        """A client of the gateway at `url` (empty: the one of these settings), closed at the end."""
        from muninn.sources.client import GatewayClient

        token = self.settings.access.token
        client = GatewayClient(
            url or self.settings.gateway_url,
            token=token.get_secret_value() if token else None,
            certificate=None if url else self.settings.access.tls_certificate,
            clock=self.clock,
            meter=self.meter,
        )
        self.cleanup.callback(client.close)
        return client

    def broker(self, *, names: bool = False, roster: bool = False) -> Any:
        """The buffer. names: for those who follow it: the store is asked for what entries leave out.

        roster: for those who append to it: the store is asked, in a thread, which names can be left out.
        """
        from muninn.ingest.buffer.sharded import open_buffer

        chosen = self.settings.buffer
        return open_buffer(
            self.settings.require_redis_url(),
            chosen.shards,
            limits=self.buffer_limits(),
            durability=chosen.durability,
            replicas=chosen.replicas,
            clock=self.clock,
            names=self._names() if names else None,
            roster=self._roster() if roster else None,
        )

    def one_stream(self, shard: int) -> Any:
        """One shard of the buffer, for its loader."""
        from muninn.ingest.buffer.valkey import ValkeyBroker

        return ValkeyBroker(
            self.settings.require_redis_url(),
            limits=self.buffer_limits(),
            durability=self.settings.buffer.durability,
            replicas=self.settings.buffer.replicas,
            clock=self.clock,
            stream=ingest_stream(shard),
        )

    def buffer_limits(self) -> Any:
        """When the buffer says no, and what it keeps."""
        from muninn.ingest.buffer.contract import BufferLimits

        chosen = self.settings.buffer
        return BufferLimits(
            chosen.max_bytes, chosen.live_s, chosen.idempotency_s, chosen.tally_s, max_age_s=chosen.max_age_s
        )

    def _names(self) -> Any:
        from muninn.ingest.buffer.names import Names
        from muninn.store import series_index

        return Names(partial(series_index.names, self.database()))

    def _roster(self) -> Any:
        from muninn.ingest.buffer.roster import Roster
        from muninn.store import series_index

        roster = Roster(partial(series_index.registered, self.database()))
        threading.Thread(target=roster.run, args=(self.stop, self.clock), name="roster", daemon=True).start()
        return roster


def run(name: str, number: int = 1) -> int:
    """Run a program until SIGTERM or SIGINT; the exit code."""
    try:
        context = Context(name, number, settings.load())
        logs.configure(context.settings.log_level)
        _stop_on_signals(context.stop)
        with context.cleanup:
            importlib.import_module(f"muninn.run.programs.{name}").main(context)
    except Misconfigured as error:
        print(f"muninn {name}: {error}", file=sys.stderr)
        return 2
    except MuninnError as error:
        print(f"muninn {name}: {error}", file=sys.stderr)
        return 1
    return 0


def _stop_on_signals(stop: threading.Event) -> None:
    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
