"""PostgreSQL hangs under programs that run: nobody waits for ever, nothing is lost, and all goes on when it is back."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from programs import Programs
from servers import Postgres, eventually, free_port

from muninn.store.database import Database
from muninn.store.migrations import migrate


@pytest.fixture
def server() -> Iterator[Postgres]:
    made = Postgres()
    made.start()
    yield made
    made.close()


@pytest.mark.slow
def test_who_asks_is_told_and_what_is_sent_is_taken(server: Postgres, redis_url: str, tmp_path: Path) -> None:
    with Database(server.url, pool_size=1) as database:
        migrate(database)
    port = free_port()
    programs = Programs(tmp_path, server.url, redis_url, DATABASE_STATEMENT_TIMEOUT_S="1", GATEWAY_PORT=str(port))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:

        def send(value: float) -> int:
            said = {"metric": "hangs", "timestamp": time.time_ns() // 1_000_000, "value": value}
            return client.post("/api/v1/metrics", json=said).status_code

        def answers() -> bool:
            try:
                return client.get("/api/v1/metrics").status_code == 200
            except httpx.HTTPError:
                return False

        def latest() -> list[float]:
            found = client.get("/api/v1/latest?metric=hangs")
            return [each["value"] for each in found.json()["series"]] if found.status_code == 200 else []

        try:
            programs.start("gateway", "loader", "detector")
            eventually(answers, 90, "the gateway answers", 0.3)
            assert send(1.0) == 200
            eventually(lambda: latest() == [1.0], 90, "the loader loads", 0.3)
            with server.hanging():
                answer = client.get("/api/v1/trend?metric=hangs&since=-5h")
                assert (answer.status_code, "the database" in answer.text) == (503, True)
                assert send(2.0) == 200
                eventually(lambda: "could not be saved" in programs.log("detector"), 120, "the detector goes on", 0.3)
            eventually(lambda: latest() == [2.0], 90, "what was taken is there", 0.3)
        finally:
            programs.end()
