"""The last Dagster runs, asked of a real Dagster webserver over HTTP."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from servers import eventually, free_port

from muninn.reads.dagster_runs import last_runs
from muninn.settings import Dagster

pytestmark = pytest.mark.filterwarnings("ignore")


@dg.asset
def good() -> None:
    """An asset that succeeds."""


@dg.asset
def bad() -> None:
    """An asset that fails."""
    raise ValueError("on purpose")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as one:
        yield one


@pytest.fixture(scope="module")
def dagster(instance: dg.DagsterInstance) -> Iterator[Dagster]:
    """A webserver over that instance, on a free port."""
    settings = Dagster(port=free_port())
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget(), version="test") as context:
        app = create_app_from_workspace_process_context(context)
        server = uvicorn.Server(uvicorn.Config(app, port=settings.port, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run)
        thread.start()
        eventually(lambda: server.started, 20, "the webserver listens")
        yield settings
        server.should_exit = True
        thread.join(20)


def test_runs_come_newest_first_with_status_cause_and_address(dagster: Dagster, instance: dg.DagsterInstance) -> None:
    begun_ms = time.time_ns() // 1_000_000 - 1000
    dg.materialize([good], instance=instance, tags={"dagster/schedule_name": "hourly"})
    dg.materialize([good, bad], instance=instance, raise_on_error=False)
    found = last_runs(dagster, limit=5, timeout_s=10)
    assert found.trouble is None
    newest, oldest = found.runs
    assert (newest.status, oldest.status) == ("FAILURE", "SUCCESS")
    assert (newest.cause, oldest.cause) == ("manual", "schedule hourly")
    assert newest.started_ms is not None
    assert newest.ended_ms is not None
    assert begun_ms < newest.created_ms <= newest.started_ms <= newest.ended_ms
    assert newest.url == f"http://127.0.0.1:{dagster.port}/runs/{newest.run_id}"
    assert found.graph_url == f"http://127.0.0.1:{dagster.port}/asset-groups"
    assert len(last_runs(dagster, limit=1, timeout_s=10).runs) == 1


def test_a_dagster_that_is_away_is_an_answer() -> None:
    found = last_runs(Dagster(port=free_port()), timeout_s=1)
    assert found.runs == ()
    assert found.trouble is not None
    assert found.trouble.startswith("Dagster does not answer at http://127.0.0.1:")


class _Nonsense(BaseHTTPRequestHandler):
    """Something else listens on the port."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_another_program_on_the_port_is_not_taken_for_dagster() -> None:
    with HTTPServer(("127.0.0.1", 0), _Nonsense) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        found = last_runs(Dagster(port=server.server_port), timeout_s=5)
        thread.join(10)
    assert found.runs == ()
    assert found.trouble is not None
