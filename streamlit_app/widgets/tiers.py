"""What the Lifecycle page shows: days by tier as bars, and its tables. Pure functions of values.

Belongs here: lifecycle values -> figures and frames. Does not: reading, Streamlit.
"""

from collections.abc import Sequence
from datetime import tzinfo

import numpy as np
import plotly.graph_objects as go
import polars as pl

from muninn.clock import DAY_US
from muninn.reads.lifecycle import DayTiers, Horizon, Late, LifecycleState, Task
from streamlit_app.widgets import formats
from streamlit_app.widgets.charts import FEWEST_DAYS, line_color

# In the order in which they are stacked.
TIERS = ("raw, in the database", "raw, in files", "rollups, in the database", "rollups, in files")
_ACTIONS = {
    "export": "write its files",
    "export again": "write its files anew",
    "move": "take it out of the database",
    "drop": "drop it",
}


def tiers_figure(days: Sequence[DayTiers]) -> go.Figure:
    """One stacked bar a UTC day: bytes by tier."""
    sizes = [
        [float(getattr(day, name)) for day in days]
        for name in ("database_bytes", "file_bytes", "rollup_bytes", "copy_bytes")
    ]
    scale = formats.scale_for("B", max((sum(of_day) for of_day in zip(*sizes, strict=True)), default=0.0))
    starts = np.array([day.day_ms for day in days], "datetime64[ms]")
    figure = go.Figure()
    for place, (name, values) in enumerate(zip(TIERS, sizes, strict=True)):
        figure.add_bar(
            x=starts,
            y=[value / scale.divisor for value in values],
            name=name,
            width=0.7 * DAY_US / 1000,
            marker={"color": line_color(place)},
            customdata=[formats.quantity(value, "B") for value in values],
            hovertemplate="%{customdata}",
        )
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    figure.update_layout(
        barmode="stack",
        height=330,
        margin={"l": 8, "r": 8, "t": 16, "b": 8},
        hovermode="x unified",
        legend=legend,
        uirevision="keep",
    )
    figure.update_xaxes(type="date", title={"text": "Day (UTC)"}, tickformat="%d %b", hoverformat="%a %d %b %Y")
    if len(starts):
        day = np.timedelta64(1, "D")
        last = max(starts[-1], starts[0] + FEWEST_DAYS * day)
        figure.update_xaxes(range=[str(starts[0] - day), str(last + day)])
    figure.update_yaxes(title={"text": scale.suffix or "B"}, rangemode="tozero", automargin=True)
    return figure


def tasks(found: Sequence[Task], now_us: int) -> pl.DataFrame:
    """What is done next, and when."""
    return pl.DataFrame(
        {
            "When": ["due" if task.due else _ahead(task.due_ms, now_us) for task in found],
            "What": [_ACTIONS[task.action] for task in found],
            "Day": [_day(task.day_ms) for task in found],
            "Table": [task.table for task in found],
            "Size": [formats.quantity(task.bytes, "B") for task in found],
            "At (UTC)": [task.due_ms for task in found],
        },
        schema_overrides={"At (UTC)": pl.Int64},
    ).with_columns(pl.col("At (UTC)").cast(pl.Datetime("ms")))


def days(found: Sequence[DayTiers]) -> pl.DataFrame:
    """Each day, newest first: where its raw samples lie, and what that saves."""
    rows = sorted(found, key=lambda day: -day.day_ms)
    return pl.DataFrame(
        {
            "Day": [_day(day.day_ms) for day in rows],
            "Raw samples": [tier_of(day) for day in rows],
            "Samples": [formats.NOTHING if day.rows is None else f"{day.rows:,}" for day in rows],
            "In the database": [_size(day.database_bytes) for day in rows],
            "In files": [_size(day.file_bytes) for day in rows],
            "B per sample": [formats.number(day.file_bytes / day.rows if day.rows else None) for day in rows],
            "Smaller by": [
                f"{day.before_bytes / day.file_bytes:.0f}×" if day.before_bytes and day.file_bytes else formats.NOTHING
                for day in rows
            ],
        },
    )


def tier_of(day: DayTiers) -> str:
    """Where a day's raw samples are, in words."""
    if day.moved:
        return "files, and late ones in the database" if day.changed else "files"
    if day.rows is None:
        return "database"
    return "database; the copy is outdated" if day.changed else "database, copied to files"


def horizons(found: Sequence[Horizon]) -> pl.DataFrame:
    """What is kept for how long, and how far back it reaches."""
    return pl.DataFrame(
        {
            "Table": [one.table for one in found],
            "Kept": [f"{one.kept_days} d" if one.kept_days is not None else "for ever" for one in found],
            "Reaches back to": [_day(one.oldest_ms) for one in found],
            "Dropped before": [_day(one.dropped_before_ms) for one in found],
        }
    )


def late(found: Sequence[Late], tz: tzinfo) -> pl.DataFrame:
    """Late samples that were folded in, newest first."""
    return pl.DataFrame(
        {
            "Hour (UTC)": [formats.clock_time(one.hour_ms * 1000, formats.zone("UTC"))[:16] for one in found],
            "Samples": [one.samples for one in found],
            "Series": [one.series for one in found],
            "First loaded": [formats.clock_time(one.loaded_ms * 1000, tz) for one in found],
            "Folded in after": [formats.duration((one.refreshed_ms - one.loaded_ms) / 1000) for one in found],
        },
        schema_overrides={"Samples": pl.Int64, "Series": pl.Int64},
    )


def totals(state: LifecycleState) -> tuple[int, int, int]:
    """Bytes of raw samples in the database, of all files, and of rollups of a day in the database."""
    return (
        sum(day.database_bytes for day in state.days),
        sum(day.file_bytes + day.copy_bytes for day in state.days),
        sum(day.rollup_bytes for day in state.days),
    )


def _ahead(at_ms: int, now_us: int) -> str:
    return f"in {formats.duration((at_ms * 1000 - now_us) / 1_000_000)}"


def _day(at_ms: int | None) -> str:
    return formats.NOTHING if at_ms is None else formats.clock_time(at_ms * 1000, formats.zone("UTC"))[:10]


def _size(size: int) -> str:
    return formats.quantity(size, "B") if size else formats.NOTHING
