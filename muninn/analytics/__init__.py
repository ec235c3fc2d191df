"""The cold tier and analysts' access: Parquet files, DuckDB and Polars. The only place that knows duckdb."""

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from muninn.settings import Settings

__all__ = ["connect"]


def connect(last: timedelta = timedelta(days=1), settings: "Settings | None" = None) -> "duckdb.DuckDBPyConnection":
    """A DuckDB connection over the last hours or days up to now; `muninn.analytics.session` has more.

    settings: None: those of the environment; without MUNINN_DATABASE_URL, of the Muninn that runs on MUNINN_HOME
    (.muninn in the working directory). Misconfigured where none does, and says what to do.
    """
    from muninn import home
    from muninn.analytics import session
    from muninn.clock import SystemClock
    from muninn.model import Window
    from muninn.store.database import Database

    found = settings or home.reached()
    now_us = SystemClock().now_us()
    window = Window(now_us - last // timedelta(microseconds=1), now_us)
    with Database(found.require_database_url(), pool_size=1, application_name="muninn-analytics") as database:
        return session.connect(database, window, folder=found.cold_folder)
