"""Alerts in DuckDB: those of the window, with every column described."""

import alert_world

from muninn.analytics.session import connect
from muninn.clock import HOUR_US, SystemClock
from muninn.model import Window
from muninn.store.database import Database


def test_alerts_of_the_window(postgres_url: str) -> None:
    now_us = SystemClock().now_us()
    with Database(postgres_url, pool_size=2) as database:
        alert_world.fill(database)
        with connect(database, Window(now_us - HOUR_US, now_us + HOUR_US)) as session:
            found = session.execute(
                """select rule, labels->>'host', state, fired_at < now() from alerts
                   where state <> 'resolved' order by fired_at nulls last"""
            ).fetchall()
            assert found == [
                ("host_cpu_saturated", "build1", "firing", True),
                ("host_disk_full", "db1", "firing", True),
                ("host_cpu_saturated", "web1", "firing", True),
                ("host_memory_pressure", "web2", "pending", None),
            ]
            described = "select count(*) from duckdb_columns() where table_name = 'alerts' and comment is not null"
            assert session.execute(described).fetchone() == (11,)
        with connect(database, Window(now_us - 48 * HOUR_US, now_us - 47 * HOUR_US)) as session:
            assert session.execute("select count(*) from alerts").fetchone() == (0,)
