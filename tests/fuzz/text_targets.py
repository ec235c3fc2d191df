"""Targets of the text that the scraper and the StatsD listener read, held to other readers of the same text.

Exposition: one line at a time to prometheus_client's parser, where both take it; StatsD: to sums made line by line.
Seeds are structured: each kind of line, with what may come before, between and behind its parts. TOKENS is what a
fuzzer that knows no format puts together from them.
"""

import math
from itertools import product

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from muninn.errors import Invalid
from muninn.model import SeriesKey
from muninn.numerics.distributions import Distribution, columns, faults
from muninn.sources.scrape import exposition
from muninn.sources.scrape.exposition import NO_STAMP
from muninn.sources.scrape.keys import TargetKeys, parse_series
from muninn.sources.statsd.aggregate import Aggregate, Bounds
from muninn.sources.statsd.lines import BadLineError, Line, parse_line, series_of

MAX_SAID = 4_000
_LINES = 20

TOKENS = {
    "exposition": [
        *("# HELP a b", "# TYPE a histogram", "# UNIT a s", "# EOF", "{", "}", '="', '",', '"} ', '\\"', "\\\\", "\\n"),
        *("le=", "quantile=", "NaN", "+Inf", "-Inf", " 1790000000000", " 1790000000.5", ' # {x="y"} 1 2', "{}"),
        *('{"a.b",', "_total", "_created", "\t", "\r\n", "1e309", "0x1p3"),
    ],
    "statsd": [
        *("|c", "|g", "|ms", "|h", "|d", "|s", "|@0.1", "|@1e-6", "|#a:b,c", "|#", "|T1790000000", "|c:id", "|e:it-f"),
        *(":+1", ":-1", ":1:2:3", ":1e290", ":1e-290", "_e{1,1}:a|b", "_sc|a|0", ":.5", "\n"),
    ],
}


def _exposition_seeds() -> list[bytes]:
    labels = [
        "",
        "{}",
        '{a="b"}',
        '{a="b",}',
        ' { a = "b" , c = "\\"\\\\\\n}" } ',
        '{"a.b",c="d"}',
        '{le="+Inf",job="j"}',
    ]
    values = ["1", "-.5e-3", "NaN", "+Inf", "1e309", "0x1p3", "1_0"]
    stamps = ["", " 1790000000000", "\t1790000000.5", " -1", ' # {x="y"} 1', ' 1 # {x="y"} 1 2']
    lines = [f"m{label} {value}{stamp}" for label, value, stamp in product(labels, values, stamps)]
    whole = "# HELP m h\n# TYPE m counter\n" + "\n".join(lines[::11]) + "\nbroken{\n\n# EOF\n"
    some = [f"{line}\r\n# EOF\n" for line in lines[:: len(values) * 2 + 1]]
    return [*(text.encode() for text in [*some, whole]), '{"ä",b="ü"} 1\n# EOF\n'.encode()]


def _statsd_seeds() -> list[bytes]:
    values = {
        "c": ["1", "-2.5", "1:2"],
        "g": ["3", "+3", "-3"],
        "ms": ["1", "1:2:3"],
        "s": ["ann", "x:y"],
        "d": ["1e3"],
    }
    ends = ["", "|@0.1", "|#a:b,c", "|@.5|#c,a:b|c:id|e:it-f|card:low"]
    lines = [f"m.{kind}:{text}|{kind}{end}" for kind, texts in values.items() for text, end in product(texts, ends)]
    return ["\n".join(lines).encode(), *(line.encode() for line in lines[::3]), b"_e{1,1}:a|b", b"_sc|a|0", b"a:1|c|T1"]


SEEDS = {"exposition": _exposition_seeds(), "statsd": _statsd_seeds()}


def _check_said(error: Exception) -> None:
    assert 0 < len(str(error)) < MAX_SAID


def exposition_target(data: bytes) -> None:
    """A scrape in both formats, up to series; each line as prometheus_client reads it."""
    for openmetrics in (False, True):
        try:
            found = exposition.parse(data, openmetrics=openmetrics)
        except Invalid as error:
            _check_said(error)
            continue
        assert len(found.series) == len(found.value) == len(found.at_us)
        assert (found.broken > 0) == bool(found.faults)
        _series(found.series)
    for line in data.split(b"\n")[:_LINES]:
        ours = _ours(line)
        if ours is not None and (theirs := _theirs(line)) is not None:
            assert ours[:3] == theirs[:3], f"{line!r}: {ours} is read as {theirs}"
            assert _same_instant(ours[3], theirs[3]), f"{line!r}: {ours} is read as {theirs}"


