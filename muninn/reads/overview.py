"""Is all well, who works hardest, what changed most.

Belongs here: the overview question and its sentences. Does not: thresholds of health (health), caching (facade).
"""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from muninn import names
from muninn.clock import HOUR_US, MINUTE_US
from muninn.model import SeriesKey
from muninn.model.window import as_datetime, as_us
from muninn.reads.asking import Asker
from muninn.reads.figures import figure
from muninn.reads.health import StoreSigns, judge
from muninn.reads.heartbeats import Heartbeats
from muninn.reads.memo import Answer
from muninn.reads.values import Change, HostLoad, Overview, Totals

ANSWER = Answer("overview", TypeAdapter(Overview), fresh_s=3.0, keep_s=3600.0)

MAX_HOSTS = 10
# A host that was silent for this long has no "latest" figures.
HOST_ALIVE_US = 5 * MINUTE_US
MAX_CHANGES = 10
MAX_CHANGES_PER_METRIC = 3
RECENT_US = 10 * MINUTE_US
# Minutes with samples that a comparison needs on either side.
MIN_BEFORE = 10
MIN_NOW = 5
# A steady drift over the hour scores 2: its baseline's spread is that of the drift.
MIN_SCORE = 3.0


def overview(ask: Asker, heartbeats: Heartbeats, now_us: int) -> Overview:
    """The fleet as it is at `now_us`, from two queries however many series there are."""
    minute_us = now_us // MINUTE_US * MINUTE_US
    state = ask.fetch(
        "reads_overview_state",
        now=as_datetime(now_us),
        minute=as_datetime(minute_us - MINUTE_US),
        minute_end=as_datetime(minute_us),
        alive_since=as_datetime(now_us - HOST_ALIVE_US),
        max_hosts=MAX_HOSTS,
    )[0]
    signs = StoreSigns(None if state.newest_at is None else as_us(state.newest_at), state.watermarks_us)
    return Overview(
        at_ms=now_us // 1000,
        health=judge(now_us, heartbeats, signs),
        totals=Totals(state.series_count, state.samples_per_min, state.bytes_on_disk),
        hosts=tuple(_host(host) for host in state.hosts),
        changes=tuple(_change(row) for row in _changes(ask, now_us)),
    )


def _host(row: Mapping[str, Any]) -> HostLoad:
    # JSON has one kind of number: a whole one comes as an int.
    cpu, memory, load = (
        None if row[name] is None else float(row[name]) for name in ("cpu_busy_pct", "memory_used_pct", "load_1m")
    )
    return HostLoad(row["host"], row["at_ms"], cpu, memory, load)


def _changes(ask: Asker, now_us: int) -> list[Any]:
    return ask.fetch(
        "reads_overview_changes",
        since=as_datetime((now_us - HOUR_US) // MINUTE_US * MINUTE_US),
        split=as_datetime((now_us - RECENT_US) // MINUTE_US * MINUTE_US),
        until=as_datetime(now_us),
        min_before=MIN_BEFORE,
        min_now=MIN_NOW,
        min_score=MIN_SCORE,
        max_per_metric=MAX_CHANGES_PER_METRIC,
        max_changes=MAX_CHANGES,
    )


def _change(row: Any) -> Change:
    key = SeriesKey.of(row.metric_name, row.tags, row.source_agent_id, row.instance_id)
    meta = names.describe(row.metric_name)
    unit = f"{meta.unit}/s" if meta.kind == "counter" else meta.unit
    before, now = row.before_value, row.now_value
    return Change(
        key=key,
        unit=unit,
        direction="up" if now > before else "down",
        before=before,
        now=now,
        spread=row.spread,
        score=row.score,
        change_pct=(now - before) / abs(before) * 100 if before else None,
        summary=_sentence(key, unit, before, now, row.spread),
    )


def _sentence(key: SeriesKey, unit: str, before: float, now: float, spread: float) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in key.labels)
    who = f"{key.metric} ({labels})" if labels else key.metric
    verb = "rose" if now > before else "fell"
    wobble = f"it usually varies by {figure(spread, unit)}" if spread else "it was constant before"
    return f"{who} {verb} from {figure(before, unit)} to {figure(now, unit)}; {wobble}."
