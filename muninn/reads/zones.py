"""Calendar periods of a time zone as instants: local days, weeks and months, across changes of the clock.

Belongs here: where a local day begins. Does not: what is read for it (spans).
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from muninn.errors import Invalid
from muninn.model import Window
from muninn.model.window import as_datetime, as_us

Period = Literal["day", "week", "month"]
PERIODS: tuple[str, ...] = get_args(Period)
# What a chart can show, and what a question may cost.
MAX_PERIODS = 1500


def zone(name: str) -> ZoneInfo:
    """The IANA zone; Invalid names `tz`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(f"tz: {name!r} is no time zone; give one like Europe/Berlin or UTC", "tz") from None


def period_of(name: str) -> Period:
    """The period of this name; Invalid names `period`."""
    if name not in PERIODS:
        raise Invalid(f"period: {name!r} is none of {', '.join(PERIODS)}", "period")
    return name  # type: ignore[return-value]


def bounds_us(window: Window, period: Period, tz: ZoneInfo) -> list[int]:
    """Starts of the local periods that touch the window, and the end of the last: ascending instants.

    A period starts when the zone's clock first shows its midnight, or, where the clock skips that, at the skip.
    A day that a zone never had (it crossed the date line) is none. Invalid where there are more than 1,500.
    """
    day = _first_day(as_datetime(window.since_us).astimezone(tz).date(), period)
    found = [_midnight_us(day, tz)]
    while found[-1] < window.until_us:
        if len(found) > MAX_PERIODS:
            raise Invalid(f"since: more than {MAX_PERIODS} periods of a {period}; ask for a shorter window", "since")
        day = _NEXT[period](day)
        start_us = _midnight_us(day, tz)
        if start_us > found[-1]:
            found.append(start_us)
    # Where the clock went back over midnight, the date of an instant may begin after it.
    return (
        found
        if found[0] <= window.since_us
        else [_midnight_us(_first_day(day_before(found[0], tz), period), tz), *found]
    )


def day_before(at_us: int, tz: ZoneInfo) -> date:
    """The local date just before an instant."""
    return as_datetime(at_us - 1).astimezone(tz).date()


def _midnight_us(day: date, tz: ZoneInfo) -> int:
    """The first instant at which the zone's clock shows midnight of this day, or has passed it."""
    # fold=0: of two midnights the first; of a skipped one, the instant of the skip.
    return as_us(datetime(day.year, day.month, day.day, tzinfo=tz).astimezone(UTC))


def _first_day(day: date, period: Period) -> date:
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


_NEXT: dict[Period, Callable[[date], date]] = {
    "day": lambda day: day + timedelta(days=1),
    "week": lambda day: day + timedelta(days=7),
    "month": lambda day: (day.replace(day=1) + timedelta(days=32)).replace(day=1),
}
