"""Arrow tables and Arrow IPC bodies to columns, with no Python object per sample.

Columns: `metric` (text), `timestamp` (timestamp, naive taken as UTC; numbers: epoch milliseconds; text: RFC 3339),
`value` (numbers), and optional `labels` (map of text, struct of text, or text that holds a JSON object),
`label.NAME` (text: one label each), `source_agent_id`, `instance_id` (text or whole numbers), `distribution` in the
place of `value` (arrow_distributions). Text may be dictionary-encoded; other columns are ignored.

Belongs here: the Arrow format. Does not: HTTP, what is acceptable (validate).
"""

import struct
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.ingest.body import TooLarge
from muninn.ingest.decode import codes
from muninn.ingest.decode.arrow_bounds import MAGIC, check_file, check_stream
from muninn.ingest.decode.arrow_distributions import COLUMN
from muninn.ingest.decode.arrow_distributions import parse as parse_distributions
from muninn.ingest.decode.codes import Coded
from muninn.ingest.decode.instants import MAX_MS, Instants, from_ms, from_rfc3339
from muninn.ingest.decode.keys import KeyTable, resolve
from muninn.ingest.decode.label_table import MAX_REQUEST_BYTES
from muninn.ingest.validate import Decoded, Rules, Screening
from muninn.model import SampleBatch

_LABEL_COLUMN = "label."
_US_PER = {"s": 1_000_000, "ms": 1_000, "us": 1}
_EPOCH_MS = r"^-?[0-9]{1,16}(\.[0-9]+)?$"
_BROKEN = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError, struct.error)

# Of types that Arrow itself does not convert, at whatever depth they lie.
_UNREADABLE = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowKeyError)


def decode_arrow_stream(
    body: bytes, rules: Rules, now_us: int, max_bytes: int, table: KeyTable | None = None
) -> Decoded:
    """The samples of an Arrow IPC stream; Invalid if it is none or unpacks to more than `max_bytes`."""
    try:
        buffer = pa.py_buffer(body)
        check_stream(buffer, max_bytes)
        samples = pa.ipc.open_stream(buffer).read_all()
        samples.validate(full=True)
    except _BROKEN as error:
        raise Invalid(f"the body is not an Arrow IPC stream: {_brief(error)}") from None
    return decode_table(samples, rules, now_us, table)


def decode_arrow_file(body: bytes, rules: Rules, now_us: int, max_bytes: int, table: KeyTable | None = None) -> Decoded:
    """The samples of an Arrow IPC file; Invalid if it is none or unpacks to more than `max_bytes`."""
    try:
        buffer = pa.py_buffer(body)
        if not (body.startswith(MAGIC) and body.endswith(MAGIC)):
            raise ValueError("it does not begin and end with ARROW1")
        check_file(buffer, max_bytes)
        samples = pa.ipc.open_file(buffer).read_all()
        samples.validate(full=True)
    except _BROKEN as error:
        raise Invalid(f"the body is not an Arrow IPC file: {_brief(error)}") from None
    return decode_table(samples, rules, now_us, table)


def decode_table(
    samples: pa.Table,
    rules: Rules,
    now_us: int,
    table: KeyTable | None = None,
    first_index: int = 0,
    text: bool = False,
) -> Decoded:
    """The samples of a table; Invalid if a column is missing or of a type that cannot be read.

    text: instants and values may be given as text, as CSV does. `first_index` is the number of the first row.
    """
    _check_names([*samples.schema])
    try:
        return _decode_table(samples, rules, now_us, table or KeyTable(), first_index, text)
    except _UNREADABLE as error:
        raise Invalid(f"the columns cannot be read: {_brief(error)}") from None


def _decode_table(
    samples: pa.Table, rules: Rules, now_us: int, table: KeyTable, first_index: int, text: bool
) -> Decoded:
    screening = Screening(samples.num_rows)
    key_index, keys = resolve(*_series(samples, screening), table, screening)
    at_us = _instants(_column(samples, "timestamp"), screening, text)
    column = _optional(samples, COLUMN)
    found = None if column is None or pa.types.is_null(column.type) else parse_distributions(column, screening)
    if found is None:
        value = _values(_column(samples, "value"), screening, text)
        return screening.decoded(SampleBatch(at_us, value, key_index, keys), rules, now_us, first_index)
    single = _optional(samples, "value")
    value = np.zeros(samples.num_rows) if single is None else _values(single, screening, text, found.there)
    screening.refuse((single is None) & ~found.there, lambda _: "value: missing, and no distribution")
    value = np.where(found.there, found.mean, value)
    batch = SampleBatch(at_us, value, key_index, keys, found.some)
    return screening.decoded(batch, rules, now_us, first_index)


