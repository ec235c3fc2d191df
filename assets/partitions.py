"""The partitions of time that assets share, and their windows.

Belongs here: hours and days as Dagster partitions. Does not: partitions of tables (muninn.store.partitions).
"""

from datetime import UTC, datetime

import dagster as dg

from muninn.clock import DAY_US, HOUR_US
from muninn.model import Window
from muninn.model.window import as_datetime, as_us

# Fixed: a first partition that moves would change what every recorded partition means.
FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
HOURLY = dg.HourlyPartitionsDefinition(start_date=FIRST_DAY, timezone="UTC")
DAILY = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone="UTC")


def hour_key(at_us: int) -> str:
    """The key of the hour that holds `at_us`."""
    return as_datetime(at_us // HOUR_US * HOUR_US).strftime(HOURLY.fmt)


def day_key(at_us: int) -> str:
    """The key of the UTC day that holds `at_us`."""
    return as_datetime(at_us // DAY_US * DAY_US).strftime(DAILY.fmt)


def window_of(span: dg.TimeWindow) -> Window:
    """A partition's (or a range of partitions') span of time."""
    return Window(as_us(span.start), as_us(span.end))


def key_window(partitions: dg.TimeWindowPartitionsDefinition, key: str) -> Window:
    """The span of one partition key."""
    return window_of(partitions.time_window_for_partition_key(key))
