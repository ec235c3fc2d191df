"""Answers as tables: for the eye (texts with units) and for download (plain columns, unit in a column of its own).

Belongs here: values -> polars frames. Does not: column layout in the browser, reading.
"""

import io
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from urllib.parse import urlencode

import numpy as np
import polars as pl
from numpy.typing import NDArray

from muninn.clock import DAY_US
from muninn.reads import (
    HostLoad,
    MetricInfo,
    PartitionInfo,
    ProgramState,
    Regression,
    RollupFreshness,
    Trend,
    TrendSeries,
)
from muninn.reads.dagster_runs import DagsterRun
from muninn.reads.dead_letters import DeadLetterInfo
from streamlit_app.widgets import formats
from streamlit_app.widgets.labels import labels_text
from streamlit_app.widgets.lines import Line, rate_per_s
from streamlit_app.widgets.panels import COUNTER, Drawn

DAY_MS = DAY_US // 1000
# What Explore shows of a host that is followed from its row.
HOST_VIEW = {"metric": "cpu_usage_pct", "label.cpu": "total"}
_POINT_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "at": pl.Datetime("ms", "UTC"),
    "metric_name": pl.String,
    "labels": pl.String,
    "source_agent_id": pl.String,
    "instance_id": pl.String,
    "unit": pl.String,
    "avg_value": pl.Float64,
    "min_value": pl.Float64,
    "max_value": pl.Float64,
    "p95_value": pl.Float64,
    "sample_count": pl.Int64,
    "growth_per_s": pl.Float64,
}


def points(trends: Sequence[Trend]) -> pl.DataFrame:
    """Every point of every series, one a row, in order of metric, series and time; times are UTC."""
    frames = [_points_of(series, trend) for trend in trends for series in trend.series]
    return pl.concat(frames) if frames else pl.DataFrame(schema=_POINT_SCHEMA)


def _points_of(series: TrendSeries, trend: Trend) -> pl.DataFrame:
    grown = trend.kind == COUNTER
    return pl.DataFrame(
        {
            "at": series.at_ms,
            "metric_name": series.key.metric,
            "labels": labels_text(series.key.labels),
            "source_agent_id": series.key.source_agent_id,
            "instance_id": series.key.instance_id,
            "unit": trend.unit,
            "avg_value": series.avg,
            "min_value": series.min,
            "max_value": series.max,
            "p95_value": series.p95,
            "sample_count": series.count,
            "growth_per_s": _growth(series) if grown else np.full(len(series.at_ms), np.nan),
        }
    ).select(
        pl.col("at").cast(pl.Datetime("ms")).dt.replace_time_zone("UTC"),
        pl.col("metric_name", "labels", "source_agent_id", "instance_id", "unit"),
        pl.col("avg_value", "min_value", "max_value", "p95_value"),
        pl.col("sample_count").cast(pl.Int64),
        pl.col("growth_per_s").fill_nan(None),
    )


def _growth(series: TrendSeries) -> NDArray[np.float64]:
    return rate_per_s(series.at_ms, series.max) if series.rate is None else series.rate


def as_csv(frame: pl.DataFrame) -> bytes:
    """The frame as CSV, times as RFC 3339 in UTC."""
    return frame.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")).write_csv().encode()