def _check_names(found: list[pa.Field]) -> None:
    """Invalid where the name of a column, or of a member at any depth, is no UTF-8: Arrow itself does not look."""
    try:
        while found:
            field = found.pop()
            assert isinstance(field.name, str)
            found += [field.type.field(place) for place in range(field.type.num_fields)]
    except UnicodeDecodeError:
        raise Invalid("the name of a column, or of a member of one, is no UTF-8") from None


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _column(samples: pa.Table, name: str) -> pa.ChunkedArray:
    found = _optional(samples, name)
    if found is None:
        raise Invalid(f"there is no column `{name}`; the columns are {', '.join(samples.column_names[:20])}", name)
    return found


def _optional(samples: pa.Table, name: str) -> pa.ChunkedArray | None:
    places = [place for place, known in enumerate(samples.column_names) if known == name]
    if len(places) > 1:
        raise Invalid(f"there are {len(places)} columns `{name}`", name)
    return samples.column(places[0]) if places else None


def _series(samples: pa.Table, screening: Screening) -> tuple[list[bytes], NDArray[np.int32]]:
    """An ident for each distinct series (see KeyTable), and for each row its place among them."""
    rows = samples.num_rows
    parts = {
        "metric": _text(_column(samples, "metric"), "metric"),
        "labels": _labels(samples, screening),
        "source_agent_id": _text(_optional(samples, "source_agent_id"), "source_agent_id", rows),
        "instance_id": _text(_optional(samples, "instance_id"), "instance_id", rows),
    }
    combined = codes.combine(list(parts.values()), rows)
    first = codes.first_rows(combined.codes, combined.size).tolist()
    idents, size = [], 0
    for row in first:
        idents.append(orjson.dumps([part.at(row) for part in parts.values()]))
        size += len(idents[-1])
        if size > MAX_REQUEST_BYTES:  # dictionaries let many series share what is written once
            raise TooLarge(f"the names and labels of its series take more than {MAX_REQUEST_BYTES} bytes")
    return idents, combined.codes.astype(np.int32)


def _text(column: pa.ChunkedArray | None, name: str, rows: int = 0) -> Coded:
    if column is None or pa.types.is_null(column.type):
        return _constant(None, rows if column is None else len(column))
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    if not codes.is_text(column.type):
        raise Invalid(f"column `{name}` must hold text, not {column.type}", name)
    return codes.text(column)


def _constant(value: Any, rows: int) -> Coded:
    return Coded(np.zeros(rows, np.int64), 1, lambda _: value)


def _labels(samples: pa.Table, screening: Screening) -> Coded:
    whole = _label_objects(_optional(samples, "labels"), samples.num_rows, screening)
    names = [name for name in samples.column_names if name.startswith(_LABEL_COLUMN)]
    if not names:
        return whole
    single = codes.struct(
        {name.removeprefix(_LABEL_COLUMN): _text(_column(samples, name), name) for name in names}, samples.num_rows
    )
    both = codes.combine([whole, single], samples.num_rows)
    return Coded(both.codes, both.size, lambda row: {**(whole.at(row) or {}), **single.at(row)})


def _label_objects(column: pa.ChunkedArray | None, rows: int, screening: Screening) -> Coded:
    if column is None or pa.types.is_null(column.type):
        return _constant(None, rows)
    if pa.types.is_map(column.type):
        return codes.text_map(column)
    if pa.types.is_struct(column.type):
        fields = {field.name: pc.struct_field(column, [place]) for place, field in enumerate(column.type)}
        return codes.struct({name: _text(field, f"labels.{name}") for name, field in fields.items()}, rows)
    return _json_objects(_text(column, "labels"), screening)


