"""How runs are started: by the code server, and watched, so that a run whose worker died does not stay for ever.

Belongs here: telling a live worker from a dead one. Does not: what to do about it (Dagster's run monitoring).
"""

from typing import Any, cast

from dagster import DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's own launcher, with the question it lacks: does the code server still run this run?

    Without it a run that died with the code server counts as started until its time limit, and its place in
    the run queue stays taken.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """RUNNING while the code server knows the run, and while nobody can be asked; else FAILED."""
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "no worker is recorded for the run yet")
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=10)
        except DagsterUserCodeUnreachableError as error:
            # It may be restarting: what became of its runs shows when it is back.
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"the code server does not answer: {error}")
        known = cast(Any, deserialize_value(answer, CanCancelExecutionResult)).can_cancel
        if known:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "the code server that ran it has ended since")
