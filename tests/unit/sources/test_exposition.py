"""Prometheus text and OpenMetrics, held to prometheus_client's own parsers."""

import math
import re
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from muninn.errors import Invalid
from muninn.sources.scrape import exposition
from muninn.sources.scrape.exposition import NO_STAMP, Exposition, parse
from muninn.sources.scrape.keys import parse_series

Row = tuple[str, tuple[tuple[str, str], ...], str, int | None]


def rows(found: Exposition) -> list[Row]:
    """(name, labels, value as it prints, instant in us)."""
    made = []
    for raw, value, at_us in zip(found.series, found.value.tolist(), found.at_us.tolist(), strict=True):
        name, labels = parse_series(raw)
        made.append((name, tuple(sorted(labels.items())), repr(value), None if at_us == NO_STAMP else at_us))
    return made


def by_oracle(text: str, *, openmetrics: bool = False) -> list[Row]:
    families = (parse_openmetrics if openmetrics else parse_text)(text)
    return [
        (
            sample.name,
            tuple(sorted((name, value) for name, value in sample.labels.items() if value)),
            repr(float(sample.value)),
            None if sample.timestamp is None else round(float(sample.timestamp) * 1_000_000),
        )
        for family in families
        for sample in family.samples
    ]


NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
LABEL_NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,6}", fullmatch=True).filter(lambda name: name != "__name__")
# Line breaks that are not \n would cut the oracle's lines, not ours.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]) | st.sampled_from('\n"\\,{}#= '), max_size=8)
VALUES = st.one_of(
    st.floats().map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["NaN", "+Inf", "-Inf", "1e5", "-.5", "7.", "+3"]),
)
BLANKS = st.sampled_from([" ", "  ", "\t", " \t "])
MAYBE = st.sampled_from(["", "", " "])


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@st.composite
def lines(draw: st.DrawFn) -> str:
    labels = draw(st.dictionaries(LABEL_NAMES, TEXTS, max_size=3))
    pairs = [f'{name}{draw(MAYBE)}={draw(MAYBE)}"{escaped(value)}"' for name, value in labels.items()]
    braces = (
        f"{{{draw(MAYBE)}{f'{draw(MAYBE)},{draw(MAYBE)}'.join(pairs)}{',' if pairs and draw(st.booleans()) else ''}}}"
    )
    stamp = f"{draw(BLANKS)}{draw(st.integers(-(10**12), 4 * 10**12))}" if draw(st.booleans()) else ""
    has_braces = bool(pairs) or draw(st.booleans())
    return f"{draw(NAMES)}{braces if has_braces else ''}{draw(BLANKS)}{draw(VALUES)}{stamp}{draw(MAYBE)}"


@given(st.lists(lines() | st.sampled_from(["", "# a comment", '# HELP x {a="b"} 1 2', "  "]), max_size=6))
@example(['a{b="}"} 1', 'a{b="# \\\\"} 2 3'])
def test_text_is_read_as_prometheus_client_reads_it(written: list[str]) -> None:
    text = "".join(f"{line}\n" for line in written)
    found = parse(text.encode(), openmetrics=False)
    assert (found.broken, found.faults) == (0, [])
    assert rows(found) == by_oracle(text)


@given(
    st.lists(st.tuples(LABEL_NAMES, TEXTS, st.integers(0, 4 * 10**15), VALUES), max_size=5, unique_by=lambda x: x[1])
)
def test_openmetrics_is_read_as_prometheus_client_reads_it(samples: list[tuple[str, str, int, str]]) -> None:
    text = "# TYPE a gauge\n"
    for _, value, at_us, number in samples:
        text += f'a{{l="{escaped(value)}"}} {number} {at_us // 1_000_000}.{at_us % 1_000_000:06d}\n'
    text += "# EOF\n"
    # Past 2^53 us/8 a float of seconds cannot tell microseconds apart: neither can the oracle.
    ours, theirs = rows(parse(text.encode(), openmetrics=True)), by_oracle(text, openmetrics=True)
    assert [row[:3] for row in ours] == [row[:3] for row in theirs]
    assert [row[3] for row in ours] == [at_us for _, _, at_us, _ in samples]