def as_parquet(frame: pl.DataFrame) -> bytes:
    """The frame as a Parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def series_summary(found: Sequence[Drawn]) -> pl.DataFrame:
    """One row a series: what is drawn of it in figures (each with its unit) and as a small course."""
    rows = []
    for one in found:
        y = one.line.y[np.isfinite(one.line.y)]
        rows.append(
            {
                "Metric": one.key.metric,
                "Labels": labels_text(one.key.labels),
                "Last": formats.quantity(float(y[-1]), one.unit) if len(y) else formats.NOTHING,
                "Mean": formats.quantity(float(y.mean()), one.unit) if len(y) else formats.NOTHING,
                "Least": formats.quantity(float(y.min()), one.unit) if len(y) else formats.NOTHING,
                "Greatest": formats.quantity(float(y.max()), one.unit) if len(y) else formats.NOTHING,
                "Points": len(y),
                "Course": y.tolist(),
            }
        )
    return pl.DataFrame(rows)


def regressions(found: Sequence[Regression], address: str) -> pl.DataFrame:
    """One row a series: the figure that decided, before and now, and where Explore shows it."""
    rows = []
    for one in found:
        mean = one.p95 is None or one.mean.verdict == one.verdict
        shift = one.mean if one.p95 is None or mean else one.p95
        view = {"metric": one.key.metric, **{f"label.{name}": value for name, value in one.key.labels}}
        query = urlencode({**view, "range": "24h", "compare": "a week before"})
        rows.append(
            {
                "Verdict": one.verdict.capitalize(),
                "Metric": one.key.metric,
                "Labels": labels_text(one.key.labels),
                "Figure": "mean" if mean else "p95",
                "7 days before": formats.quantity(shift.before, one.unit),
                "Last 24 h": formats.quantity(shift.now, one.unit),
                "Change": "new" if shift.change_pct is None else formats.percent_change(shift.before, shift.now),
                "Usual wobble": formats.quantity(shift.noise, one.unit),
                "Explore": f"{address}?{query}",
            }
        )
    return pl.DataFrame(rows)


def metrics(catalogue: Sequence[MetricInfo], now_us: int) -> pl.DataFrame:
    """Every metric there is, with what it means."""
    return pl.DataFrame(
        {
            "Metric": [info.metric_name for info in catalogue],
            "Unit": [info.unit for info in catalogue],
            "Kind": [info.kind for info in catalogue],
            "Series": [info.series_count for info in catalogue],
            "Seen": [formats.ago(_us(info.last_seen_ms), now_us) for info in catalogue],
            "Meaning": [info.help for info in catalogue],
        }
    )


def hosts(
    loads: Sequence[HostLoad], cpu: Mapping[str, Line], network: Mapping[str, Line], now_us: int, explore: str
) -> pl.DataFrame:
    """The busiest hosts; shares in percent; `explore` is the address of the Explore page.

    cpu, network: the last hour of hosts of which it is known, in percent and bytes per second.
    """
    return pl.DataFrame(
        {
            "Host": [load.host for load in loads],
            "CPU": [load.cpu_busy_pct for load in loads],
            "Course": [_course(cpu.get(load.host)) for load in loads],
            "Memory": [load.memory_used_pct for load in loads],
            "Load": [load.load_1m for load in loads],
            "Network": [formats.quantity(_last(network.get(load.host)), "B/s") for load in loads],
            "Seen": [formats.ago(load.at_ms * 1000, now_us) for load in loads],
            "Explore": [f"{explore}?{urlencode(HOST_VIEW | {'label.host': load.host})}" for load in loads],
        }
    )


def _course(line: Line | None) -> list[float]:
    return [] if line is None else [float(value) for value in line.y[np.isfinite(line.y)]]


def _last(line: Line | None) -> float | None:
    course = _course(line)
    return course[-1] if course else None


def partitions(found: Sequence[PartitionInfo], now_ms: int) -> pl.DataFrame:
    """Partitions as they lie on disk: those that hold something by now from the newest on, then those to come."""
    rows = sorted(found, key=lambda one: (one.since_ms > now_ms, -one.since_ms, one.table))
    return pl.DataFrame(
        {
            "Table": [one.table for one in rows],
            "Since (UTC)": [one.since_ms for one in rows],
            "Until (UTC)": [one.until_ms for one in rows],
            "Rows": [one.rows_estimate if one.rows_estimate >= 0 else None for one in rows],
            "Size": [formats.quantity(one.bytes, "B") for one in rows],
            "B per row": [
                formats.number(one.bytes / one.rows_estimate if one.rows_estimate > 0 else None) for one in rows
            ],
        }
    ).with_columns(pl.col("Since (UTC)", "Until (UTC)").cast(pl.Datetime("ms")))


def daily(found: Sequence[PartitionInfo], now_ms: int) -> list[PartitionInfo]:
    """The partitions that hold a day or less each, in order, without those of days to come."""
    days = [one for one in found if one.until_ms - one.since_ms <= DAY_MS and one.since_ms <= now_ms]
    return sorted(days, key=lambda one: (one.since_ms, one.table))


def bytes_by_day(days: Sequence[PartitionInfo]) -> tuple[list[str], list[float]]:
    """UTC days in order, and the bytes of the partitions (of a day each) that lie in them."""
    by_day = _by_day(days)
    return list(by_day), [float(sum(one.bytes for one in group)) for group in by_day.values()]


def contents_by_day(days: Sequence[PartitionInfo]) -> list[str]:
    """What each of those days holds, table by table."""
    return [
        "<br>".join(f"{one.table} {formats.quantity(one.bytes, 'B')}" for one in group)
        for group in _by_day(days).values()
    ]


def _by_day(days: Sequence[PartitionInfo]) -> dict[str, list[PartitionInfo]]:
    by_day: dict[str, list[PartitionInfo]] = {}
    for one in days:
        by_day.setdefault(formats.clock_time(one.since_ms * 1000, formats.zone("UTC"))[:10], []).append(one)
    return by_day


def dead_letters(letters: Sequence[DeadLetterInfo], tz: tzinfo) -> pl.DataFrame:
    """What could not be stored, newest first."""
    return pl.DataFrame(
        {
            "Since": [formats.clock_time(letter.at_ms * 1000, tz) for letter in letters],
            "Reason": [letter.reason for letter in letters],
            "Samples": [letter.samples for letter in letters],
            "Series": [letter.series for letter in letters],
            "Size": [formats.quantity(letter.bytes, "B") if letter.bytes else "not kept" for letter in letters],
            "ID": [letter.letter_id for letter in letters],
        },
        schema_overrides={"Samples": pl.Int64, "Series": pl.Int64},
    )


def freshness(found: Sequence[RollupFreshness], tz: tzinfo) -> pl.DataFrame:
    """How far each resolution is refreshed."""
    return pl.DataFrame(
        {
            "Resolution": [one.resolution for one in found],
            "Closed up to": [formats.clock_time(_us(one.watermark_ms), tz) for one in found],
            "Behind": [formats.duration(one.behind_s) for one in found],
            "Late rows waiting": [one.late_waiting for one in found],
        }
    )


def programs(found: Sequence[ProgramState], now_us: int) -> pl.DataFrame:
    """Who runs, and when each last gave a sign of life."""
    return pl.DataFrame(
        {
            "Program": [one.program for one in found],
            "Instance": [one.instance for one in found],
            "Pid": [one.pid for one in found],
            "Running for": [formats.duration((now_us // 1000 - one.started_ms) / 1000) for one in found],
            "Heartbeat": [f"{formats.duration(one.heartbeat_age_s)} ago" for one in found],
        }
    )


def runs(found: Sequence[DagsterRun], now_us: int) -> pl.DataFrame:
    """The last Dagster runs with the address of each."""
    return pl.DataFrame(
        {
            "Status": [[one.status.capitalize().replace("_", " ")] for one in found],
            "Job": [one.job if not one.job.startswith("__") else "assets" for one in found],
            "Assets": [_asset_text(one) for one in found],
            "Cause": [one.cause for one in found],
            "Started": [formats.ago(_us(one.started_ms or one.created_ms), now_us) for one in found],
            "Took": [formats.duration(_seconds(one)) for one in found],
            "Run": [one.url for one in found],
        }
    )


def _asset_text(run: DagsterRun) -> str:
    more = run.asset_count - len(run.assets)
    return ", ".join(run.assets) + (f" +{more}" if more > 0 else "")


def _seconds(run: DagsterRun) -> float | None:
    return None if run.started_ms is None or run.ended_ms is None else (run.ended_ms - run.started_ms) / 1000


def _us(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms * 1000
