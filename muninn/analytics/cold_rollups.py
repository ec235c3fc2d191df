"""Rollups of a day as a Parquet file: a copy for analysts, in order of series and time, sketches included.

Belongs here: that file. Does not: raw samples (cold_file).
"""

import tempfile
from pathlib import Path

from muninn.analytics import cold_file
from muninn.analytics.csv_rows import AS_ROLLUP, copied
from muninn.errors import Invalid
from muninn.model import Resolution, Window
from muninn.store.database import Transaction


def write(snapshot: Transaction, resolution: Resolution, window: Window, path: Path) -> cold_file.Written:
    """The buckets of a window as the snapshot sees them."""
    import duckdb  # loaded where it is used, as in cold_file

    temporary = path.with_name(f".{path.name}.partial")
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as session:
        rows = copied(session, snapshot, resolution.name, window, Path(folder))
        session.execute(
            f"copy (select {AS_ROLLUP} from {rows}"  # noqa: S608
            " order by series_id, bucket) to $path (format parquet, compression zstd)",
            {"path": str(temporary)},
        )
        figures = "count(*), coalesce(sum(sample_count), 0)::bigint, count(distinct series_id)"
        count, samples, series = session.table(rows).aggregate(figures).fetchall()[0]
    cold_file.publish(temporary, path)
    return cold_file.Written(count, samples, series, path.stat().st_size, 0)


def rows(path: Path) -> int:
    """How many there are; Invalid where the file can not be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return sum(batch.num_rows for batch in file.iter_batches(columns=["series_id"]))
    except (pa.ArrowException, OSError) as error:
        raise Invalid(f"{path.name} is not a readable Parquet file: {error}") from error