def _series(texts: list[bytes]) -> None:
    keys = TargetKeys({"job": "j", "instance": "i"})
    index, known, wrong = keys.resolve(texts)
    assert bool((index < 0).any()) == bool(wrong)
    assert index.max(initial=-1) < max(1, len(known))
    for key in known:
        assert SeriesKey.parse(key.canonical) == key
        assert dict(key.labels)["job"] == "j"
    again, _, _ = keys.resolve(texts)
    assert (again == index).all(), "what is remembered reads as it did"


_Row = tuple[str, dict[str, str], str, int | None]


def _ours(line: bytes) -> _Row | None:
    """The one sample of a line; None where it is none, or where the client sees other lines, or no exemplar."""
    text = line.decode(errors="replace")
    if "#" in text or not text.isascii() or not all(char.isprintable() or char == "\t" for char in text):
        return None
    try:
        found = exposition.parse(line, openmetrics=False)
        if len(found) != 1:
            return None
        name, labels = parse_series(found.series[0])
    except (Invalid, ValueError):
        return None
    at_us = int(found.at_us[0])
    return name, labels, repr(float(found.value[0]) + 0.0), None if at_us == NO_STAMP else at_us


def _same_instant(one: int | None, other: int | None) -> bool:
    """The client keeps seconds as a double."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= 1 + abs(one) * 1e-15


def _theirs(line: bytes) -> _Row | None:
    try:
        (sample,) = [each for family in text_string_to_metric_families(line.decode()) for each in family.samples]
    except Exception:  # whatever it trips over, it does not take
        return None
    labels = {name: value for name, value in sample.labels.items() if value}
    stamp = None if sample.timestamp is None else float(sample.timestamp)
    if stamp is not None and not abs(stamp) < 1e11:
        return None  # beyond what either keeps exactly
    return sample.name, labels, repr(float(sample.value) + 0.0), None if stamp is None else round(stamp * 1_000_000)


def statsd_target(data: bytes) -> None:
    """An interval's lines, and what they come to."""
    aggregate = Aggregate(Bounds(max_series=40, max_values=400))
    taken: list[Line] = []
    for text in data.split(b"\n"):
        try:
            line = parse_line(text.strip())
        except BadLineError as error:
            _check_said(error)
            continue
        if line is not None:
            assert all(isinstance(value, bytes) or math.isfinite(value) for value in line.values)
            assert 1 <= line.weight <= 1_000_001
            aggregate.add(line)
            taken.append(line)
    figures = aggregate.flush()
    for _, _, value in figures:
        assert not isinstance(value, Distribution) or _is_sound(value)
    if not aggregate.dropped:
        found = sorted(
            (name, tuple(sorted(labels.items())), _kind(value), value) for name, labels, value in _plain(figures)
        )
        wanted = sorted(_by_line(taken))
        assert [each[:3] for each in found] == [each[:3] for each in wanted]
        for one, other in zip(found, wanted, strict=True):
            assert all(map(_near, one[3], other[3])), f"{one} is {other}"
    assert aggregate.flush() == []


def _is_sound(value: Distribution) -> bool:
    some = columns(np.zeros(1, np.int64), [value])
    return some is not None and not any(mask.any() for mask, _ in faults(some)) and math.isfinite(value.mean)


def _plain(figures):  # type: ignore[no-untyped-def]
    for name, labels, value in figures:
        yield name, labels, (float(value.count), value.low, value.high) if isinstance(value, Distribution) else (value,)


def _kind(value: tuple[float, ...]) -> bool:
    return len(value) > 1


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9) or abs(one - other) <= 1e-9 * abs(one) or one == other


def _by_line(lines: list[Line]) -> list[tuple[str, tuple[tuple[str, str], ...], bool, tuple[float, ...]]]:
    """The same figures, each series by itself and in the simplest way."""
    by_series: dict[tuple[str, tuple[tuple[str, str], ...], str], list[Line]] = {}
    for line in lines:
        name, labels = series_of(line.ident)
        kind = "gauge" if line.kind == "change" else line.kind
        by_series.setdefault((name, tuple(sorted(labels.items())), kind), []).append(line)
    return [(name, labels, kind == "timer", _figure(kind, each)) for (name, labels, kind), each in by_series.items()]


def _figure(kind: str, lines: list[Line]) -> tuple[float, ...]:
    if kind == "set":
        return (float(len({value for line in lines for value in line.values})),)
    numbers = [(float(value), line.weight, line.kind) for line in lines for value in line.values]
    if kind == "counter":
        return (sum(sum(map(float, line.values)) * line.weight for line in lines),)
    if kind == "gauge":
        level = 0.0
        for value, _, how in numbers:
            level = value if how == "gauge" else level + value
        return (level,)
    values = [value for value, _, _ in numbers]
    return max(1.0, float(round(math.fsum(weight for _, weight, _ in numbers)))), min(values), max(values)
