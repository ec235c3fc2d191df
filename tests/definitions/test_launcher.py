"""A run whose worker is gone is told from one that runs, by the real code server."""

import os
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster_world import ROOT
from servers import eventually, free_port

from pipelines.launcher import WatchedRunLauncher


@pytest.fixture
def code_server() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    command = [sys.executable, "-m", "dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen([*command, "-m", "pipelines.definitions"], cwd=ROOT, env=os.environ.copy())
    client = DagsterGrpcClient(host="127.0.0.1", port=port)
    try:
        eventually(lambda: _answers(client), 60, "the code server answers")
        yield process, port
    finally:
        process.kill()
        process.wait(10)


def _answers(client: DagsterGrpcClient) -> bool:
    try:
        return bool(client.ping("hello"))
    except Exception:
        return False


def test_a_lost_worker_is_noticed(
    dagster_instance: dg.DagsterInstance, code_server: tuple[subprocess.Popen[bytes], int]
) -> None:
    process, port = code_server
    launcher = dagster_instance.run_launcher
    assert isinstance(launcher, WatchedRunLauncher)

    @dg.job
    def some_job() -> None:
        """Any job."""

    where = f'{{"host": "127.0.0.1", "port": {port}}}'
    started = {"job_def": some_job, "status": dg.DagsterRunStatus.STARTED}
    lost = dagster_instance.create_run_for_job(**started, tags={GRPC_INFO_TAG: where})
    waiting = dagster_instance.create_run_for_job(**started)
    assert launcher.check_run_worker_health(lost).status is WorkerStatus.FAILED
    assert launcher.check_run_worker_health(waiting).status is WorkerStatus.RUNNING

    process.kill()
    process.wait(10)
    assert launcher.check_run_worker_health(lost).status is WorkerStatus.RUNNING, "nobody can be asked: wait"
