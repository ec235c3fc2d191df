"""One file of the cold tier: samples sorted by series and time, in Parquet.

Columns: series_id int32; at int64 (microseconds since the epoch, UTC, as timestamp); mantissa int64 and exponent
int8 (value == mantissa / 10**exponent, or mantissa / 2**-exponent where that is negative); value float64, set only
where no such pair gives the same double back, or none that packs smaller;
sample_count, min_value, max_value and sketch, set only where the sample is a distribution, whose value is its mean.
Encodings by measurement (1,000 series, one reading in 10 s, one decimal): delta-packed integers take 0.78 bytes
a sample, a byte-stream split of the same integers 1.06, a dictionary of doubles 2.7.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.model import Distributions, Window
from muninn.model.window import as_us
from muninn.numerics.dyadic import TOO_WIDE, dyadic, width
from muninn.numerics.scaled import Scaled, scale, unscale

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# pyarrow is loaded where it is used: what only asks for records, as Dagster's runs do, need not pay for it.
_ENCODINGS = {
    "series_id": "DELTA_BINARY_PACKED",
    "at": "DELTA_BINARY_PACKED",
    "mantissa": "DELTA_BINARY_PACKED",
    "value": "BYTE_STREAM_SPLIT",
}
_ROW_GROUP = 1_000_000
# A series is kept as decimals where that serves this share of it.
_DECIMAL = 0.9
_FEW_DIGITS = 3
# Doubles that come again and again (a share of so many ticks) are kept once a row group, up to this size.
_DICTIONARY_BYTES = 4 << 20
_WORD = (1 << 64) - 1


@cache
def schema() -> "pa.Schema":
    """The columns of a file."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("series_id", pa.int32(), nullable=False),
            pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
            pa.field("mantissa", pa.int64()),
            pa.field("exponent", pa.int8()),
            pa.field("value", pa.float64()),
            pa.field("sample_count", pa.int64()),
            pa.field("min_value", pa.float64()),
            pa.field("max_value", pa.float64()),
            pa.field("sketch", pa.list_(pa.int64())),
        ]
    )


@dataclass(frozen=True, eq=False)
class Columns:
    """n samples: series_id int32[n], at_us int64[n], value float64[n]; distributions: those that stand for many."""

    series_id: NDArray[np.int32]
    at_us: NDArray[np.int64]
    value: NDArray[np.float64]
    distributions: Distributions | None = None

    def sorted(self) -> "Columns":
        """By series, then time."""
        return self.take(np.lexsort((self.at_us, self.series_id)))

    def __len__(self) -> int:
        return len(self.at_us)

    def take(self, where: NDArray[np.bool_] | NDArray[np.intp]) -> "Columns":
        """The samples at a mask or at indices."""
        some = self.distributions
        kept = None if some is None else some.take(where, len(self))
        return Columns(self.series_id[where], self.at_us[where], self.value[where], kept)

    @property
    def samples(self) -> int:
        """The values that they stand for."""
        some = self.distributions
        return len(self) if some is None else len(self) - len(some) + int(some.count.sum())

    def checksum(self) -> int:
        """64 bits that do not depend on the order of the rows, and on every bit of every row."""
        words = self.series_id.astype(np.int64).view(np.uint64)
        mixed = _mix(_mix(_mix(words) ^ self.at_us.view(np.uint64)) ^ self.value.view(np.uint64))
        total = int(np.add.reduce(mixed, dtype=np.uint64)) if len(mixed) else 0
        if self.distributions is not None:
            total += _of_distributions(self.distributions, mixed[self.distributions.rows])
        return total & _WORD


def _of_distributions(some: Distributions, rows: NDArray[np.uint64]) -> int:
    """What they add to a checksum; rows: uint64[d], that of their samples."""
    mixed = _mix(_mix(_mix(rows + some.count.view(np.uint64)) ^ some.low.view(np.uint64)) ^ some.high.view(np.uint64))
    entries = _mix(np.repeat(mixed, some.lengths) ^ some.bins.view(np.uint64))
    return int(np.add.reduce(mixed, dtype=np.uint64)) + int(np.add.reduce(entries, dtype=np.uint64))


@dataclass(frozen=True)
class Written:
    """What a file holds. samples: the values that its rows stand for. checksum: as `Columns.checksum`, of all rows."""

    rows: int
    samples: int
    series: int
    bytes: int
    checksum: int


