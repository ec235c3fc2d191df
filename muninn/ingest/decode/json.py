"""JSON and NDJSON to columns.

A sample is an object: `metric`, `timestamp` (epoch milliseconds or RFC 3339), `value`, and optional
`labels`, `source_agent_id`, `instance_id`; `distribution` may stand in the place of `value`; other members are
ignored. Numbers may be given as text, which is all that templates can make. A JSON body is one sample, an array of
samples, or an object with such an array under `metrics`. In NDJSON each line is a sample.

Belongs here: the two formats. Does not: compression, HTTP, what is acceptable (validate).
"""

import re
from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.ingest.body import TooLarge
from muninn.ingest.decode import distribution
from muninn.ingest.decode.instants import from_ms, from_rfc3339
from muninn.ingest.decode.keys import KeyTable, by_ident, resolve
from muninn.ingest.decode.pieces import PIECE_BYTES, array_pieces, line_pieces
from muninn.ingest.validate import Decoded, Rules, Screening, kind_of
from muninn.model import SampleBatch
from muninn.numerics.distributions import Distribution, columns

_NUMBERS = {int, float}
# Of a text that is parsed as a whole: each is an object of sixty bytes and more, and may be sent as three.
MAX_OBJECTS = 1_000_000
# As JSON writes a number; a sign or a zero in front does no harm. No longer than any double needs.
_NUMERAL = re.compile(r"\s{0,8}[+-]?(?=\.?\d)\d{0,320}(\.\d{0,320})?([eE][+-]?\d{1,4})?\s{0,8}", re.ASCII)
_IDENTITY = ("metric", "labels", "source_agent_id", "instance_id")
# Stands for a series whose parts are nested too deep to be written again.
_TOO_DEEP = orjson.dumps(["_", [], None, None])


class _BadLine:
    """A line of NDJSON that is not JSON."""

    def __init__(self, reason: str):
        self.reason = reason


def decode_json(body: bytes, rules: Rules, now_us: int, table: KeyTable | None = None) -> Decoded:
    """The samples of a JSON body; Invalid if it is not JSON or holds no samples, with line and column."""
    table = table or KeyTable()
    if len(body) > PIECE_BYTES and (decoded := _by_piece(body, rules, now_us, table)) is not None:
        return decoded
    try:
        document = _loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    if isinstance(document, dict):
        document = document.get("metrics", [document])
    if not isinstance(document, list):
        shapes = '{"metric": …}, [{…}] or {"metrics": [{…}]}'
        raise Invalid(f"the samples must be given as {shapes}, not as {kind_of(document)}")
    return _decode(document, rules, now_us, table, 0)


def _loads(text: bytes) -> Any:
    _check_objects(text)
    return orjson.loads(text)


def _check_objects(text: bytes) -> None:
    """TooLarge where a text would take many times its size while it is objects."""
    if len(text) > 2 * PIECE_BYTES and text.count(b"{") + text.count(b"[") > MAX_OBJECTS:
        raise TooLarge(f"more than {MAX_OBJECTS} objects and arrays in one piece of JSON: send fewer at once")


def _by_piece(body: bytes, rules: Rules, now_us: int, table: KeyTable) -> Decoded | None:
    """The same for a large array, a piece at a time; None if it cannot be cut."""
    parts: list[Decoded] = []
    count = 0
    for piece in array_pieces(body):
        try:
            samples = _loads(piece)
        except orjson.JSONDecodeError:
            return None
        parts.append(_decode(samples, rules, now_us, table, count))
        count += len(samples)
    return Decoded.joined(parts, rules) if parts else None


def decode_ndjson(
    body: bytes, rules: Rules, now_us: int, table: KeyTable | None = None, first_index: int = 0
) -> Decoded:
    """The samples of the lines of `body`, blank lines left out; a line that is not JSON is a bad sample.

    `first_index` is the number of the first sample, where `body` is a part of something longer.
    """
    table = table or KeyTable()
    parts: list[Decoded] = []
    for piece in line_pieces(body):
        _check_objects(piece)
        lines = [line for line in piece.split(b"\n") if line and not line.isspace()]
        try:
            samples: list[Any] = [*map(orjson.loads, lines)]
        except orjson.JSONDecodeError:
            samples = [*map(_line, lines)]
        parts.append(_decode(samples, rules, now_us, table, first_index))
        first_index += len(samples)
    return Decoded.joined(parts, rules)


