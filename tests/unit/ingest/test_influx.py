"""Influx line protocol: every good line counts, every bad one is named."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.errors import Invalid
from muninn.ingest.decode.influx import InfluxDecoder
from muninn.ingest.validate import Decoded, Rules

NOW_US = 1_790_000_000_000_000
RULES = Rules()


def decode(body: bytes, precision: str = "ns", counted: dict[str, int] | None = None) -> Decoded:
    def count(kind: str, by: int) -> None:
        if counted is not None:
            counted[kind] = counted.get(kind, 0) + by

    return InfluxDecoder().decode(body, RULES, NOW_US, precision, count)


def samples(decoded: Decoded) -> list[tuple[str, dict[str, str], int, float]]:
    batch = decoded.batch
    return [
        (batch.keys[k].metric, dict(batch.keys[k].labels), int(at), float(value))
        for k, at, value in zip(batch.key_index, batch.at_us, batch.value, strict=True)
    ]


def escaped(text: str) -> str:
    return text.replace(",", "\\,").replace(" ", "\\ ").replace("=", "\\=")


WORDS = st.text("abcXYZ09_,= ", min_size=1, max_size=8).filter(lambda text: text.strip() == text)
NUMBERS = st.floats(-1e290, 1e290).filter(lambda value: value == 0 or abs(value) >= 1e-290)


@given(
    st.dictionaries(WORDS, WORDS, max_size=3),
    st.lists(st.tuples(NUMBERS, st.integers(0, 10**12)), min_size=1, max_size=5),
)
def test_tags_values_and_times_come_back(tags: dict[str, str], points: list[tuple[float, int]]) -> None:
    tag_text = "".join(f",{escaped(name)}={escaped(value)}" for name, value in tags.items())
    lines = [f"cpu{tag_text} usage={value!r} {NOW_US * 1000 - before}" for value, before in points]
    got = samples(decode("\n".join(lines).encode()))
    assert got == [("cpu_usage", tags, (NOW_US * 1000 - before) // 1000, value) for value, before in points]


@given(st.binary(max_size=200))
def test_garbage_never_breaks_it(body: bytes) -> None:
    decoded = decode(body)
    assert all(math.isfinite(value) for value in decoded.batch.value)


@given(st.text('cpu,=abc 019.eiut"\\\n-+#', max_size=80))
def test_near_misses_never_break_it(text: str) -> None:
    decode(text.encode())


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("-1.5", -1.5), ("3i", 3.0), ("18446744073709551615u", 1.8446744073709552e19), ("t", 1.0),
     ("True", 1.0), ("f", 0.0), ("FALSE", 0.0), ("1e3", 1000.0), (".5", 0.5), ("0.1", 0.1),
     ("3.141592653589793238", 3.141592653589793)],
)  # fmt: skip
def test_values(text: str, value: float) -> None:
    assert decode(f"m value={text}".encode()).batch.value.tolist() == [value]


@pytest.mark.parametrize("text", ["", "x", "1x", "1.5i5", "--1", '"unterminated', "nan", "inf"])
def test_what_is_no_value_is_refused_with_its_line(text: str) -> None:
    decoded = decode(f"m a=1\nm a={text}".encode())
    assert decoded.batch.value.tolist() == [1.0]
    assert decoded.rejected == 1


def test_a_bad_line_is_named_and_the_others_count() -> None:
    decoded = decode(b"m a=1\nno fields here\n\n# a comment\nm a=2 12x\nm a=3")
    assert decoded.batch.value.tolist() == [1.0, 3.0]
    assert [error.reason.partition(":")[0] for error in decoded.errors] == ["line 2", "line 5"]


def test_string_fields_are_counted_and_left() -> None:
    counted: dict[str, int] = {}
    assert samples(decode(b'm,h=x note="a b,c=1",n=2i', counted=counted)) == [("m_n", {"h": "x"}, NOW_US, 2.0)]
    assert counted == {"string_field": 1}


def test_the_field_value_and_the_host_tag_are_special() -> None:
    key = decode(b"my\\ load,host=web-1 value=1").batch.keys[0]
    assert (key.metric, key.instance_id) == ("my_load", "web-1")


@pytest.mark.parametrize(("precision", "unit"), [("ns", 10**9), ("us", 10**6), ("ms", 10**3), ("s", 1)])
def test_precision(precision: str, unit: int) -> None:
    at_s = NOW_US // 10**6
    assert decode(f"m value=1 {at_s * unit}".encode(), precision).batch.at_us.tolist() == [NOW_US]


def test_an_unknown_precision_names_the_parameter() -> None:
    with pytest.raises(Invalid) as caught:
        decode(b"m value=1", "fortnight")
    assert caught.value.parameter == "precision"


@pytest.mark.parametrize(
    "text",
    ["test", "four", "final", "tRUE", "TRUe", "truE", "fALSE", "FALSe", "1_000", "1.5i", "1e3i", "0x10", "1e", "--1",
     "0." + "1" * 100_000, "9" * 700],
)  # fmt: skip
def test_what_is_no_value_is_not_taken_for_one(text: str) -> None:
    decoded = decode(f"m value={text},other=2".encode())
    assert [values[3] for values in samples(decoded)] == [2.0]
    assert "is not a value" in decoded.errors[0].reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [('m a="x"5 1', "text after a quoted string"), ('m a="x"b,c=1', "text after a quoted string"),
     ('m a="x\\",b=1', "a quoted string that does not end"), ('m a="', "a quoted string that does not end"),
     ("m,a=1,a=2 b=1", "the tag 'a' is there twice")],
)  # fmt: skip
def test_a_line_that_is_none_is_named_and_the_others_count(line: str, reason: str) -> None:
    decoded = decode(f"{line}\nm,c=1 good=1\n".encode())
    assert [(name, value) for name, _, _, value in samples(decoded)] == [("m_good", 1.0)]
    assert [(bad.reason) for bad in decoded.errors] == [f"line 1: {reason}"]


def test_a_decoder_tells_pairs_apart_that_read_the_same_when_joined() -> None:
    decoder = InfluxDecoder()
    body = b"ab c=1\na bc=2\nab,x=y c=3\nab,x=y c=4\nab c=5\n"
    for _ in range(2):
        decoded = decoder.decode(body, RULES, NOW_US, "ns", lambda _kind, _by: None)
        assert [(name, tags, value) for name, tags, _, value in samples(decoded)] == [
            ("ab_c", {}, 1.0), ("a_bc", {}, 2.0),
            ("ab_c", {"x": "y"}, 3.0), ("ab_c", {"x": "y"}, 4.0), ("ab_c", {}, 5.0),
        ]  # fmt: skip
