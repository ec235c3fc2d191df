"""Code server and daemon as in production: sensors record, a backfill of two hours is one run, and the log is quiet."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster_world import ROOT, World, hour
from servers import eventually

from assets.checks import MATCHES

BIN = Path(sys.executable).parent
VIEWS = ("metrics_1min", "metrics_5min", "metrics_1hour")
BACKFILL = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) { __typename ... on LaunchBackfillSuccess { backfillId } }
}
"""


class Programs:
    """The code server and the daemon, each with its log."""

    def __init__(self, environ: dict[str, str], folder: Path):
        self._environ, self._folder = environ, folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *argv: str) -> None:
        with self.log(name).open("wb") as log:
            command = [str(BIN / argv[0]), *argv[1:]]
            process = subprocess.Popen(command, cwd=ROOT, env=self._environ, stdout=log, stderr=subprocess.STDOUT)
        self._running.append(process)

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def ask(self, query: str, **variables: object) -> dict[str, object]:
        """The answer of Dagster's GraphQL, from its command line."""
        command = [str(BIN / "dagster-graphql"), "-w", "workspace.yaml", "-t", query, "-v", json.dumps(variables)]
        done = subprocess.run(command, cwd=ROOT, env=self._environ, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        assert "errors" not in found
        return dict(found["data"])

    def end(self) -> None:
        for process in reversed(self._running):
            process.terminate()
        for process in self._running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


@pytest.fixture
def programs(world: World, tmp_path: Path) -> Iterator[Programs]:
    (Path(os.environ["DAGSTER_HOME"]) / "first_day").write_text("2025-02-03\n")
    running = Programs({**os.environ, **world.environ, "PYTHONPATH": str(ROOT)}, tmp_path)
    port = world.environ["MUNINN_DAGSTER_CODE_PORT"]
    try:
        running.start(
            "code", "dagster", "code-server", "start", "-h", "127.0.0.1", "-p", port, "-m", "pipelines.definitions"
        )
        eventually(lambda: "Started Dagster code proxy server" in running.log("code").read_text(), 60, "code is served")
        running.start("daemon", "dagster-daemon", "run", "-w", "workspace.yaml")
        yield running
    finally:
        running.end()


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_hours_are_recorded_verified_and_backfilled(world: World, programs: Programs) -> None:
    world.fill(hour("2025-02-03-10:00"), 7200)
    world.refresh(hour("2025-02-03-12:00"))

    def recorded() -> bool:
        return len(world.events("raw_samples")) == 12

    eventually(recorded, 120, f"twelve hours are recorded; {programs.log('daemon')}", 0.5)
    assert {key: events[0]["rows"] for key, events in world.events("raw_samples").items() if events[0]["rows"]} == {
        "2025-02-03-10:00": 1080,
        "2025-02-03-11:00": 1080,
    }
    check = dg.AssetCheckKey(dg.AssetKey("metrics_1min"), MATCHES)

    def verified() -> bool:
        latest = world.instance.event_log_storage.get_latest_asset_check_execution_by_key([check]).get(check)
        return latest is not None and latest.status.value == "SUCCEEDED"

    eventually(verified, 60, "the hours are verified", 0.5)

    hours = ["2025-02-03-10:00", "2025-02-03-11:00"]
    asked = {"assetSelection": [{"path": [view]} for view in VIEWS], "partitionNames": hours}
    backfill_id = programs.ask(BACKFILL, params=asked)["launchPartitionBackfill"]["backfillId"]  # type: ignore[index]

    def finished() -> bool:
        found = world.instance.get_backfill(backfill_id)
        return found is not None and found.status.value not in ("REQUESTED",)

    eventually(finished, 120, "the backfill ends", 0.5)
    assert world.instance.get_backfill(backfill_id).status.value == "COMPLETED_SUCCESS"  # type: ignore[union-attr]
    (run,) = world.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill_id}))
    assert run.status is dg.DagsterRunStatus.SUCCESS
    for view in VIEWS:
        assert [world.events(view)[key][-1]["cause"] for key in hours] == ["rebuilt by this run"] * 2

    for name in ("code", "daemon"):
        lines = programs.log(name).read_text().splitlines()
        assert [line for line in lines if "WARN" in line.upper() or "ERROR" in line or "Traceback" in line] == []