def _line(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _BadLine(f"not JSON: {error.msg} (column {error.colno})")


def decode_rows(samples: list[Any], rules: Rules, now_us: int, table: KeyTable) -> Decoded:
    """The samples of objects that were read already."""
    return _decode(samples, rules, now_us, table, 0)


def _decode(samples: list[Any], rules: Rules, now_us: int, table: KeyTable, first_index: int) -> Decoded:
    screening = Screening(len(samples))
    rows = _objects(samples, screening)
    place_of = by_ident(_idents(rows))
    key_index, keys = resolve(*place_of, table, screening)
    at_us = _instants([row.get("timestamp") for row in rows], screening)
    some = _distributions(rows, screening)
    value = _values([row.get("value", 0.0 if "distribution" in row else None) for row in rows], screening)
    if some:
        value[list(some)] = [each.mean for each in some.values()]
    made = columns(np.array([*some], np.int64), [*some.values()])
    return screening.decoded(SampleBatch(at_us, value, key_index, keys, made), rules, now_us, first_index)


def _distributions(rows: list[dict[str, Any]], screening: Screening) -> dict[int, Distribution]:
    """Those of the samples that are distributions, by their places."""
    found: dict[int, Distribution] = {}
    wrong: dict[int, str] = {}
    for place, row in enumerate(rows):
        if "distribution" in row:
            try:
                found[place] = distribution.parse(row["distribution"])
            except Invalid as error:
                wrong[place] = str(error)
    if wrong:
        screening.refuse(np.isin(np.arange(len(rows)), [*wrong]), wrong.__getitem__)
    return found


def _objects(samples: list[Any], screening: Screening) -> list[dict[str, Any]]:
    """The samples, an empty object in the place of each that is none."""
    if set(map(type, samples)) <= {dict}:
        return samples

    def reason(row: int) -> str:
        found = samples[row]
        return found.reason if isinstance(found, _BadLine) else f"must be an object, not {kind_of(found)}"

    screening.refuse(_mask(samples, lambda sample: type(sample) is not dict), reason)
    return [sample if type(sample) is dict else {} for sample in samples]


def _idents(rows: list[dict[str, Any]]) -> list[bytes]:
    dumps = orjson.dumps
    try:
        return [
            dumps((row.get("metric"), row.get("labels"), row.get("source_agent_id"), row.get("instance_id")))
            for row in rows
        ]
    except orjson.JSONEncodeError:
        return [_ident_or_too_deep(row) for row in rows]


def _ident_or_too_deep(row: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps([row.get(name) for name in _IDENTITY])
    except orjson.JSONEncodeError:
        return _TOO_DEEP


def _instants(raw: list[Any], screening: Screening) -> NDArray[np.int64]:
    kinds = set(map(type, raw))
    if kinds <= _NUMBERS:
        at_us, ok = from_ms(np.array(raw, np.float64))
    elif kinds == {str}:
        at_us, ok = from_rfc3339(raw)
        if not ok.all():
            at_us, ok = _mixed_instants(_as_numbers(raw))
    else:
        at_us, ok = _mixed_instants(_as_numbers(raw))

    def reason(row: int) -> str:
        found = raw[row]
        if found is None:
            return "timestamp: missing"
        if isinstance(found, str):
            return f"timestamp: {found[:60]} is not RFC 3339"
        if type(found) in _NUMBERS:
            return f"timestamp: {found} is not in epoch milliseconds (microseconds or nanoseconds?)"
        return f"timestamp: must be epoch milliseconds or RFC 3339, not {kind_of(found)}"

    screening.refuse(~ok, reason)
    return at_us


def _mixed_instants(raw: Sequence[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    texts = _mask(raw, lambda found: type(found) is str)
    numbers = _mask(raw, lambda found: type(found) in _NUMBERS)
    at_us, ok = np.zeros(len(raw), np.int64), np.zeros(len(raw), np.bool_)
    at_us[texts], ok[texts] = from_rfc3339([*compress(raw, texts)])
    at_us[numbers], ok[numbers] = from_ms(np.array([*compress(raw, numbers)], np.float64))
    return at_us, ok


def _as_numbers(raw: list[Any]) -> list[Any]:
    """The same with numbers in the place of texts that write one."""
    return [float(found) if type(found) is str and _NUMERAL.fullmatch(found) else found for found in raw]


def _values(raw: list[Any], screening: Screening) -> NDArray[np.float64]:
    if set(map(type, raw)) <= _NUMBERS:
        return np.array(raw, np.float64)
    raw = _as_numbers(raw)

    def reason(row: int) -> str:
        found = raw[row]
        if isinstance(found, str):
            return f"value: {found[:60]!r} is not a number"
        return "value: missing" if found is None else f"value: must be a number, not {kind_of(found)}"

    screening.refuse(_mask(raw, lambda found: type(found) not in _NUMBERS), reason)
    return np.array([found if type(found) in _NUMBERS else 0.0 for found in raw], np.float64)


def _mask(items: Sequence[Any], test: Callable[[Any], bool]) -> NDArray[np.bool_]:
    return np.fromiter(map(test, items), np.bool_, len(items))
