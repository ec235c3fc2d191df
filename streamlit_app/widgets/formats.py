"""Numbers, units and times as people read them.

Belongs here: value + unit -> text, and the scale that an axis shows. Does not: colours, layout, Streamlit.
Units are those of muninn.names, as an axis shows them: B, B/s, %, s, ms, /s, ...; "" is a bare number.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from muninn.clock import SECOND_US

NOTHING = "–"
_BINARY = tuple((1024.0**power, prefix) for power, prefix in enumerate(("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")))
_DECIMAL = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"))
_SECONDS = ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"), (86400.0, "d"))
_TIME_UNITS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_BINARY_UNITS = ("B", "B/s")
_FIXED = {"%": "%", "°C": "°C", "ratio": "", "s/s": "s/s"}
_PREFIXED = ("Hz", "V", "W", "/s")


@dataclass(frozen=True)
class Scale:
    """How an axis or a number shows a unit: shown = value / divisor, followed by `suffix` ("" for a bare number)."""

    divisor: float
    suffix: str


def scale_for(unit: str, magnitude: float) -> Scale:
    """The scale in which a value of this size has one to four digits before the point."""
    size = abs(magnitude) if math.isfinite(magnitude) else 0.0
    if unit in _TIME_UNITS:
        factor = _TIME_UNITS[unit]
        step, suffix = _step(_SECONDS, size * factor) if size else (factor, unit)
        return Scale(step / factor, suffix)
    if unit in _FIXED:
        return Scale(1.0, _FIXED[unit])
    if unit in _BINARY_UNITS:
        step, prefix = _step(_BINARY, size)
        return Scale(step, prefix + unit)
    step, prefix = _step(_DECIMAL, size)
    return Scale(step, prefix + unit if unit in _PREFIXED else f"{prefix} {unit}".strip())


def rate_unit(unit: str) -> str:
    """The unit of a counter's growth per second."""
    return f"{unit}/s"


def _step(steps: tuple[tuple[float, str], ...], size: float) -> tuple[float, str]:
    """The largest step that the value reaches once it is rounded to three digits (1023.9 B is 1 KiB)."""
    fitting = [step for step in steps if _three_digits(size / step[0]) >= 1.0]
    return fitting[-1] if fitting else steps[0]


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}") if value < 1000 else round(value)


def number(value: float | None) -> str:
    """A bare number with three digits that count, thousands grouped: 0.0421, 3.5, 1,234."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def quantity(value: float | None, unit: str) -> str:
    """A value with its unit, scaled: `1.2 GiB`, `340 ms`, `12.5 %`, `3.4 k`; `–` for none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    scale = scale_for(unit, value)
    text = number(value / scale.divisor)
    if scale.suffix == "/s":
        return f"{text}/s"
    return f"{text} {scale.suffix}" if scale.suffix else text


def count(value: int | None) -> str:
    """A count in full up to 99,999, then shortened: `1.2 M`."""
    if value is None:
        return NOTHING
    return f"{value:,}" if abs(value) < 100_000 else quantity(float(value), "")


def duration(seconds: float | None) -> str:
    """A length of time by its two largest parts: `45 s`, `2 min 5 s`, `3 d 4 h`; below a second in ms."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 10:
        return f"{number(round(seconds, 1))} s"
    rest = round(abs(seconds))
    parts: list[tuple[int, str]] = []
    for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        whole, rest = divmod(rest, size)
        if whole or parts:
            parts.append((whole, name))
        if len(parts) == 2:
            break
    return ("-" if seconds < 0 else "") + " ".join(f"{whole} {name}" for whole, name in parts if whole)


def ago(at_us: int | None, now_us: int) -> str:
    """How long ago an instant was: `now`, `12 s ago`, `in 3 s`; `never` for none."""
    if at_us is None:
        return "never"
    seconds = (now_us - at_us) / SECOND_US
    if abs(seconds) < 1:
        return "now"
    return f"{duration(round(seconds))} ago" if seconds > 0 else f"in {duration(round(-seconds))}"


def percent_change(before: float, after: float) -> str:
    """The change relative to before: `+12.5 %`, `-40 %`, `×3.2` from doubling on; `–` from zero."""
    if before == 0 or not (math.isfinite(before) and math.isfinite(after)):
        return NOTHING
    change = (after - before) / abs(before)
    if change >= 1:
        return f"×{number(after / before)}" if before > 0 else f"+{number(change * 100)} %"
    return f"{'+' if change >= 0 else '-'}{number(abs(change) * 100)} %"


def zone(name: str | None) -> tzinfo:
    """The time zone of that IANA name; UTC where it is none or not known here."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def fixed_zone(tz: tzinfo, at_us: int) -> timezone:
    """The zone's offset at that instant, fixed: a chart's axis must not jump where the clock is changed."""
    offset = datetime.fromtimestamp(at_us / SECOND_US, tz).utcoffset() or timedelta()
    return timezone(offset)


def zone_text(tz: tzinfo, at_us: int) -> str:
    """A zone with its offset at that instant, as an axis shows it: `Europe/Berlin, UTC+02:00`; `UTC` alone."""
    name = getattr(tz, "key", "")
    offset = str(fixed_zone(tz, at_us))
    return offset if name in ("", "UTC") or name == offset else f"{name}, {offset}"


def clock_time(at_us: int | None, tz: tzinfo) -> str:
    """An instant as `2026-03-01 14:05:09` in that zone; `–` for none."""
    if at_us is None:
        return NOTHING
    return datetime.fromtimestamp(at_us / SECOND_US, tz).strftime("%Y-%m-%d %H:%M:%S")
