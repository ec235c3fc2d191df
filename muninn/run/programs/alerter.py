"""The alerter: judges alert rules on what flows, keeps alerts, notifies."""

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from muninn import cache
from muninn.cache import Board
from muninn.clock import SECOND_US
from muninn.errors import MuninnError
from muninn.model import Broker, SampleBatch
from muninn.model.scores import ScoreLog
from muninn.operations.alerts import senders
from muninn.operations.alerts.alerter import SEED_S, Alerter, History, Inputs
from muninn.operations.alerts.feeds import Parts, Probe, Samples, Scores, seconds_behind
from muninn.operations.alerts.journal import Journal
from muninn.operations.alerts.leading import LEADS, Leading
from muninn.operations.alerts.outbox import Outbox
from muninn.operations.alerts.rulebook import Rulebook
from muninn.run.programs import Context
from muninn.store import alert_series
from muninn.store.alert_lead import Lead, Superseded
from muninn.store.alerts import AlertStore
from muninn.store.database import Database

log = logging.getLogger(__name__)

# While PostgreSQL is away every question waits this long: rules must be judged meanwhile.
_CONNECT_S = 2.0
_PROBE_S = 3.0
# A server that hangs holds a turn of the loop up for so long, once.
_STATEMENT_S = 10.0
_POOL = 3
# A program tells the board how it is every second.
_SILENT_US = 5 * SECOND_US


def main(context: Context) -> None:
    """Judge until stopped, as long as this alerter leads; stand by while another one does."""
    lease_s = context.settings.alerting.lease_s
    database, broker = _database(context), context.broker(names=True)
    lead = Lead(database, f"{context.instance} {os.getpid()} {os.urandom(4).hex()}", lease_s)
    leading = Leading(lead, partial(_others_lead, context.board(), context), context.clock, context.meter, lease_s)
    score_log = cache.RedisScoreLog(cache.connect(context.settings.require_redis_url(), max_connections=2))
    probes = _probes(context, _probe(context))
    context.start_heartbeat()
    while leading.wait(context.stop):
        _lead(context, database, Sources(broker, score_log, probes), leading)


@dataclass(frozen=True)
class Sources:
    """What is listened to and asked: connected once, however often the lead is taken."""

    broker: Any
    scores: ScoreLog
    probes: Mapping[str, Probe]


def _lead(context: Context, database: Database, sources: Sources, leading: Leading) -> None:
    """Judge until stopped, or until another alerter leads."""
    chosen, clock, over = context.settings.alerting, context.clock, threading.Event()
    samples, scores = Samples(sources.broker, clock), Scores(sources.scores, clock)
    parts = Parts(sources.probes, lambda: seconds_behind(database.fetch("alert_rollup_state"), clock.now_us()), clock)
    outbox = Outbox(partial(senders.send, page_url=chosen.page_url), clock, context.meter)
    journal = Journal(AlertStore(database, lambda: leading.term), outbox, clock)
    alerter = Alerter(
        Rulebook(context.settings),
        journal,
        outbox,
        _history(database),
        clock,
        context.meter,
        max_series=chosen.max_series,
        keep_days=chosen.keep_days,
        keep_scores_days=chosen.keep_scores_days,
    )
    with ExitStack() as ends:
        forget = partial(context.meter.forget, "muninn_alert")
        for end in (leading.end, forget, journal.close, outbox.stop, over.set):
            ends.callback(end)  # the last one first
        works = (("samples", samples.run), ("scores", scores.run), ("parts", parts.run), ("lead", leading.keep))
        for name, work in works:
            threading.Thread(target=work, args=(over,), name=name, daemon=True).start()
        try:
            while not clock.wait(chosen.evaluate_s, context.stop) and not leading.lost:
                own = parts.take()
                alerter.turn(Inputs(samples.take(), scores.take(), own if len(own) else None, samples.heard_us))
                _show(sources.broker, [alerter.states(), own])
        except Superseded as error:
            log.warning("%s: stands by", error)
            leading.give_up()


def _others_lead(board: Board, context: Context) -> bool:
    """Whether another alerter says that it leads."""
    oldest_us, me = context.clock.now_us() - _SILENT_US, (context.instance, os.getpid())
    return any(
        entry.program == context.name
        and (entry.instance, entry.pid) != me
        and entry.at_us > oldest_us
        and any(name == LEADS and value > 0 for name, _, value in entry.metrics)
        for entry in board.read_all()
    )


def _show(broker: Broker, batches: Sequence[SampleBatch]) -> None:
    """Open alerts, and which parts answer, as series like any other: they are stored, and seen live.

    They come back to the alerter as the same samples of the same series, which changes nothing.
    """
    batch = SampleBatch.concat([each for each in batches if len(each)])
    if len(batch):
        try:
            broker.append(batch)
        except MuninnError as error:
            log.debug("open alerts are not streamed: %s", error)


def _database(context: Context) -> Database:
    limit_s = min(context.settings.database.statement_timeout_s, _STATEMENT_S)
    database = Database(
        context.settings.require_database_url(),
        pool_size=_POOL,
        statement_timeout_s=limit_s,
        application_name="muninn-alerter",
        connect_timeout_s=_CONNECT_S,
        hang_s=_CONNECT_S,
    )
    return context.cleanup.enter_context(database)


def _probe(context: Context) -> Database:
    """Connections of its own: that those of the alerter are busy says nothing about the server."""
    database = Database(
        context.settings.require_database_url(), pool_size=1, statement_timeout_s=_PROBE_S,
        application_name="muninn-alerter-probe", connect_timeout_s=_CONNECT_S, hang_s=_CONNECT_S,
    )  # fmt: skip
    return context.cleanup.enter_context(database)


def _history(database: Database) -> History:
    return History(
        known=lambda metrics, now_us: alert_series.known(database, metrics, now_us, SEED_S),
        samples=lambda metrics, window: alert_series.samples(database, metrics, window),
        buckets=lambda need: alert_series.buckets(database, need.level, need.metrics, need.window),
    )


def _probes(context: Context, database: Database) -> Mapping[str, Probe]:
    board = cache.connect(context.settings.require_redis_url(), timeout_s=_PROBE_S, max_connections=2)
    gateway = f"{context.settings.gateway_url}/healthz"
    return {
        "postgres": lambda: database.fetch("store_engine"),
        "redis": board.ping,
        "gateway": lambda: httpx.get(gateway, timeout=_PROBE_S).raise_for_status(),
    }
