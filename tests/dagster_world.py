"""A store and a Dagster instance on real servers, at a time that tests choose: for tests of assets and sensors."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, LiteralString

import dagster as dg
import numpy as np
import psycopg
import pytest
import sqlalchemy
from servers import Postgres, free_port

import pipelines.sensors
from assets.partitions import key_window
from assets.resources import MuninnResource
from muninn.clock import HOUR_US, SECOND_US, Clock, ManualClock
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.rollups.refresh import RefreshResult, refresh_fresh
from muninn.run.environment import for_sqlalchemy
from muninn.store.database import Database
from muninn.store.writer import StoreWriter
from pipelines.definitions import build_defs

ROOT = Path(__file__).parents[1]
SETTLE_S = 15.0
_entries = itertools.count(1)


class ResourceAt(MuninnResource):
    """The resource, at the time of a clock that tests move. Dagster makes resources anew from their fields."""

    clocks: ClassVar[dict[str, Clock]] = {}
    clock_name: str

    @property
    def clock(self) -> Clock:
        return self.clocks[self.clock_name]


@dataclass
class World:
    """database: migrated and empty. clock: what everything but Dagster goes by."""

    database: Database
    instance: dg.DagsterInstance
    environ: dict[str, str]
    clock: ManualClock
    defs: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        name = self.environ["MUNINN_DATABASE_URL"]
        ResourceAt.clocks[name] = self.clock
        self.resource = ResourceAt(environ=self.environ, clock_name=name)
        self.defs = build_defs({"muninn": self.resource})
        self.writer = StoreWriter(self.database, clock=self.clock)

    def load(self, batch: SampleBatch) -> None:
        """Write a batch as a loader does."""
        self.writer.load([BatchHandle("test", f"{next(_entries)}-0", batch)])

    def fill(self, since_us: int, seconds: int, *, series: int = 3, step_s: int = 10) -> int:
        """A sample every `step_s` for each series, and the clock behind them; returns how many."""
        batch = regular(since_us, seconds, series=series, step_s=step_s)
        self.go_to(since_us + seconds * SECOND_US)
        self.load(batch)
        return len(batch)

    def go_to(self, at_us: int) -> None:
        """Move the clock forward; never back."""
        self.clock.advance(max(0, at_us - self.clock.now_us()) / SECOND_US)

    def sql(self, statement: LiteralString) -> list[tuple[Any, ...]]:
        """Run a statement behind everyone's back; returns its rows, if it has any."""
        with psycopg.connect(self.environ["MUNINN_DATABASE_URL"], autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def refresh(self, at_us: int | None = None) -> RefreshResult:
        """What the refresher program does, `SETTLE_S` after `at_us` (or now)."""
        if at_us is not None:
            self.go_to(at_us + round(SETTLE_S * SECOND_US))
        return refresh_fresh(self.database, self.clock.now_us(), SETTLE_S)

    def run(self, job: str, **options: Any) -> dg.ExecuteInProcessResult:
        """Run a job in this process, with its run recorded in the instance."""
        return self.defs.resolve_job_def(job).execute_in_process(instance=self.instance, **options)

    def materialise(
        self, names: Sequence[str], since: str | None = None, until: str | None = None, **options: Any
    ) -> dg.ExecuteInProcessResult:
        """Materialise assets with their checks; `since`, `until`: a range of partitions, as one run of a backfill."""
        tags = {"dagster/asset_partition_range_start": since, "dagster/asset_partition_range_end": until or since}
        return self.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(name) for name in names],
            tags=tags if since else {},
            **options,
        )

    def tick(self, sensor: str, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
        """Evaluate a sensor and do with its events what the daemon does."""
        definition = self.defs.resolve_sensor_def(sensor)
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=cursor,
            definitions=self.defs,
            sensor_name=sensor,
            resources={"muninn": self.resource},
        )
        result = definition(context)
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        if isinstance(result, dg.SensorResult):
            for event in result.asset_events:
                self.instance.report_runless_asset_event(event)
        return result

    def do(self, request: dg.RunRequest, **options: Any) -> dg.ExecuteInProcessResult:
        """Run what a sensor asked for."""
        assert request.job_name is not None
        return self.run(request.job_name, run_config=request.run_config, tags=dict(request.tags), **options)

    def runs_ended_now(self, days_ago: float = 0.0) -> None:
        """Dagster stamps runs with the machine's time: give those that ended the world's."""
        at_s = self.clock.now_us() / SECOND_US - days_ago * 86_400
        stamp = sqlalchemy.text(
            "update runs set end_time = :at, update_timestamp = to_timestamp(:at) at time zone 'UTC'"
        )
        with self.instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
            connection.execute(stamp, {"at": at_s})

    def events(self, name: str) -> dict[str | None, list[Mapping[str, Any]]]:
        """The metadata values of an asset's materialisations by partition, oldest first."""
        records = self.instance.fetch_materializations(dg.AssetKey(name), limit=1000, ascending=True).records
        found: dict[str | None, list[Mapping[str, Any]]] = {}
        for record in records:
            event = record.asset_materialization
            assert event is not None
            values = {key: value.value for key, value in event.metadata.items()}
            found.setdefault(event.partition, []).append(values)
        return found


def regular(since_us: int, seconds: int, *, series: int = 3, step_s: int = 10) -> SampleBatch:
    """A sample every `step_s` seconds for each of some series, with different values."""
    per_series = seconds // step_s
    at = np.repeat(since_us + np.arange(per_series, dtype=np.int64) * step_s * SECOND_US, series)
    index = np.tile(np.arange(series, dtype=np.int32), per_series)
    value = 10.0 * index + np.sin(np.arange(len(at)))
    keys = tuple(SeriesKey.of("cpu_busy_pct", {"host": f"host-{number}"}) for number in range(series))
    return SampleBatch(at, value, index, keys)


@contextmanager
def dagster_on_postgres(url: str, home: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance as in production: the repository's dagster.yaml, on a database of its own."""
    (home / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    told = {"MUNINN_DAGSTER_POSTGRES_URL": for_sqlalchemy(url), "DAGSTER_HOME": str(home)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance


@pytest.fixture(scope="session")
def dagster_template(postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with Dagster's tables, to clone from."""
    with dagster_on_postgres(postgres_server.create("dagster_template"), tmp_path_factory.mktemp("template")):
        return "dagster_template"


@pytest.fixture
def dagster_instance(postgres_server: Postgres, dagster_template: str, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An empty Dagster instance on PostgreSQL."""
    name, home = f"dagster_{next(_entries)}", tmp_path / "dagster"
    home.mkdir()
    with dagster_on_postgres(postgres_server.create(name, dagster_template), home) as instance:
        yield instance
    postgres_server.drop(name)


@pytest.fixture
def world(
    postgres_url: str,
    redis_url: str,
    dagster_instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    """An empty store and an empty Dagster instance; it is 2025-02-03 10:00, and the lineage starts with that."""
    monkeypatch.setattr(pipelines.sensors, "FIRST_US", hour("2025-02-03-10:00"))
    environ = {
        "MUNINN_HOME": str(tmp_path),
        "MUNINN_DATABASE_URL": postgres_url,
        "MUNINN_REDIS_URL": redis_url,
        "MUNINN_GATEWAY_PORT": str(free_port()),
        "MUNINN_DAGSTER_CODE_PORT": str(free_port()),
    }
    with Database(postgres_url) as database:
        yield World(database, dagster_instance, environ, ManualClock(hour("2025-02-03-10:00")))


def hour(key: str) -> int:
    """The instant of an hour's key, in microseconds."""
    return key_window(key, HOUR_US).since_us
