"""The landing folder's sensor: a run for each dropped file.

Belongs here: which file gets a run, and when it gets another. Does not: taking files in (assets.landing).
"""

import dagster as dg

from assets.landing import Candidate, candidates
from assets.resources import MuninnResource
from pipelines.jobs import take_in_file

MAX_FILES_AT_ONCE = 10
FILE_TAG = "muninn/file"
IDENTITY_TAG = "muninn/file_identity"
_FIRST_RETRY_S, _MAX_RETRY_S = 30.0, 3600.0
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.sensor(
    job=take_in_file,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes in CSV, NDJSON and Parquet files that are dropped into the landing folder.",
)
def dropped_files(context: dg.SensorEvaluationContext, muninn: MuninnResource) -> dg.SensorResult | dg.SkipReason:
    """A run for each file that has none; for one that is still there after its run, another, later and later."""
    folder, now_us = muninn.settings.landing_folder, muninn.clock.now_us()
    folder.mkdir(parents=True, exist_ok=True)
    under_way = context.instance.get_runs_count(dg.RunsFilter(job_name=take_in_file.name, statuses=_UNFINISHED))
    requests: list[dg.RunRequest] = []
    for candidate in candidates(folder, now_us):
        if under_way + len(requests) >= MAX_FILES_AT_ONCE:
            break
        attempt = _next_attempt(context.instance, candidate, now_us / 1_000_000)
        if attempt is not None:
            requests.append(_request(candidate, attempt))
    return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason(f"nothing new in {folder}")


def _next_attempt(instance: dg.DagsterInstance, candidate: Candidate, now_s: float) -> int | None:
    """The number of the run that is due for the file; None while one is under way, or it is too early for another.

    A file leaves the folder before its run ends well. If it is there after that, the gateway was away or the run died.
    """
    records = instance.get_run_records(dg.RunsFilter(tags={IDENTITY_TAG: candidate.identity}))
    if any(record.dagster_run.status in _UNFINISHED for record in records):
        return None
    if not candidate.path.exists():
        return None
    attempts = len(records)
    if attempts:
        ended_s = max(record.end_time or record.update_timestamp.timestamp() for record in records)
        if now_s < ended_s + min(_FIRST_RETRY_S * 2 ** (attempts - 1), _MAX_RETRY_S):
            return None
    return attempts


def _request(candidate: Candidate, attempt: int) -> dg.RunRequest:
    return dg.RunRequest(
        job_name=take_in_file.name,
        run_key=f"{candidate.identity}|{attempt}",
        run_config={"ops": {"landing_files": {"config": {"name": candidate.path.name}}}},
        tags={FILE_TAG: candidate.path.name, IDENTITY_TAG: candidate.identity},
    )
