"""Silences with an end, and maintenance windows that come again: whose alerts are not told, and until when.

Belongs here: whether an instant lies in one. Does not: keeping them (store), inhibition.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from muninn.alerting.alert import Alert
from muninn.alerting.matchers import Matchers
from muninn.alerting.rules import Match, Part
from muninn.alerting.spans import Seconds, text
from muninn.clock import SECOND_US
from muninn.model.window import as_datetime, as_us

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONGEST_S = 7 * 86_400.0
_LOOK_AHEAD_DAYS = 370


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no time zone; give one like Europe/Berlin")
    return name


def _clock(given: object) -> object:
    """YAML reads 02:30 without quotes as minutes of a day in base 60."""
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 1440:
        return time(given // 60, given % 60)
    return given


class Maintenance(Part):
    """From `at` on (by the clock of `timezone`) for `duration`, on `days` (none: every day), within [since, until)."""

    name: str = Field(min_length=1, max_length=80)
    match: Match = Field(default_factory=dict)
    at: Annotated[time, BeforeValidator(_clock)]
    duration_s: Seconds = Field(alias="duration", gt=0, le=_LONGEST_S)
    days: tuple[Day, ...] = ()
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    since: date | None = None
    until: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Maintenance":
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise ValueError("until: must be later than since")
        return self

    @cached_property
    def matchers(self) -> Matchers:
        """Whose alerts."""
        return Matchers.of(self.match)

    def ends_us(self, now_us: int) -> int | None:
        """When the window that `now` lies in ends; None outside of any.

        It begins by the wall clock and lasts its duration in elapsed time, so that a change of clocks within
        makes it neither longer nor shorter.
        """
        zone = ZoneInfo(self.timezone)
        now = as_datetime(now_us)
        today = now.astimezone(zone).date()
        ends = []
        for back in range(int(self.duration_s // 86_400) + 2):
            day = today - timedelta(days=back)
            if not self._is_on(day):
                continue
            # A clock time that is skipped on this day counts by the offset from before the change.
            begins_us = as_us(datetime.combine(day, self.at, zone))
            if begins_us <= now_us < begins_us + round(self.duration_s * SECOND_US):
                ends.append(begins_us + round(self.duration_s * SECOND_US))
        return max(ends, default=None)

    def begins_us(self, now_us: int) -> int | None:
        """When it begins next after `now`, within about a year; None where it does not."""
        zone = ZoneInfo(self.timezone)
        today = as_datetime(now_us).astimezone(zone).date()
        first = today if self.since is None else max(today, self.since)
        for day in (first + timedelta(days=ahead) for ahead in range(_LOOK_AHEAD_DAYS)):
            begins_us = as_us(datetime.combine(day, self.at, zone))
            if self._is_on(day) and begins_us > now_us:
                return begins_us
        return None

    def plain(self) -> dict[str, Any]:
        """The window as a rules file has it, without what is left at its default."""
        found = self.model_dump(by_alias=True, exclude_defaults=True, mode="json")
        return {**found, "duration": text(self.duration_s)}

    def _is_on(self, day: date) -> bool:
        if (self.since is not None and day < self.since) or (self.until is not None and day >= self.until):
            return False
        return not self.days or DAYS[day.weekday()] in self.days


def in_force(files: Sequence[Maintenance], made: Sequence[Maintenance]) -> list[Maintenance]:
    """Those of files and those made through the API, which win over a file's of the same name."""
    names = {each.name for each in made}
    return [*(each for each in files if each.name not in names), *made]


@dataclass(frozen=True)
class Silence:
    """Alerts that match are not told in [starts_us, ends_us)."""

    silence_id: str
    matchers: Matchers
    starts_us: int
    ends_us: int
    created_by: str = ""
    comment: str = ""
    created_us: int = 0
    extra: dict[str, str] = field(default_factory=dict, compare=False)

    def is_on(self, now_us: int) -> bool:
        """Whether it holds now."""
        return self.starts_us <= now_us < self.ends_us


@dataclass(frozen=True)
class Muted:
    """Why an alert is not told: by "silence", "maintenance" or "inhibition", which one, and until when."""

    by: str
    which: str
    until_us: int | None = None


def silenced(
    alerts: Iterable[Alert], silences: Sequence[Silence], maintenance: Sequence[Maintenance], now_us: int
) -> dict[str, Muted]:
    """alert id -> why it is not told now."""
    alerts = list(alerts)
    labels = [alert.all_labels for alert in alerts]
    found: dict[str, Muted] = {}
    for matchers, muted in _mutes(silences, maintenance, now_us):
        for alert, held in zip(alerts, matchers.of_many(labels), strict=True):
            if held:
                found.setdefault(alert.alert_id, muted)
    return found


def _mutes(
    silences: Sequence[Silence], maintenance: Sequence[Maintenance], now_us: int
) -> Iterator[tuple[Matchers, Muted]]:
    """What holds now, silences first."""
    for silence in silences:
        if silence.is_on(now_us):
            yield silence.matchers, Muted("silence", silence.silence_id, silence.ends_us)
    for window in maintenance:
        if (ends_us := window.ends_us(now_us)) is not None:
            yield window.matchers, Muted("maintenance", window.name, ends_us)
