"""The last Dagster runs, asked from Dagster's own GraphQL: it is the one that knows.

Belongs here: question, answer, addresses in Dagster's UI. Does not: starting runs, Dagster as a library.
"""

from dataclasses import dataclass
from typing import Any

import httpx

from muninn.settings import Dagster, reachable

TIMEOUT_S = 2.0
_QUERY = """
query LastRuns($limit: Int!) {
  runsOrError(limit: $limit) {
    __typename
    ... on Runs {
      results {
        runId jobName status creationTime startTime endTime assetSelectionCount
        assetSelection(limit: 3) { path }
        tags { key value }
      }
    }
    ... on Error { message }
  }
}
"""
# Which tag tells what started a run, in the order in which they are asked.
_CAUSES = {
    "dagster/schedule_name": "schedule",
    "dagster/sensor_name": "sensor",
    "dagster/auto_materialize": "automation",
    "dagster/backfill": "backfill",
}


@dataclass(frozen=True)
class DagsterRun:
    """One run. status as Dagster says it ("SUCCESS", "FAILURE", "STARTED", ...); times None until they happen.

    assets: up to three asset names of `asset_count`. cause: "schedule hourly", "sensor landing", ... or "manual".
    """

    run_id: str
    job: str
    status: str
    assets: tuple[str, ...]
    asset_count: int
    cause: str
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    url: str


@dataclass(frozen=True)
class DagsterRuns:
    """The last runs, newest first. `trouble` is a sentence when Dagster did not answer, and then runs is empty."""

    address: str
    runs: tuple[DagsterRun, ...]
    trouble: str | None = None

    @property
    def graph_url(self) -> str:
        """Where Dagster shows the asset graph."""
        return f"{self.address}/asset-groups"

    @property
    def runs_url(self) -> str:
        """Where Dagster lists all runs."""
        return f"{self.address}/runs"


def last_runs(dagster: Dagster, limit: int = 10, timeout_s: float = TIMEOUT_S) -> DagsterRuns:
    """The newest `limit` runs; never raises: a Dagster that is away is an answer with `trouble`."""
    address = f"http://{reachable(dagster.host)}:{dagster.port}"
    try:
        answer = httpx.post(
            f"{address}/graphql", json={"query": _QUERY, "variables": {"limit": limit}}, timeout=timeout_s
        )
        answer.raise_for_status()
        found = answer.json()["data"]["runsOrError"]
        if found["__typename"] != "Runs":
            return DagsterRuns(address, (), f"Dagster could not list its runs: {found.get('message', 'no reason')}")
        return DagsterRuns(address, tuple(_run(row, address) for row in found["results"]))
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return DagsterRuns(address, (), f"Dagster does not answer at {address}")


def _run(row: dict[str, Any], address: str) -> DagsterRun:
    return DagsterRun(
        run_id=row["runId"],
        job=row["jobName"],
        status=row["status"],
        assets=tuple("/".join(key["path"]) for key in row["assetSelection"] or ()),
        asset_count=row["assetSelectionCount"],
        cause=_cause({tag["key"]: tag["value"] for tag in row["tags"]}),
        created_ms=round(row["creationTime"] * 1000),
        started_ms=_ms(row["startTime"]),
        ended_ms=_ms(row["endTime"]),
        url=f"{address}/runs/{row['runId']}",
    )


def _cause(tags: dict[str, str]) -> str:
    for tag, kind in _CAUSES.items():
        if tag in tags:
            named = tag.endswith("_name")
            return f"{kind} {tags[tag]}" if named else kind
    return "manual"


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