class Writer:
    """Writes a file piece by piece: each piece in order of series and time, and after the one before it.

    The file bears its name only when it is whole and on disk.
    """

    def __init__(self, path: Path):
        self._path = path
        self._temporary = path.with_name(f".{path.name}.partial")
        self._file: pq.ParquetWriter | None = None
        self._rows = self._samples = self._series = self._checksum = 0

    def add(self, ordered: Columns) -> None:
        """Append samples; whole series only, so that each has one scale."""
        table = _to_table(ordered)
        self._file = self._file or self._opened(table)
        self._file.write_table(table, row_group_size=_ROW_GROUP)
        self._rows += len(ordered)
        self._samples += ordered.samples
        self._series += len(np.unique(ordered.series_id))
        self._checksum = (self._checksum + ordered.checksum()) & _WORD

    def close(self) -> Written:
        """Give the file its name."""
        if self._file is None:
            self._file = self._opened(schema().empty_table())
        self._file.close()
        publish(self._temporary, self._path)
        return Written(self._rows, self._samples, self._series, self._path.stat().st_size, self._checksum)

    def _opened(self, table: "pa.Table") -> "pq.ParquetWriter":
        """The file, with the encodings that its first piece asks for."""
        import pyarrow.parquet as pq

        repeats = _repeats(table["value"].combine_chunks().drop_null().to_numpy(zero_copy_only=False))
        return pq.ParquetWriter(
            self._temporary,
            table.schema,
            compression="zstd",
            use_dictionary=["exponent", "value"] if repeats else ["exponent"],
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            column_encoding={name: each for name, each in _ENCODINGS.items() if name != "value" or not repeats},
            write_page_index=True,
        )


def _repeats(doubles: NDArray[np.float64]) -> bool:
    """Whether a dictionary of them and numbers into it take clearly less than they do."""
    different = len(np.unique(doubles.view(np.int64)))
    packed = 8.0 * different + len(doubles) * np.log2(max(different, 2)) / 8.0
    return 8 * different < _DICTIONARY_BYTES and packed < 5.0 * len(doubles)


def publish(temporary: Path, path: Path) -> None:
    """Give a whole file its name, for good: it and its folder are on disk afterwards."""
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write(path: Path, columns: Columns) -> int:
    """Write the samples to `path` (made whole before it bears that name) and return its size in bytes."""
    writer = Writer(path)
    writer.add(columns.sorted())
    return writer.close().bytes


def read(path: Path, series: NDArray[np.int32] | None = None, window: Window | None = None) -> Columns:
    """The samples of a file, in order; of some series or a window only. Invalid if it is not one of ours."""
    return concat(list(scan(path, series, window)))


def scan(path: Path, series: NDArray[np.int32] | None = None, window: Window | None = None) -> Iterator[Columns]:
    """As `read`, a row group at a time; those that hold nothing asked for are not read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if file.schema_arrow.names != schema().names:
                raise Invalid(f"{path.name} has the columns {file.schema_arrow.names}, not {schema().names}")
            for number in range(file.num_row_groups):
                if _may_hold(file.metadata.row_group(number), series, window):
                    yield _chosen(_columns_of(file.read_row_group(number)), series, window)
    except (pa.ArrowException, OSError) as error:
        raise Invalid(f"{path.name} is not a readable Parquet file: {error}") from error


def concat(parts: Sequence[Columns]) -> Columns:
    """All samples of the parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Columns(
        np.concatenate([np.empty(0, np.int32), *(part.series_id for part in parts)]),
        np.concatenate([np.empty(0, np.int64), *(part.at_us for part in parts)]),
        np.concatenate([np.empty(0, np.float64), *(part.value for part in parts)]),
        Distributions.joined([part.distributions for part in parts], [len(part) for part in parts]),
    )


def overlaid(old: Columns, new: Columns) -> Columns:
    """Both in order; of the same series and instant, the sample of `new`."""
    both = concat([old, new]).sorted()  # stable: of a pair, the new one comes last
    same = (both.series_id[1:] == both.series_id[:-1]) & (both.at_us[1:] == both.at_us[:-1])
    return both.take(np.append(~same, True)) if same.any() else both


