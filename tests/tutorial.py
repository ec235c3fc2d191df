"""The statements of docs/duckdb.md on known data, and what they print: `python tests/tutorial.py` renews the page."""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import stores

from muninn.analytics.session import connect
from muninn.clock import DAY_US, HOUR_US, SECOND_US
from muninn.model import SampleBatch, SeriesKey, Window

PAGE = Path(__file__).parents[1] / "docs" / "duckdb.md"
BLOCK = re.compile(r"```sql\n(?P<statement>.*?)```\n\n```\n(?P<printed>.*?)```\n", re.DOTALL)
TODAY = stores.NOW_US // DAY_US * DAY_US
DAYS = 6


def samples() -> SampleBatch:
    """Six days of two hosts by the minute: how busy they are, and a counter of requests that begins anew on one day."""
    rng = np.random.default_rng(7)
    steps = DAYS * 1440
    at = TODAY - (DAYS - 1) * DAY_US + np.arange(steps, dtype=np.int64) * 60 * SECOND_US
    at = at[at <= stores.NOW_US]
    keys, values = [], []
    for rank, host in enumerate(("alpha", "beta")):
        daily = 30 + 20 * rank + 15 * np.sin(np.arange(len(at)) / 1440 * 2 * np.pi)
        busy = np.round(np.clip(daily + rng.gamma(2, 2, len(at)), 0, 100), 1)
        requests = np.cumsum(rng.integers(5 + rank, 15, len(at))).astype(float)
        restarted = len(at) // 2
        if rank:
            requests[restarted:] -= requests[restarted - 1]
        for metric, value in (("cpu_busy_pct", busy), ("requests_total", requests)):
            keys.append(SeriesKey.of(metric, {"host": host}, "agent", host))
            values.append(value)
    index = np.repeat(np.arange(len(keys), dtype=np.int32), len(at))
    return SampleBatch(np.tile(at, len(keys)), np.concatenate(values), index, tuple(keys))


@contextmanager
def session(url: str, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The known data in both tiers, as `muninn sql --since=-6d` opens it."""
    from cold import Cold

    store = stores.Postgres(url)
    tier = Cold(store, folder)
    store.load([stores.entry(samples(), "1-0")])
    tier.refresh()
    tier.night()
    with connect(store.database, Window(TODAY - 5 * DAY_US, TODAY + 13 * HOUR_US), folder=folder) as opened:
        yield opened
    store.close()


def printed(opened: duckdb.DuckDBPyConnection, statement: str) -> str:
    """What a statement gives, as a table of texts."""
    result = opened.sql(statement)
    rows = [result.columns, *([_text(value) for value in row] for row in result.fetchall())]
    widths = [max(len(row[place]) for row in rows) for place in range(len(result.columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]]) + "\n"


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def renewed(opened: duckdb.DuckDBPyConnection, page: str) -> str:
    """The page with what its statements print now."""

    def block(match: re.Match[str]) -> str:
        return f"```sql\n{match['statement']}```\n\n```\n{printed(opened, match['statement'])}```\n"

    return BLOCK.sub(block, page)


def main() -> None:
    """Write the page anew."""
    from servers import Postgres

    from muninn.store.database import Database
    from muninn.store.migrations import migrate

    server = Postgres()
    server.start()
    try:
        with Database(server.url, pool_size=1) as database:
            migrate(database)
        with tempfile.TemporaryDirectory() as folder, session(server.url, Path(folder)) as opened:
            PAGE.write_text(renewed(opened, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    finally:
        server.close()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
