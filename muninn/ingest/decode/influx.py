"""Influx line protocol: `cpu,host=a usage=1.5,idle=98i 1700000000000000000` to columns.

A field becomes the metric `<measurement>_<field>`; a field named `value` becomes `<measurement>` alone, as Telegraf's
Prometheus output names them. Tags become labels. Booleans are 1 and 0. String fields are no metrics: they are
counted and left. A line without a timestamp is of now. A quoted string may not hold a line break.
"""

import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.ingest.body import TooLarge
from muninn.ingest.decode import Count
from muninn.ingest.decode._lines import BROKEN, FAULTS, SLOW, STRING, Fields, scan
from muninn.ingest.decode.label_table import LabelTable
from muninn.ingest.validate import BadSample, Decoded, Rules, Screening, series_key, without_unused_keys
from muninn.model import SampleBatch, SeriesKey

# The units that `precision` names: (multiply by, divide by) to microseconds.
PRECISIONS = {
    "ns": (1, 1000), "n": (1, 1000), "us": (1, 1), "u": (1, 1), "µ": (1, 1), "ms": (1000, 1), "s": (1_000_000, 1),
    "m": (60_000_000, 1), "h": (3_600_000_000, 1),
}  # fmt: skip
# Of one request: what a field takes while it is decoded is many times the four bytes that it may be.
MAX_FIELDS = 4_000_000
_UNSAFE = re.compile(r"[^a-zA-Z0-9_:.\-/]")
# Longer than any number needs is none; NaN and infinities are refused with their own reason.
_SLOW_NUMBER = re.compile(
    rb"[+-]?(?:\d{1,320}[iu]?|(?:\d{1,320}\.?\d{0,320}|\.\d{1,320})(?:[eE][+-]?\d{1,4})?|nan|inf)", re.I
)
_SPLIT_COMMA, _SPLIT_EQUALS = re.compile(r"(?<!\\),"), re.compile(r"(?<!\\)=")
_FURTHEST_US = 253_402_300_800_000_000


class InfluxDecoder:
    """Decodes bodies of lines and remembers (tags, field) pairs between them; safe for many threads."""

    def __init__(self) -> None:
        self._labels = LabelTable(lambda raw: parse_key(*raw.split(b"\n")))

    def decode(self, body: bytes, rules: Rules, now_us: int, precision: str, count: Count) -> Decoded:
        """The samples of all good lines; a broken line is reported with its number, from 0.

        precision: the unit of the timestamps, one of PRECISIONS; Invalid for another.
        count: told how many string fields were left, as ("string_field", n).
        """
        if precision not in PRECISIONS:
            raise Invalid(f"{precision!r} is not one of {', '.join(PRECISIONS)}", "precision")
        fields = scan(body)
        if len(fields.kind) > MAX_FIELDS:
            raise TooLarge(f"a request of {len(fields.kind)} fields; at most {MAX_FIELDS} are taken at once")
        strings = fields.kind == STRING
        if strings.any():
            count("string_field", int(strings.sum()))
        rows = np.flatnonzero(~strings)
        places, labels = self._labels.resolve_pairs(body, fields.offsets[rows])
        key_index = labels.ordinal[places]
        value, broken = _values(body, fields, rows)
        stamp = np.where(fields.has_stamp[rows], _to_us(fields.stamp[rows], precision), now_us)
        screening = Screening(len(rows))
        screening.refuse(broken, lambda row: f"line {fields.line[rows[row]] + 1}: {_text(body, fields, rows[row])}")
        screening.refuse(
            key_index < 0, lambda row: f"line {fields.line[rows[row]] + 1}: {labels.reasons[int(places[row])]}"
        )
        decoded = screening.decoded(SampleBatch(stamp, value, key_index, labels.keys), rules, now_us)
        if labels.reasons:  # impossible ones have a place among the keys, though no sample
            decoded = replace(decoded, batch=without_unused_keys(decoded.batch))
        return _with_line_faults(decoded, fields, rules)


def parse_key(measurement_and_tags: bytes, field: bytes) -> SeriesKey | str:
    """The key of one field, or what is wrong with it; characters that no metric name has become `_`."""
    try:
        measurement, *tags = _SPLIT_COMMA.split(measurement_and_tags.decode())
        name = _unescaped(field.decode())
    except UnicodeDecodeError:
        return "not UTF-8"
    labels: dict[str, str] = {}
    for tag in tags:
        label, *rest = _SPLIT_EQUALS.split(tag)
        if len(rest) != 1:
            return f"the tag {tag[:40]!r} is not name=value"
        if (label := _unescaped(label)) in labels:
            return f"the tag {label[:40]!r} is there twice"
        labels[label] = _unescaped(rest[0])
    metric = _unescaped(measurement) if name == "value" else f"{_unescaped(measurement)}_{name}"
    try:
        return series_key(_UNSAFE.sub("_", metric), labels, "", labels.get("host"))
    except Invalid as error:
        return str(error)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([,= \\])", r"\1", text)


def _values(body: bytes, fields: Fields, rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The values, and which could not be read; the few that the scanner left go through Python's exact parser."""
    value, broken = fields.value[rows], fields.kind[rows] == BROKEN
    for place in np.flatnonzero(fields.kind[rows] == SLOW):
        start, end = fields.offsets[rows[place], 4:6].tolist()
        text = body[start:end]
        if _SLOW_NUMBER.fullmatch(text):
            value[place] = float(text[:-1] if text[-1:] in (b"i", b"u", b"I", b"U") else text)
        else:
            broken[place] = True
    return value, broken


def _to_us(stamp: NDArray[np.int64], precision: str) -> NDArray[np.int64]:
    times, over = PRECISIONS[precision]
    limit = _FURTHEST_US // times
    return np.clip(stamp // over, -limit, limit) * times


def _text(body: bytes, fields: Fields, row: int) -> str:
    start, end = fields.offsets[row, 4:6].tolist()
    return f"{body[start:end][:40].decode(errors='replace')!r} is not a value"


def _with_line_faults(decoded: Decoded, fields: Fields, rules: Rules) -> Decoded:
    faults = [BadSample(int(line), f"line {line + 1}: {FAULTS[fault]}") for line, fault in fields.line_faults]
    if not faults:
        return decoded
    errors = (decoded.errors + faults)[: rules.max_errors]
    return replace(decoded, errors=errors, rejected=decoded.rejected + len(faults))
