"""The partitions of time that assets share, and their windows.

Belongs here: hours and days as Dagster partitions, and with which day they start. Does not: partitions of tables
(muninn.store.partitions).
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from muninn.clock import DAY_US, HOUR_US
from muninn.model import Window
from muninn.model.window import as_datetime, as_us

_FILE = "first_day"
# Without a home nothing is remembered: early enough for whatever is looked at.
_NO_HOME = datetime(2025, 1, 1, tzinfo=UTC)


def remembered_first_day(environ: Mapping[str, str] | None = None) -> datetime:
    """The first day of the lineage, midnight UTC: what DAGSTER_HOME/first_day says, or today, which it says then.

    A fixed early start would leave most partitions missing for ever, and with them hide those that really are.
    """
    home = (os.environ if environ is None else environ).get("DAGSTER_HOME")
    if not home:
        return _NO_HOME
    file = Path(home) / _FILE
    try:
        return _parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if file.parent.is_dir():
            _write(file, today)
        return today


def start_earlier(at_us: int, environ: Mapping[str, str] | None = None) -> bool:
    """Remember that the lineage starts with the day of `at_us`, for processes that load from now on.

    False if it is remembered as starting there, or earlier, already.
    """
    home = (os.environ if environ is None else environ).get("DAGSTER_HOME")
    day = as_datetime(at_us // DAY_US * DAY_US)
    if not home or remembered_first_day(environ) <= day:
        return False
    _write(Path(home) / _FILE, day)
    return True


def _parse(text: str) -> datetime:
    return datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)


def _write(file: Path, day: datetime) -> None:
    """Whole or not at all: others read it as they start."""
    draft = file.with_name(f"{_FILE}.{os.getpid()}")
    draft.write_text(f"{day:%Y-%m-%d}\n", encoding="utf-8")
    draft.replace(file)


FIRST_DAY = remembered_first_day()
FIRST_US = as_us(FIRST_DAY)
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


def key_window(key: str, width_us: int) -> Window:
    """The span of an hour's or a day's key."""
    partitions = HOURLY if width_us == HOUR_US else DAILY
    since_us = as_us(datetime.strptime(key, partitions.fmt).replace(tzinfo=UTC))
    return Window(since_us, since_us + width_us)
