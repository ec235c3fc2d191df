"""Is all well, who works hardest, what changed most.

Belongs here: the overview question and its sentences. Does not: thresholds of health (health), caching (facade).
"""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import TypeAdapter

from muninn import names
from muninn.clock import MINUTE_US
from muninn.model import SeriesKey
from muninn.model.window import as_datetime
from muninn.reads.asking import Asker
from muninn.reads.changes import Found, Minutes, changes, since_us
from muninn.reads.figures import figure
from muninn.reads.health import StoreSigns, judge
from muninn.reads.heartbeats import Heartbeats
from muninn.reads.memo import Answer
from muninn.reads.values import Change, HostLoad, Overview, Totals

ANSWER = Answer("overview", TypeAdapter(Overview), fresh_s=3.0, keep_s=3600.0)

MAX_HOSTS = 10
# A host that was silent for this long has no "latest" figures.
HOST_ALIVE_US = 5 * MINUTE_US


def overview(ask: Asker, heartbeats: Heartbeats, now_us: int, switched_off: Collection[str] = ()) -> Overview:
    """The fleet as it is at `now_us`, from a few queries however many series there are."""
    (state, *_), *rows = ask.fetch(
        "reads_overview",
        now=as_datetime(now_us),
        since=as_datetime(since_us(now_us)),
        alive_since=as_datetime(now_us - HOST_ALIVE_US),
        max_hosts=MAX_HOSTS,
    )
    minutes = Minutes.received(rows)
    signs = StoreSigns(state["newest_us"], state["watermarks_us"])
    samples = minutes.samples(now_us // MINUTE_US * MINUTE_US - MINUTE_US)
    size = ask.known.size.at(ask.clock.monotonic(), lambda: ask.fetch("reads_bytes")[0].bytes)
    return Overview(
        at_ms=now_us // 1000,
        health=judge(now_us, heartbeats, signs, switched_off),
        totals=Totals(state["series_count"], samples, size),
        hosts=tuple(_host(host) for host in state["hosts"]),
        changes=tuple(_change(row) for row in changes(ask, minutes, state["edition"], now_us)),
    )


def _host(row: Mapping[str, Any]) -> HostLoad:
    # JSON has one kind of number: a whole one comes as an int.
    cpu, memory, load = (
        None if row[name] is None else float(row[name]) for name in ("cpu_busy_pct", "memory_used_pct", "load_1m")
    )
    return HostLoad(row["host"], row["at_ms"], cpu, memory, load)


def _change(row: Found) -> Change:
    key = SeriesKey.of(row.metric_name, dict(row.tags), row.source_agent_id, row.instance_id)
    meta = names.describe(row.metric_name)
    unit = f"{meta.unit}/s" if meta.kind == "counter" else meta.unit
    before, now = row.before, row.now
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
