"""A DuckDB session over Muninn's data: the same names and columns as in PostgreSQL, and macros that merge rightly.

Belongs here: filling a DuckDB database from the store. Does not: what people ask of it.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb

from muninn.model import RESOLUTIONS, Window
from muninn.store.database import SQL, Database

# Called with the table at work, and how many are done of how many.
Progress = Callable[[str, int, int], None]

_COLUMNS = {
    "series": "series_id, metric_name, tags, source_agent_id, instance_id",
    "raw_samples": "at_us, series_id, value",
    "rollup": "bucket_us, series_id, sample_count, sum_value, min_value, max_value, sketch",
}
_SKETCH = "cast('[' || sketch[2:-2] || ']' as bigint[])"


def connect(
    database: Database, window: Window, path: Path | None = None, progress: Progress | None = None
) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection that holds the window's samples and rollups as of one instant.

    Views `performance_metrics`, `metrics_1min` ... `metrics_1day`, tables `series`, `raw_samples` and
    `rollup_*`, macro `merged_quantile`. In memory, or in a new file at `path` for other tools.
    Unavailable when the database is away.
    """
    session = duckdb.connect(str(path) if path else ":memory:")
    session.execute("set timezone = 'UTC'")
    session.execute((SQL / "analytics" / "010_tables.sql").read_text(encoding="utf-8"))
    _fill(session, database, window, progress)
    session.execute((SQL / "analytics" / "020_views.sql").read_text(encoding="utf-8"))
    return session


def _fill(session: duckdb.DuckDBPyConnection, database: Database, window: Window, progress: Progress | None) -> None:
    sources = {"series": "series", "raw_samples": "raw", **{f"rollup_{each.name}": each.name for each in RESOLUTIONS}}
    bounds = {"since_us": window.since_us, "until_us": window.until_us}
    with tempfile.TemporaryDirectory() as folder, database.snapshot() as transaction:
        for done, (table, source) in enumerate(sources.items()):
            if progress:
                progress(table, done, len(sources))
            file = Path(folder) / f"{table}.csv"
            with file.open("wb") as out:
                transaction.copy_out(f"store_copy_out_{source}", out.write, **({} if source == "series" else bounds))
            _take_in(session, table, file)
            file.unlink()
    if progress:
        progress("", len(sources), len(sources))


def _take_in(session: duckdb.DuckDBPyConnection, table: str, file: Path) -> None:
    names = _COLUMNS[table if table in _COLUMNS else "rollup"].split(", ")
    types = dict(
        session.execute("select column_name, data_type from duckdb_columns() where table_name = ?", [table]).fetchall()
    )
    columns = {name: "VARCHAR" if name == "sketch" else types[name] for name in names}
    chosen = ", ".join(_SKETCH if name == "sketch" else name for name in names)
    # Table and column names are the constants above; the file and the types go in as parameters.
    session.execute(
        f"insert into {table} ({', '.join(names)}) select {chosen}"  # noqa: S608
        " from read_csv($file, auto_detect = false, header = false, columns = $columns)",
        {"file": str(file), "columns": columns},
    )
