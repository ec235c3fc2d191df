"""Dagster's daemons are ready once the process that runs now has told so: what an earlier one told does not count."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat
from servers import eventually, free_port

from muninn.home import Process
from muninn.run import lifeline, probes


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


@pytest.fixture
def url(instance: dg.DagsterInstance) -> Iterator[str]:
    """A web server of Dagster, without any daemon."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("dagster-webserver")), "--empty-workspace", "-p", str(port)]
    process = subprocess.Popen(
        command, env={**os.environ, "DAGSTER_HOME": instance.root_directory}, preexec_fn=lifeline.dying_with_me()
    )
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: probes.http_ok(f"{url}/server_info")([]), 120, "it answers")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def daemon(started_s: float) -> list[Process]:
    return [Process("dagster-daemon", "dagster-daemon", 7, "running", started_s, 0, "", 0.0)]


def test_heartbeats_of_before_a_restart_do_not_count(instance: dg.DagsterInstance, url: str) -> None:
    ready = probes.dagster_daemons(url)
    now_s = time.time()
    assert not ready(daemon(now_s - 60))
    for kind in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(now_s - 30, kind, daemon_id="one", errors=[]))
    assert ready(daemon(now_s - 60))
    assert not ready(daemon(now_s - 10))
    assert not ready([])
