"""What the database says about hours and days: the facts that are recorded with partitions and that checks compare.

Belongs here: asking and shaping. Does not: Dagster events (raw, rollups), verdicts (checks).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from muninn.clock import DAY_US, HOUR_US
from muninn.model import Window
from muninn.model.window import as_datetime
from muninn.store.database import Database
from muninn.store.partitions import RAW, list_partitions

STEPS = {HOUR_US: "1 hour", DAY_US: "24 hours"}


@dataclass(frozen=True)
class Progress:
    """Hours before hours_until_us and days before days_until_us are closed.

    raw_since_us: raw samples before it were dropped.
    """

    hours_until_us: int
    days_until_us: int
    raw_since_us: int


@dataclass(frozen=True)
class Counts:
    """One hour or day at every level: `samples` and `rows` by level ("raw", "1min", ..., "1day").

    late_waiting: late samples that no rollup holds yet. late_refreshed: late samples that were folded in.
    """

    since_us: int
    samples: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    late_waiting: int = 0
    late_refreshed: int = 0


@dataclass(frozen=True)
class RawFacts:
    """Raw samples of one window: first and last instant (None: no samples), and their share of the table's bytes."""

    rows: int
    series: int
    first_us: int | None
    last_us: int | None
    bytes: int


@dataclass(frozen=True)
class LateRefresh:
    """Late samples of one hour that were loaded from loaded_us on and folded into every rollup at refreshed_us."""

    refresh_id: int
    hour_us: int
    sample_count: int
    series_count: int
    loaded_us: int
    refreshed_us: int


@dataclass(frozen=True)
class Cause:
    """Why partitions are recorded, in words; `late`: the refreshes of late samples that it was, if it was those."""

    text: str
    late: Sequence[LateRefresh] = ()

    @property
    def samples(self) -> int:
        """Late samples that were folded in."""
        return sum(each.sample_count for each in self.late)

    @property
    def series(self) -> int:
        """Of how many series, in the refresh that had most."""
        return max((each.series_count for each in self.late), default=0)


def caused_by(refreshes: Sequence[LateRefresh]) -> Cause:
    """The cause that some refreshes of late samples (at least one) are."""
    since, hours = as_datetime(min(each.loaded_us for each in refreshes)), {each.hour_us for each in refreshes}
    cause = Cause("", refreshes)
    where = f"in {len(hours)} hours" if len(hours) > 1 else f"of {cause.series:,} series"
    return Cause(f"{cause.samples:,} late samples {where}, loaded from {since:%Y-%m-%d %H:%M:%S} on", refreshes)


def progress(database: Database) -> Progress:
    """How far the store is closed."""
    return Progress(*database.fetch("lineage_progress")[0])


def first_hour_us(database: Database) -> int | None:
    """The first closed hour that has samples."""
    found: int | None = database.fetch("lineage_first_hour")[0].hour_us
    return found


def counts(database: Database, window: Window, step_us: int) -> list[Counts]:
    """Every hour or day (`step_us`) of the window, empty ones too; all levels as of one instant."""
    whole = window.aligned(step_us)
    rows = database.fetch("lineage_counts", since=whole.since, until=whole.until, step=STEPS[step_us])
    found: dict[int, dict[str, tuple[int, int]]] = {}
    for row in rows:
        found.setdefault(row.since_us, {})[row.level] = (row.rows, row.samples)
    return [_counts(since_us, found.get(since_us, {})) for since_us in range(whole.since_us, whole.until_us, step_us)]


def raw_facts(database: Database, window: Window, rows: int) -> RawFacts:
    """The facts of a window within one day that has `rows` raw samples."""
    found = database.fetch("lineage_raw_facts", since=window.since, until=window.until)[0]
    return RawFacts(rows, found.series, found.first_us, found.last_us, _share_bytes(database, window, rows))


def late_refreshes(database: Database, after: int, limit: int) -> list[LateRefresh]:
    """What late samples made the refresher recompute, since refresh `after`, oldest first."""
    return [LateRefresh(*row) for row in database.fetch("lineage_late_refreshes", after=after, limit=limit)]


def _counts(since_us: int, levels: Mapping[str, tuple[int, int]]) -> Counts:
    kept = {level: found for level, found in levels.items() if not level.startswith("late")}
    return Counts(
        since_us,
        samples={level: samples for level, (_, samples) in kept.items()},
        rows={level: rows for level, (rows, _) in kept.items()},
        late_waiting=levels.get("late_waiting", (0, 0))[1],
        late_refreshed=levels.get("late_refreshed", (0, 0))[1],
    )


def _share_bytes(database: Database, window: Window, rows: int) -> int:
    """The partition's bytes by the share of its rows; its row count is the server's estimate."""
    for partition in list_partitions(database):
        if partition.table == RAW and partition.since_us <= window.since_us < partition.until_us:
            return round(partition.bytes * min(1.0, rows / max(partition.rows_estimate, rows, 1)))
    return 0
