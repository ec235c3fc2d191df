"""Dropped files are taken in once each, through a real gateway into the store; broken ones are moved aside."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uvicorn
from dagster_world import World, hour
from servers import eventually
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

import assets.landing
from muninn.clock import SECOND_US
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.ingest.http import IngestDoor
from muninn.model.window import as_datetime

START_US = hour("2025-02-03-08:00")
ROWS = 250


class Gateway:
    """A real ingest door. `takes`: how many requests it still answers before it says 503."""

    def __init__(self, world: World):
        self.takes = 1_000_000
        self.broker = ValkeyBroker(world.environ["MUNINN_REDIS_URL"], clock=world.clock)
        self._app = Starlette(routes=IngestDoor(self.broker, clock=world.clock).routes())
        port = int(world.environ["MUNINN_GATEWAY_PORT"])
        config = uvicorn.Config(self._limited, port=port, log_level="error", lifespan="off", interface="asgi3")
        self.server = uvicorn.Server(config)
        self._writer = world.writer

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.takes -= 1
        app = self._app if self.takes >= 0 else Response(status_code=503)
        await app(scope, receive, send)

    def drain(self) -> None:
        """Load what the buffer holds, as a loader does."""
        while handles := self.broker.read("test", 100, 1):
            self._writer.load(handles)
            self.broker.acknowledge(handles)


@pytest.fixture
def gateway(world: World) -> Iterator[Gateway]:
    one = Gateway(world)
    thread = threading.Thread(target=one.server.run)
    thread.start()
    eventually(lambda: one.server.started, 30, "the door opens")
    try:
        yield one
    finally:
        one.server.should_exit = True
        thread.join()
        one.broker.close()


@pytest.fixture
def folder(world: World) -> Path:
    folder = world.resource.settings.landing_folder
    folder.mkdir()
    return folder


def drop(world: World, path: Path, age_s: float = 60.0) -> Path:
    """Give the file the age that it has at the world's time."""
    at_s = world.clock.now_us() / SECOND_US - age_s
    os.utime(path, (at_s, at_s))
    return path


def samples() -> Iterator[tuple[str, float, dict[str, str]]]:
    for number in range(ROWS):
        at = as_datetime(START_US + number * SECOND_US).isoformat()
        yield at, number / 4, {"host": f"h{number % 5}", "zone": "a,b"}


def write_csv(path: Path) -> None:
    lines = [
        f'cpu,{at},{value},"{json.dumps(labels).replace(chr(34), chr(34) * 2)}"' for at, value, labels in samples()
    ]
    path.write_text("metric,timestamp,value,labels\n" + "\n".join(lines) + "\n")


def write_ndjson(path: Path) -> None:
    rows = [{"metric": "cpu", "timestamp": at, "value": value, "labels": labels} for at, value, labels in samples()]
    path.write_text("\n".join(map(json.dumps, rows)))


def write_parquet(path: Path) -> None:
    at, value, labels = zip(*samples(), strict=True)
    columns = {"metric": ["cpu"] * ROWS, "timestamp": at, "value": value, "labels": list(map(json.dumps, labels))}
    pq.write_table(pa.table(columns), path)


def tick(world: World) -> list[dg.RunRequest]:
    result = world.tick("dropped_files", None)
    return list(result.run_requests or ()) if isinstance(result, dg.SensorResult) else []


def stored(world: World, gateway: Gateway) -> tuple[int, int, float]:
    """Rows, series and sum of values in the store."""
    gateway.drain()
    ((rows, series, total),) = world.sql("select count(*), count(distinct series_id), sum(value) from raw_samples")
    return rows, series, total or 0.0


