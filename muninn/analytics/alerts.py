"""Alerts in a DuckDB session: the table `alerts`, its columns described.

Belongs here: copying them. Does not: samples (session), what an alert is (alerting).
"""

import duckdb
import pyarrow as pa

from muninn.model import Window
from muninn.store.database import SQL, Transaction

_INSTANT = pa.timestamp("us", tz="UTC")
_KINDS = {
    "value": pa.float64(),
    "limit_value": pa.float64(),
    "no_data": pa.bool_(),
    "flapping": pa.bool_(),
    "useful": pa.bool_(),
    **dict.fromkeys(("started_at", "fired_at", "resolved_at", "acknowledged_at"), _INSTANT),
}


def fill(session: duckdb.DuckDBPyConnection, transaction: Transaction, window: Window) -> None:
    """Make the table, with the alerts that were open at some time in the window."""
    session.execute((SQL / "analytics" / "030_alerts.sql").read_text(encoding="utf-8"))
    rows = transaction.fetch("analytics_alerts", since_us=window.since_us, until_us=window.until_us)
    if not rows:
        return
    names = rows[0]._fields
    columns = {
        name: pa.array([row[place] for row in rows], _KINDS.get(name, pa.string())) for place, name in enumerate(names)
    }
    session.register("piece", pa.table(columns))
    session.execute("insert into alerts from piece")
    session.unregister("piece")