@pytest.mark.parametrize("openmetrics", [False, True])
def test_what_a_real_registry_writes(openmetrics: bool) -> None:
    registry = CollectorRegistry()
    Counter("jobs", "done", ["queue"], registry=registry).labels('a "b" \\ c\nd').inc(5, {"trace": "x"})
    Gauge("depth", "waiting", registry=registry).set(-2.5)
    Gauge("nothing", "not known", registry=registry).set(math.nan)
    histogram = Histogram("latency_seconds", "how long", registry=registry, buckets=(0.1, 1))
    for value in (0.05, 0.5, 5):
        histogram.observe(value, {"trace_id": "abc # 1"})
    Summary("size_bytes", "how large", registry=registry).observe(7)
    Info("build", "which", registry=registry).info({"version": "1.2"})
    text = (generate_openmetrics if openmetrics else generate_latest)(registry)
    found = parse(text, openmetrics=openmetrics)
    assert rows(found) == by_oracle(text.decode(), openmetrics=openmetrics)
    assert found.left_out["exemplar"] == (4 if openmetrics else 0)
    assert len(found) > 10


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"no value", "is no value and timestamp"),
        (b"a{b=c} 1", None),
        (b'a{b="c" 1', "is no sample"),
        (b'a{b="c} 1', "is no sample"),
        (b"a 1 2 3", "is no sample"),
        (b"a 1_000", "is no sample"),
        (b"a 1 1e400", "is no value and timestamp"),
        (b"0a 1", "is no sample"),
        (b"a", "is no sample"),
        (b"\xff\xfe 1", "is no sample"),
    ],
)
def test_a_broken_line_is_named_and_the_others_count(line: bytes, reason: str | None) -> None:
    found = parse(b"# HELP\ngood 1\n" + line + b"\nfine 2\n", openmetrics=False)
    if reason is None:  # the labels are looked at when the series is named
        assert found.broken == 0
        with pytest.raises(ValueError, match="make no sense"):
            parse_series(found.series[1])
        return
    assert [(raw, value) for raw, value in zip(found.series, found.value, strict=True)] == [(b"good", 1), (b"fine", 2)]
    assert found.broken == 1
    assert found.faults[0][0] == 3
    assert reason in found.faults[0][1]


def test_what_is_no_exposition_is_refused() -> None:
    with pytest.raises(Invalid, match="line 1: '<html>' is no sample"):
        parse(b"<html>\n<body>", openmetrics=False)
    for cut_off in (b"a 1\n", b"a 1\n# EO", b""):
        with pytest.raises(Invalid, match="cut off"):
            parse(cut_off, openmetrics=True)
    assert len(parse(b"# EOF\n", openmetrics=True)) == 0
    assert len(parse(b"", openmetrics=False)) == 0


def test_pieces_are_one_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"".join(b"m%d 1 %d\n" % (number, number) for number in range(100)) + b"bad\n" + b"last 1"
    whole = parse(body, openmetrics=False)
    monkeypatch.setattr(exposition, "_PIECE_BYTES", 50)
    cut = parse(body, openmetrics=False)
    assert rows(cut) == rows(whole)
    assert cut.faults == whole.faults == [(101, "'bad' is no sample")]


@given(st.binary(max_size=200) | st.text(st.sampled_from('ab{}="\\,# \t\n\r1.+eE'), max_size=80).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for openmetrics in (False, True):
        try:
            found = parse(body, openmetrics=openmetrics)
        except Invalid:
            continue
        assert len(found) + found.broken <= body.count(b"\n") + 1
        for raw in found.series:
            with suppress(ValueError):
                assert parse_series(raw)[0]


@pytest.mark.parametrize(
    "hostile", [b'a{b="' * 20_000, b"a{" * 50_000, b'a{"\\' * 30_000, b"a" * 100_000, b" " * 100_000]
)
def test_a_hostile_line_costs_no_more_than_its_length(hostile: bytes) -> None:
    """Backtracking over lines this long would take hours: the suite's time limit ends it."""
    assert parse(b"good 1\n" + hostile + b"\n", openmetrics=False).broken == bool(hostile.strip())


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"up", ("up", {})),
        (b'a {b="c" , d="e",}', ("a", {"b": "c", "d": "e"})),
        (b'{"http.requests", "le gal"="x"}', ("http.requests", {"le gal": "x"})),
        (b'a{empty=""}', ("a", {})),
        (b'a{b="\\\\n\\n\\t"}', ("a", {"b": "\\n\n\\t"})),
        ('a{b="übermäßig"}'.encode(), ("a", {"b": "übermäßig"})),
    ],
)
def test_names_and_labels(raw: bytes, found: tuple[str, dict[str, str]]) -> None:
    assert parse_series(raw) == found


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'a{b="1",b="2"}', "stands there twice"),
        (b'{a="b"}', "has no name"),
        (b"a{b}", "has no value"),
        (b'a{"b"}', "has no value"),
        (b'a{b="c"d="e"}', "make no sense"),
        (b'a{b="\xff"}', "not UTF-8"),
    ],
)
def test_names_and_labels_that_are_none(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_series(raw)