def _json_objects(texts: Coded, screening: Screening) -> Coded:
    """Text that holds JSON objects, each distinct one parsed once; what is none refuses its rows."""
    parsed: dict[int, Any] = {}
    broken = np.zeros(texts.size, np.bool_)
    first = codes.first_rows(texts.codes, texts.size)
    for code in np.unique(texts.codes).tolist():
        found = texts.at(int(first[code]))
        try:
            parsed[code] = orjson.loads(found) if found else None
            orjson.dumps(parsed[code])  # what is nested too deep to be written again is no label set
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            broken[code] = True
        else:
            broken[code] = not isinstance(parsed[code], dict | None)
    screening.refuse(broken[texts.codes], lambda row: f"labels: {texts.at(row)[:60]!r} is not a JSON object")
    return Coded(texts.codes, texts.size, lambda row: None if broken[code := texts.codes[row]] else parsed[int(code)])


def _instants(column: pa.ChunkedArray, screening: Screening, text: bool) -> NDArray[np.int64]:
    kind = column.type
    missing = column.is_null().to_numpy()
    if pa.types.is_timestamp(kind):
        at_us, ok = _timestamps(column)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        at_us, ok = from_ms(_doubles(column))
    elif codes.is_text(kind) and text:
        at_us, ok = _written_instants(column.cast(pa.large_string()))
    elif codes.is_text(kind):
        at_us, ok = from_rfc3339(_filled(column))
    elif pa.types.is_null(kind):
        at_us, ok = np.zeros(len(column), np.int64), missing
    else:
        raise Invalid(f"column `timestamp` must hold timestamps, epoch milliseconds or text, not {kind}", "timestamp")
    screening.refuse(missing, lambda _: "timestamp: missing")
    wanted = "RFC 3339" if codes.is_text(kind) else "in the range of timestamps"
    screening.refuse(~ok & ~missing, lambda row: f"timestamp: {str(column[row])[:60]} is not {wanted}")
    return at_us


def _timestamps(column: pa.ChunkedArray) -> Instants:
    """A timestamp column of any unit, cut off to microseconds."""
    raw = column.cast(pa.int64()).fill_null(0).to_numpy()
    if column.type.unit == "ns":
        return raw // 1000, np.ones(len(raw), np.bool_)
    factor = _US_PER[column.type.unit]
    ok = np.abs(raw.astype(np.float64)) * factor <= MAX_MS * 1000
    return np.where(ok, raw, 0) * factor, ok


def _filled(column: pa.ChunkedArray) -> list[str]:
    return [found or "" for found in column.to_pylist()]


def _written_instants(column: pa.ChunkedArray) -> Instants:
    """Text: RFC 3339, or digits that are epoch milliseconds."""
    digits = pc.match_substring_regex(column, _EPOCH_MS).fill_null(False)
    at_us, ok = from_rfc3339(_filled(column))
    from_digits, digits_ok = from_ms(pc.if_else(digits, column, "0").cast(pa.float64()).to_numpy())
    numeric = digits.to_numpy()
    return np.where(numeric, from_digits, at_us), np.where(numeric, digits_ok, ok)


def _values(
    column: pa.ChunkedArray, screening: Screening, text: bool, replaced: NDArray[np.bool_] | bool = False
) -> NDArray[np.float64]:
    """replaced: which samples need none."""
    kind = column.type
    missing = column.is_null().to_numpy() & ~np.asarray(replaced)
    screening.refuse(missing, lambda _: "value: missing")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _doubles(column)
    if pa.types.is_null(kind):
        return np.zeros(len(column), np.float64)
    if not (text and codes.is_text(kind)):
        raise Invalid(f"column `value` must hold numbers, not {kind}", "value")
    value, ok = _written_numbers(column)
    screening.refuse(~ok & ~missing, lambda row: f"value: {str(column[row])[:60]!r} is not a number")
    return value


def _doubles(column: pa.ChunkedArray) -> NDArray[np.float64]:
    found: NDArray[np.float64] = column.cast(pa.float64(), safe=False).fill_null(0.0).to_numpy()
    return found


def _written_numbers(column: pa.ChunkedArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Text as numbers: by column where all are good, one by one where some are not."""
    trimmed = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    try:
        return _doubles(trimmed.cast(pa.float64())), np.ones(len(column), np.bool_)
    except pa.ArrowInvalid:
        found = [_number(written) for written in trimmed.to_pylist()]
        ok = np.array([number is not None for number in found], np.bool_)
        return np.array([number or 0.0 for number in found], np.float64), ok


def _number(written: str | None) -> float | None:
    try:
        return float(written) if written and "_" not in written else None
    except ValueError:
        return None
