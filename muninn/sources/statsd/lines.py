"""One line of StatsD: `name:value|type|@rate|#tag:value,…`, as Etsy's and Datadog's clients write it. Pure.

Belongs here: the layout, names and tags as Muninn has them. Does not: what becomes of values (aggregate).
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

from muninn.numerics.sketch import LARGEST, SMALLEST

Kind = Literal["counter", "gauge", "change", "timer", "set"]

# A change is a gauge's `+n` or `-n`. Histograms and distributions are timers of something that is not time.
_KINDS: dict[bytes, Kind] = {
    b"c": "counter", b"g": "gauge", b"ms": "timer", b"h": "timer", b"d": "timer", b"s": "set",
}  # fmt: skip
_UNSAFE = re.compile(r"[^a-zA-Z0-9_:.\-/]")
_FIRST = re.compile(r"[a-zA-Z_:]")
_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
# Of one line: longer ones are no metrics, and memory is bounded by them.
MAX_IDENT_BYTES = 4_096
# One value must not outweigh all others of its interval: so many events it stands for at the most.
_LEAST_RATE = 1e-6
_MAX_NUMBER_BYTES = 400
# What Datadog's clients add about the sender; it names no series here.
_ABOUT_SENDER = (b"c:", b"e:", b"card:")
_OTHER = (b"_e{", b"_sc|")


@dataclass(frozen=True)
class Line:
    """ident: name and tags as they came, what series are told apart by. values: numbers, of a set its members.

    weight: how many events each value stands for, 1 / sample rate.
    """

    ident: tuple[bytes, bytes]
    kind: Kind
    values: tuple[float, ...] | tuple[bytes, ...]
    weight: float


class BadLineError(ValueError):
    """What is wrong with a line, in a few words that are the same for all such lines."""


def parse_line(line: bytes) -> Line | None:
    """The line; None for events and service checks, which are no metrics. BadLineError says what is wrong."""
    if line.startswith(_OTHER):
        return None
    head, *fields = line.split(b"|")
    name, colon, text = head.partition(b":")
    if not colon or not name or not fields:
        raise BadLineError("not name:value|type")
    kind = _KINDS.get(fields[0])
    if kind is None:
        raise BadLineError("unknown type")
    weight, tags = 1.0, b""
    for field in fields[1:]:
        if field.startswith(b"@"):
            weight = 1.0 / _rate(field[1:])
        elif field.startswith(b"#"):
            tags = field[1:]
        elif field.startswith(b"T"):
            raise BadLineError("a timestamp: send such samples to the gateway")
        elif field and not field.startswith(_ABOUT_SENDER):
            raise BadLineError("unknown field")
    if len(name) + len(tags) > MAX_IDENT_BYTES:
        raise BadLineError("name and tags are too long")
    if kind == "set":
        return Line((name, tags), kind, (text,), weight)
    if kind == "gauge" and text[:1] in (b"+", b"-"):
        kind = "change"
    return Line((name, tags), kind, tuple(_number(value) for value in text.split(b":")), weight)


def _rate(text: bytes) -> float:
    rate = _number(text)
    if not 0.0 < rate <= 1.0:
        raise BadLineError("a sample rate that is not above 0 and up to 1")
    if rate < _LEAST_RATE:
        raise BadLineError("a sample rate below one in a million")
    return rate


def _number(text: bytes) -> float:
    if len(text) <= _MAX_NUMBER_BYTES and _NUMBER.fullmatch(text) and math.isfinite(value := float(text)):
        if value and not SMALLEST <= abs(value) <= LARGEST:
            raise BadLineError("a value that is too large, or too near to 0, to be kept")
        return value
    raise BadLineError("a value that is no number")


def series_of(ident: tuple[bytes, bytes]) -> tuple[str, dict[str, str]]:
    """Metric and labels: other characters in a name become `_`, a tag without a value is "true"."""
    name = _UNSAFE.sub("_", ident[0].decode(errors="replace"))
    if not _FIRST.match(name):
        name = f"_{name}"
    labels = {}
    for tag in ident[1].decode(errors="replace").split(","):
        label, _, value = tag.partition(":")
        if label:
            labels[label] = value or "true"
    return name, labels
