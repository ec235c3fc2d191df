"""Rows of the store in a DuckDB session, by way of CSV.

Belongs here: columns and types. Does not: which rows, what is made of them.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from muninn.model import Window
from muninn.store.database import Transaction

if TYPE_CHECKING:
    import duckdb

SERIES = {
    "series_id": "integer",
    "metric_name": "varchar",
    "tags": "json",
    "source_agent_id": "varchar",
    "instance_id": "varchar",
    "metric_group": "varchar",
}
# In the order of sql/queries/store_copy_out_<resolution>.sql.
ROLLUP = {
    "bucket_us": "bigint",
    "series_id": "integer",
    "sample_count": "bigint",
    "sum_value": "double",
    "min_value": "double",
    "max_value": "double",
    "sketch": "bigint[]",
    "first_us": "bigint",
    "last_us": "bigint",
    "first_value": "double",
    "last_value": "double",
    "increase": "double",
}


def copied(
    session: "duckdb.DuckDBPyConnection", transaction: Transaction, source: str, window: Window | None, folder: Path
) -> str:
    """Make the temporary table `copied_<source>` of what sql/queries/store_copy_out_<source>.sql gives; its name."""
    types = SERIES if source == "series" else ROLLUP
    file, table = folder / f"{source}.csv", f"copied_{source}"
    bounds = {} if window is None else {"since_us": window.since_us, "until_us": window.until_us}
    with file.open("wb") as out:
        transaction.copy_out(f"store_copy_out_{source}", out.write, **bounds)
    as_text = {name: "varchar" if kind.endswith("[]") else kind for name, kind in types.items()}
    chosen = ", ".join(
        f"cast('[' || {name}[2:-2] || ']' as {kind}) as {name}" if kind.endswith("[]") else name
        for name, kind in types.items()
    )
    # Table and column names are the constants above; file and types go in as parameters.
    session.execute(
        f"create or replace temp table {table} as select {chosen}"  # noqa: S608
        " from read_csv($file, auto_detect = false, header = false, columns = $columns)",
        {"file": str(file), "columns": as_text},
    )
    file.unlink()
    return table


# Instants of `copied_<resolution>` as the views have them.
AS_ROLLUP = (
    "make_timestamptz(bucket_us) as bucket, series_id, sample_count, sum_value, min_value, max_value, sketch,"
    " make_timestamptz(first_us) as first_at, make_timestamptz(last_us) as last_at, first_value, last_value, increase"
)
