"""Times as people write them: epoch milliseconds, RFC 3339, "now", "-6h", "now-15m".

Belongs here: reading instants, spans and windows from text. Does not: choosing steps (steps).
"""

import re
from datetime import datetime

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.errors import Invalid
from muninn.model import Window
from muninn.model.window import as_us

_UNITS_US = {
    "ms": 1000,
    "s": SECOND_US,
    "m": MINUTE_US,
    "h": HOUR_US,
    "d": DAY_US,
    "w": 7 * DAY_US,
}
_SPAN = re.compile(r"(?:\d+(?:ms|[smhdw]))+")
_SPAN_PART = re.compile(r"(\d+)(ms|[smhdw])")
_RELATIVE = re.compile(r"(?:now)?\s*([+-])\s*(.+)")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")
# 1973-03-03 as milliseconds; as seconds it is the year 5138. What is below was meant as seconds.
_MIN_MS = 10**11
# 9999-12-31: what PostgreSQL and datetime both hold.
_MAX_MS = 253_402_300_799_000


def parse_instant(text: str | int, now_us: int, parameter: str) -> int:
    """Microseconds since the epoch; Invalid with this parameter's name says what is accepted."""
    word = str(text).strip()
    if word == "now":
        return now_us
    if relative := _RELATIVE.fullmatch(word):
        span_us = parse_span_us(relative[2], parameter)
        return _in_range(now_us + (span_us if relative[1] == "+" else -span_us), parameter)
    if word.isascii() and word.isdigit():
        return _from_ms(int(word), parameter)
    # In a query string an unescaped "+" of an offset arrives as a space.
    candidate = re.sub(r" (?=\d\d:\d\d$)", "+", word) if word.count(":") == 3 else word
    if _RFC3339.fullmatch(candidate):
        try:
            return as_us(datetime.fromisoformat(candidate.upper()))
        except ValueError:
            raise Invalid(f"{parameter}: there is no such day or time as {word!r}", parameter) from None
    raise Invalid(
        f"{parameter}: {word!r} is no time; give epoch milliseconds, RFC 3339 with an offset "
        '(2026-01-31T12:00:00Z), "now", or back from now ("-6h", "now-15m")',
        parameter,
    )


def parse_span_us(text: str | int, parameter: str) -> int:
    """A positive span in microseconds from "15m", "1h30m", "90s", "500ms", or a whole number of seconds."""
    word = str(text).strip()
    if word.isascii() and word.isdigit():
        span_us = int(word) * SECOND_US
    elif _SPAN.fullmatch(word):
        span_us = sum(int(number) * _UNITS_US[unit] for number, unit in _SPAN_PART.findall(word))
    else:
        raise Invalid(f'{parameter}: {word!r} is no span of time; give one like "15m", "1h30m" or "90s"', parameter)
    if not 0 < span_us <= _MAX_MS * 1000:
        raise Invalid(f"{parameter}: {word!r} must be more than nothing and less than 8,000 years", parameter)
    return span_us


def parse_window(since: str | int, until: str | int, now_us: int) -> Window:
    """[since, until); Invalid names the parameter, also when the window is empty or ends before it starts."""
    window = (parse_instant(since, now_us, "since"), parse_instant(until, now_us, "until"))
    if window[1] <= window[0]:
        raise Invalid("until: the window must end after it starts (since)", "until")
    return Window(*window)


def _from_ms(ms: int, parameter: str) -> int:
    if ms < _MIN_MS:
        raise Invalid(f"{parameter}: {ms} is too small for epoch milliseconds (seconds? add 000)", parameter)
    return _in_range(ms * 1000, parameter)


def _in_range(at_us: int, parameter: str) -> int:
    if not 0 <= at_us <= _MAX_MS * 1000:
        raise Invalid(f"{parameter}: the time must lie between the years 1970 and 9999", parameter)
    return at_us