def _may_hold(group: "pq.RowGroupMetaData", series: NDArray[np.int32] | None, window: Window | None) -> bool:
    if not group.num_rows:
        return False
    first, last = (group.column(place).statistics for place in (0, 1))
    if series is not None and first is not None and first.has_min_max:
        wanted = np.searchsorted(np.sort(series), [first.min, first.max + 1])
        if wanted[0] == wanted[1]:
            return False
    if window is not None and last is not None and last.has_min_max:
        return bool(as_us(last.min) < window.until_us and as_us(last.max) >= window.since_us)
    return True


def _chosen(columns: Columns, series: NDArray[np.int32] | None, window: Window | None) -> Columns:
    if series is not None:
        columns = columns.take(np.isin(columns.series_id, series))
    if window is not None:
        columns = columns.take((columns.at_us >= window.since_us) & (columns.at_us < window.until_us))
    return columns


def _columns_of(table: "pa.Table") -> Columns:
    import pyarrow as pa

    mantissa = table["mantissa"].combine_chunks()
    scaled = Scaled(
        mantissa.fill_null(0).to_numpy(),
        table["exponent"].combine_chunks().fill_null(0).to_numpy(),
        mantissa.is_valid().to_numpy(zero_copy_only=False),
    )
    value = table["value"].combine_chunks().fill_null(0.0).to_numpy()
    at_us = table["at"].combine_chunks().cast(pa.int64()).to_numpy()
    series_id = table["series_id"].combine_chunks().to_numpy()
    return Columns(series_id, at_us, unscale(scaled, value), _distributions_of(table))


def _distributions_of(table: "pa.Table") -> Distributions | None:
    sketch = table["sketch"].combine_chunks()
    rows = np.flatnonzero(sketch.is_valid().to_numpy(zero_copy_only=False))
    if not len(rows):
        return None
    count, low, high = (
        table[name].combine_chunks().drop_null().to_numpy(zero_copy_only=False)
        for name in ("sample_count", "min_value", "max_value")
    )
    lengths = sketch.value_lengths().drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
    return Distributions(rows, count, low, high, lengths, sketch.flatten().to_numpy(zero_copy_only=False))


def _to_table(ordered: Columns) -> "pa.Table":
    import pyarrow as pa

    scaled = _scaled(ordered)
    return pa.table(
        [
            pa.array(ordered.series_id, pa.int32()),
            pa.array(ordered.at_us, pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            pa.array(scaled.mantissa, mask=~scaled.exact),
            pa.array(scaled.exponent, mask=~scaled.exact),
            pa.array(ordered.value, mask=scaled.exact),
            *_distribution_columns(ordered),
        ],
        schema=schema(),
    )


def _scaled(ordered: Columns) -> Scaled:
    """Decimals; where those do not serve a series, or only with many digits, powers of two if they are smaller."""
    starts = np.flatnonzero(np.diff(ordered.series_id, prepend=-1)) if len(ordered) else np.empty(0, np.intp)
    found = scale(ordered.value, starts)
    if not len(ordered):
        return found
    ends = np.append(starts[1:], len(ordered))
    served = np.add.reduceat(found.exact, starts, dtype=np.int64) >= _DECIMAL * (ends - starts)
    others = ~served | (found.exponent[starts] > _FEW_DIGITS)
    for start, end, decimal in zip(starts[others], ends[others], served[others], strict=True):
        rows = slice(start, end)
        too_wide = width(found.mantissa[rows][found.exact[rows]]) if decimal else TOO_WIDE
        if some := dyadic(ordered.value[rows], too_wide):
            bits, found.mantissa[rows], found.exact[rows] = some
            found.exponent[rows] = -bits
    return found


def _distribution_columns(ordered: Columns) -> "list[pa.Array]":
    """sample_count, min_value, max_value and sketch: null for a sample that is one value."""
    import pyarrow as pa

    some, rows = ordered.distributions, len(ordered)
    if some is None:
        return [pa.nulls(rows, field.type) for field in list(schema())[-4:]]
    single = np.ones(rows, np.bool_)
    single[some.rows] = False
    spread = [np.zeros(rows, of.dtype) for of in (some.count, some.low, some.high, some.lengths)]
    for whole, of in zip(spread, (some.count, some.low, some.high, some.lengths), strict=True):
        whole[some.rows] = of
    offsets = pa.array(np.concatenate([[0], np.cumsum(spread[3])]), pa.int32())
    sketch = pa.ListArray.from_arrays(offsets, pa.array(some.bins), mask=pa.array(single))
    return [*(pa.array(whole, mask=single) for whole in spread[:3]), sketch]


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