ALL = (ROWS, 5, sum(number / 4 for number in range(ROWS)))


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.csv", write_csv), ("b.ndjson", write_ndjson), ("c.parquet", write_parquet)],
)
def test_a_file_is_taken_in_and_moved(
    world: World, gateway: Gateway, folder: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(folder / name)
    drop(world, folder / name)
    (request,) = tick(world)
    result = world.do(request)
    assert result.success
    assert stored(world, gateway) == ALL
    assert [path.name for path in (folder / "done").iterdir()] == [name]
    assert not (folder / name).exists()
    (event,) = world.events("landing_files")[None]
    assert (event["file"], event["rows"], event["rejected"]) == (name, ROWS, 0)
    assert tick(world) == []


def test_a_run_that_died_half_way_doubles_nothing(
    world: World, gateway: Gateway, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets.landing, "_CHUNK_ROWS", 100)
    write_csv(folder / "a.csv")
    drop(world, folder / "a.csv")
    gateway.takes = 2
    (first,) = tick(world)
    assert not world.run(
        first.job_name, run_config=first.run_config, tags=dict(first.tags), raise_on_error=False
    ).success
    rows, _, _ = stored(world, gateway)
    assert rows == 200
    assert (folder / "a.csv").exists()

    gateway.takes = 1_000_000
    world.runs_ended_now()
    assert tick(world) == [], "it waits before it tries again"
    world.clock.advance(31)
    (second,) = tick(world)
    assert second.run_key != first.run_key
    assert world.do(second).success
    assert gateway.broker.depth() == 1, "what was sent before came under the same keys"
    assert stored(world, gateway) == ALL
    assert tick(world) == []


def test_the_same_content_under_another_name_doubles_nothing(world: World, gateway: Gateway, folder: Path) -> None:
    for name in ("a.csv", "copy.csv"):
        write_csv(folder / name)
        drop(world, folder / name)
    for request in tick(world):
        assert world.do(request).success
    assert stored(world, gateway) == ALL
    assert len(list((folder / "done").iterdir())) == 2


def test_a_file_with_a_column_that_nothing_is_made_of_is_moved_aside_whole(
    world: World, gateway: Gateway, folder: Path
) -> None:
    """Its series would become one, as `muninn import` says too."""
    at = as_datetime(START_US).isoformat()
    (folder / "a.csv").write_text(f"metric,timestamp,value,host\ncpu,{at},1.5,a\ncpu,{at},2.5,b\n")
    drop(world, folder / "a.csv")
    (request,) = tick(world)
    run = world.run(request.job_name, run_config=request.run_config, tags=dict(request.tags), raise_on_error=False)
    assert not run.success
    assert stored(world, gateway) == (0, 0, 0.0)
    assert "nothing is made of `host`" in (folder / "failed" / "a.csv.reason.txt").read_text()
    assert "--ignore 'host'" in (folder / "failed" / "a.csv.reason.txt").read_text()
    assert tick(world) == []


def test_good_rows_of_a_partly_bad_file_count(world: World, gateway: Gateway, folder: Path) -> None:
    lines = ["metric,timestamp,value", f"cpu,{as_datetime(START_US).isoformat()},1.5", "cpu,yesterday,2", "cpu,,3"]
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    drop(world, folder / "a.csv")
    (request,) = tick(world)
    assert world.do(request).success
    assert stored(world, gateway) == (1, 1, 1.5)
    (event,) = world.events("landing_files")[None]
    assert (event["rows"], event["rejected"]) == (1, 2)
    listed = (folder / "done" / "a.csv.rejected.txt").read_text().splitlines()
    assert [line.partition(":")[0] for line in listed] == ["row 2", "row 3"]
    assert "timestamp" in listed[0]
    assert "| 2 | timestamp" in event["rejected_rows"]


def test_a_broken_file_is_moved_aside_with_its_reason(world: World, gateway: Gateway, folder: Path) -> None:
    (folder / "a.parquet").write_bytes(b"PAR1 this is not parquet")
    (folder / "b.xlsx").write_bytes(b"PK")
    (folder / "c.csv").write_text("metric,timestamp,value\ncpu,never,1\n")
    for path in folder.iterdir():
        drop(world, path)
    for request in tick(world):
        result = world.run(
            request.job_name, run_config=request.run_config, tags=dict(request.tags), raise_on_error=False
        )
        assert not result.success
    failed = folder / "failed"
    reasons = {path.name: path.read_text() for path in failed.glob("*.reason.txt")}
    assert set(reasons) == {"a.parquet.reason.txt", "b.xlsx.reason.txt", "c.csv.reason.txt"}
    assert "Parquet" in reasons["a.parquet.reason.txt"]
    assert "must end in one of .csv" in reasons["b.xlsx.reason.txt"]
    assert "Row 1: timestamp" in reasons["c.csv.reason.txt"]
    assert {path.name for path in failed.iterdir()} >= {"a.parquet", "b.xlsx", "c.csv"}
    world.clock.advance(7200)
    assert tick(world) == []
    assert stored(world, gateway)[0] == 0


def test_files_that_are_still_written_are_left_alone(world: World, folder: Path) -> None:
    for name, age_s in (("fresh.csv", 2.0), ("slow.csv.part", 60.0), (".hidden.csv", 60.0), ("x.csv~", 60.0)):
        write_csv(folder / name)
        drop(world, folder / name, age_s)
    (folder / "folder.csv").mkdir()
    assert tick(world) == []
    world.clock.advance(10)
    assert [request.tags["muninn/file"] for request in tick(world)] == ["fresh.csv"]


def test_a_file_that_changes_while_it_is_read_stays(
    world: World, gateway: Gateway, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "a.csv"
    write_csv(path)
    drop(world, path)
    (request,) = tick(world)
    whole = assets.landing.take_in

    def while_somebody_appends(*args: object) -> object:
        report = whole(*args)  # type: ignore[arg-type]
        with path.open("a") as file:
            file.write(f"cpu,{as_datetime(START_US).isoformat()},7,\n")
        return report

    monkeypatch.setattr(assets.landing, "take_in", while_somebody_appends)
    assert not world.do(request, raise_on_error=False).success
    monkeypatch.undo()
    drop(world, path, 50.0)
    (again,) = tick(world)
    assert again.run_key != request.run_key
    assert world.do(again).success
    rows, _, total = stored(world, gateway)
    assert (rows, total) == (ROWS + 1, ALL[2] + 7)


def test_one_run_at_a_time_for_a_file_and_a_bounded_number_in_all(world: World, folder: Path) -> None:
    for number in range(15):
        write_csv(folder / f"{number:02}.csv")
        drop(world, folder / f"{number:02}.csv", 60.0 - number)
    requests = tick(world)
    assert [request.tags["muninn/file"] for request in requests] == [f"{number:02}.csv" for number in range(10)]
    job = world.defs.resolve_job_def("take_in_file")
    for request in requests[:9]:
        world.instance.create_run_for_job(
            job, run_config=request.run_config, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED
        )
    (more,) = tick(world)
    assert more.tags["muninn/file"] == "09.csv"
