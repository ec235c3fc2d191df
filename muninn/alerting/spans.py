"""Spans of time as rules files have them: "90s", "5m", "1h30m", "7d", or a number of seconds.

Belongs here: text to seconds and back. Does not: instants.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_SPAN = re.compile(r"(?:\d{1,12}(?:ms|[smhdw]))+")
_LONGEST_S = 1000 * 365 * 86_400.0
# Of a sample's value.
_LARGEST = 1e290
_PART = re.compile(r"(\d+)(ms|[smhdw])")


def seconds(given: object) -> float:
    """Seconds of a span; ValueError says what is accepted."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        if not 0 <= given <= _LONGEST_S:
            raise ValueError("a span of time is not negative, and not longer than a thousand years")
        return float(given)
    text = str(given).strip()
    if not _SPAN.fullmatch(text):
        raise ValueError(f'{text!r} is no span of time; give one like "90s", "5m" or "1h30m"')
    return seconds(sum(int(number) * _UNITS_S[unit] for number, unit in _PART.findall(text)))


def amount(given: object) -> float:
    """A number, or a span of time as seconds: what a level's limit may be."""
    if isinstance(given, str) and _SPAN.fullmatch(given.strip()):
        return seconds(given)
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise ValueError("give a number, or a span of time")
    number = given if isinstance(given, int) else float(given)
    if not abs(number) <= _LARGEST:
        raise ValueError("give a finite number")
    return float(number)


def text(span_s: float) -> str:
    """Seconds as "90s", "5m", "1h"."""
    for unit in ("w", "d", "h", "m"):
        if span_s >= _UNITS_S[unit] and span_s % _UNITS_S[unit] == 0:
            return f"{span_s / _UNITS_S[unit]:.0f}{unit}"
    return f"{span_s:g}s"


Seconds = Annotated[float, BeforeValidator(seconds)]
Amount = Annotated[float, BeforeValidator(amount)]
