"""One file of the cold tier: samples sorted by series and time, in Parquet.

Columns: series_id int32; at int64 (microseconds since the epoch, UTC, as timestamp); mantissa int64 and exponent
int8 (value == mantissa / 10**exponent); value float64, set only where no such pair gives the same double back.
Encodings by measurement (1,000 series, one reading in 10 s, one decimal): delta-packed integers take 0.78 bytes
a sample, a byte-stream split of the same integers 1.06, a dictionary of doubles 2.7.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from muninn.analytics.scaled import Scaled, scale, unscale
from muninn.errors import Invalid

SCHEMA = pa.schema(
    [
        pa.field("series_id", pa.int32(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("mantissa", pa.int64()),
        pa.field("exponent", pa.int8()),
        pa.field("value", pa.float64()),
    ]
)
_ENCODINGS = {
    "series_id": "DELTA_BINARY_PACKED",
    "at": "DELTA_BINARY_PACKED",
    "mantissa": "DELTA_BINARY_PACKED",
    "value": "BYTE_STREAM_SPLIT",
}
_ROW_GROUP = 1_000_000


@dataclass(frozen=True, eq=False)
class Columns:
    """n samples: series_id int32[n], at_us int64[n], value float64[n]."""

    series_id: NDArray[np.int32]
    at_us: NDArray[np.int64]
    value: NDArray[np.float64]

    def sorted(self) -> "Columns":
        """By series, then time."""
        order = np.lexsort((self.at_us, self.series_id))
        return Columns(self.series_id[order], self.at_us[order], self.value[order])

    def checksum(self) -> int:
        """64 bits that do not depend on the order of the rows, and on every bit of every row."""
        words = self.series_id.astype(np.int64).view(np.uint64)
        mixed = _mix(_mix(_mix(words) ^ self.at_us.view(np.uint64)) ^ self.value.view(np.uint64))
        return int(np.add.reduce(mixed, dtype=np.uint64)) if len(mixed) else 0


def write(path: Path, columns: Columns) -> int:
    """Write the samples to `path` (made whole before it bears that name) and return its size in bytes."""
    ordered = columns.sorted()
    temporary = path.with_name(f".{path.name}.partial")
    pq.write_table(
        _to_table(ordered),
        temporary,
        compression="zstd",
        use_dictionary=["exponent"],
        column_encoding=_ENCODINGS,
        row_group_size=_ROW_GROUP,
        write_page_index=True,
    )
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)
    return path.stat().st_size


def read(path: Path) -> Columns:
    """All samples of a file; Invalid if it is not one of ours."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise Invalid(f"{path.name} is not a readable Parquet file: {error}") from error
    if table.schema.names != SCHEMA.names:
        raise Invalid(f"{path.name} has the columns {table.schema.names}, not {SCHEMA.names}")
    mantissa = table["mantissa"].combine_chunks()
    scaled = Scaled(
        mantissa.fill_null(0).to_numpy(),
        table["exponent"].combine_chunks().fill_null(0).to_numpy(),
        mantissa.is_valid().to_numpy(zero_copy_only=False),
    )
    value = table["value"].combine_chunks().fill_null(0.0).to_numpy()
    at_us = table["at"].combine_chunks().cast(pa.int64()).to_numpy()
    return Columns(table["series_id"].combine_chunks().to_numpy(), at_us, unscale(scaled, value))


def _to_table(ordered: Columns) -> pa.Table:
    starts = np.flatnonzero(np.diff(ordered.series_id, prepend=-1)) if len(ordered.series_id) else np.empty(0, np.intp)
    scaled = scale(ordered.value, starts)
    return pa.table(
        [
            pa.array(ordered.series_id, pa.int32()),
            pa.array(ordered.at_us, pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            pa.array(scaled.mantissa, mask=~scaled.exact),
            pa.array(scaled.exponent, mask=~scaled.exact),
            pa.array(ordered.value, mask=scaled.exact),
        ],
        schema=SCHEMA,
    )


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
