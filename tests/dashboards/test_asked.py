"""Questions that pages share, on a real store."""

import pytest

from muninn import reads, settings
from muninn.clock import SECOND_US, SystemClock
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.store.database import Database
from muninn.store.writer import StoreWriter
from streamlit_app import asked, shell

RATE = 10.0


def test_muninns_own_figures_count_once_though_somebody_scrapes_them(
    postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_us = SystemClock().now_us()
    own = SeriesKey.of(asked.INGESTED, {"program": "gateway"}, "muninn", "one")
    scraped = SeriesKey.of(asked.INGESTED, {"program": "gateway", "job": "scrape"}, "scrape", "127.0.0.1:8480")
    rows = [(key, now_us - n * SECOND_US, RATE * (600 - n)) for key in (own, scraped) for n in range(300, 0, -1)]
    with Database(postgres_url, pool_size=1) as database:
        StoreWriter(database).load([BatchHandle("own", "1-1", SampleBatch.of(rows))])
    chosen = settings.load({"MUNINN_DATABASE_URL": postgres_url, "MUNINN_REDIS_URL": redis_url})
    with reads.connect(chosen) as connected:
        monkeypatch.setattr(shell, "current_reads", lambda: connected)
        window = asked.so_far(asked.INGESTED, asked.OWN)
        line = asked.summed(asked.INGESTED, window, "taken in", asked.OWN)
        each = asked.each(asked.INGESTED, window, "taken in")
    assert sorted(line.y)[len(line.y) // 2] == pytest.approx(RATE, rel=0.05)
    assert [one.name for one in each] == ["taken in"]
