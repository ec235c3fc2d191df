"""From a series as it stands in an exposition to the series that is stored, remembered between scrapes.

Belongs here: names, labels, the labels of the target on top. Does not: lines (exposition); which names and labels are
allowed: the gateway says so, as to every client.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from muninn.model import SeriesKey

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*+")
_BLANK = re.compile(r"[ \t]*+")
# A label, or (first group alone) a quoted metric name; then a comma or the end.
_PART = re.compile(rf"[ \t]*+(?:{_QUOTED}|([a-zA-Z_][a-zA-Z0-9_]*+))[ \t]*+(?:=[ \t]*+{_QUOTED}[ \t]*+)?(?:,|$)")
_ESCAPED = re.compile(r'\\([\\"n])')


class TargetKeys:
    """The series of one target: their own labels, and those of the target.

    A label that the target has too is kept as `exported_<name>`, as Prometheus does. `job` and `instance` also name
    the source agent and the instance. What the last scrape did not show is forgotten.
    """

    def __init__(self, labels: dict[str, str]):
        self._labels = labels
        self._known: dict[bytes, SeriesKey | str] = {}

    def own(self, metric: str) -> SeriesKey:
        """A series about the target itself."""
        return SeriesKey.of(metric, self._labels, self._labels["job"], self._labels["instance"])

    def resolve(self, series: Sequence[bytes]) -> tuple[NDArray[np.int32], tuple[SeriesKey, ...], list[str]]:
        """(int32[n] place among the keys, -1 where it is none; keys; what is wrong with those that are none)."""
        known = self._known
        seen: dict[bytes, SeriesKey | str] = {}
        for raw in series:
            if raw not in seen:
                seen[raw] = known.get(raw) or self._learn(raw)
        self._known = seen
        places: dict[SeriesKey, int] = {}
        place_of = {
            raw: -1 if isinstance(key, str) else places.setdefault(key, len(places)) for raw, key in seen.items()
        }
        index = np.fromiter(map(place_of.__getitem__, series), np.int32, len(series))
        return index, tuple(places), [key for key in seen.values() if isinstance(key, str)]

    def _learn(self, raw: bytes) -> SeriesKey | str:
        try:
            metric, labels = parse_series(raw)
        except ValueError as error:
            return f"{raw[:60].decode(errors='replace')!r}: {error}"
        for name in [name for name in labels if name in self._labels]:
            renamed = f"exported_{name}"
            while renamed in labels or renamed in self._labels:
                renamed = f"exported_{renamed}"
            labels[renamed] = labels.pop(name)
        return SeriesKey.of(metric, labels | self._labels, self._labels["job"], self._labels["instance"])


def parse_series(raw: bytes) -> tuple[str, dict[str, str]]:
    """Name and labels of `name{label="value"}` or `{"name",label="value"}`; labels with an empty value are none.

    ValueError says what is wrong.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    found = _NAME.match(text)
    metric = found.group() if found else ""
    rest = text[found.end() if found else 0 :].strip(" \t")
    labels: dict[str, str] = {}
    inner = rest[1:-1]
    at = 0
    while _BLANK.fullmatch(inner, at) is None:
        part = _PART.match(inner, at)
        if part is None:
            raise ValueError(f"its labels make no sense from {inner[at : at + 20]!r} on")
        quoted, bare, value = part.groups()
        at = part.end()
        name = bare if quoted is None else _plain(quoted)
        if value is not None:
            if name in labels:
                raise ValueError(f"the label {name!r} stands there twice")
            labels[name] = _plain(value)
        elif quoted is not None and not metric:
            metric = name
        else:
            raise ValueError(f"the label {name!r} has no value")
    if not metric:
        raise ValueError("it has no name")
    return metric, {name: value for name, value in labels.items() if value}


def _plain(text: str) -> str:
    r"""Undo \\, \" and \n; a backslash before anything else stays."""
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda found: "\n" if found.group(1) == "n" else found.group(1), text)
