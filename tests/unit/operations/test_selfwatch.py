"""Heartbeats, and the board as samples."""

import time
from collections.abc import Sequence

import pytest

from muninn.cache.board import MemoryBoard
from muninn.clock import ManualClock
from muninn.errors import Unavailable
from muninn.meter import Meter
from muninn.model import SampleBatch
from muninn.operations.selfwatch import Figure, Heartbeat, OwnMetrics


def figures(batch: SampleBatch) -> dict[str, tuple[dict[str, str], int, float]]:
    return {
        batch.keys[key].metric: (dict(batch.keys[key].labels), at, value)
        for key, at, value in zip(batch.key_index, batch.at_us.tolist(), batch.value.tolist(), strict=True)
    }


def test_a_program_is_on_the_board_while_it_runs() -> None:
    board, meter = MemoryBoard(), Meter()
    meter.count("muninn_ingest_samples_total", 5)
    with Heartbeat(board, "gateway", "0", meter):
        deadline = time.monotonic() + 10
        while not board.read_all():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (entry,) = board.read_all()
        found = {name: value for name, _, value in entry.metrics}
        assert found["muninn_ingest_samples_total"] == 5
        assert found["muninn_process_cpu_seconds_total"] > 0
        assert found.get("muninn_process_resident_bytes", 1 << 30) > 1 << 20
    assert board.read_all() == []


def test_gauges_are_refreshed_before_each_beat_and_trouble_with_it_does_no_harm() -> None:
    board, meter = MemoryBoard(), Meter()
    calls = []

    def refresh() -> None:
        calls.append(1)
        meter.gauge("muninn_buffer_depth_entries", len(calls))
        if len(calls) > 1:
            raise Unavailable("away")

    heartbeat = Heartbeat(board, "gateway", "0", meter, refresh=refresh)
    for beats in (1, 2, 3):
        heartbeat.beat()
        (entry,) = board.read_all()
        assert ("muninn_buffer_depth_entries", {}, float(beats)) in entry.metrics


class AwayBoard:
    def __init__(self) -> None:
        self.published = 0
        self.away = True

    def publish(self, program: str, instance: str, snapshot: Sequence[Figure], ttl_s: float = 15.0) -> None:
        if self.away:
            raise Unavailable("Redis is away")
        self.published += 1

    def withdraw(self, program: str, instance: str) -> None:
        if self.away:
            raise Unavailable("Redis is away")


def test_an_absent_board_is_told_of_once_and_found_again(caplog: pytest.LogCaptureFixture) -> None:
    board = AwayBoard()
    heartbeat = Heartbeat(board, "loader", "0", Meter())
    for _ in range(3):
        heartbeat.beat()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    board.away = False
    heartbeat.beat()
    assert board.published == 1
    board.away = True
    heartbeat.stop()


def test_the_board_becomes_samples_each_heartbeat_once() -> None:
    clock = ManualClock()
    board = MemoryBoard(clock)
    own = OwnMetrics(board, clock)
    assert len(own.read()) == 0
    board.publish("loader", "1", [("muninn_loader_rows_total", {"stage": "load"}, 7.0), ("other", {}, 1.0)])
    published_us = clock.now_us()
    clock.advance(2)
    batch = own.read()
    found = figures(batch)
    assert set(found) == {"muninn_loader_rows_total", "muninn_heartbeat_age_s"}
    labels = {"program": "loader", "instance": "1", "stage": "load"}
    assert found["muninn_loader_rows_total"] == (labels, published_us, 7.0)
    assert found["muninn_heartbeat_age_s"][1:] == (clock.now_us(), 2.0)
    assert {(key.source_agent_id, key.instance_id) for key in batch.keys} == {("muninn", "1")}
    clock.advance(1)
    assert set(figures(own.read())) == {"muninn_heartbeat_age_s"}
    board.publish("loader", "1", [("muninn_loader_rows_total", {}, 9.0)])
    assert figures(own.read())["muninn_loader_rows_total"][2] == 9.0
