"""What a person asks over days in files, days in the database and today is one seamless series."""

from collections.abc import Iterator
from pathlib import Path

import made_distributions
import numpy as np
import pyarrow.parquet as pq
import pytest
import stores
from cold import CPU, TODAY, Cold, Rows

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.errors import Unavailable
from muninn.model import SeriesKey, Window
from muninn.model.window import as_datetime
from muninn.reads import Reads, Trend
from muninn.rollups import refresh

MONTH = 30


def samples() -> Rows:
    """A sample every 20 s of the first quarter of each of thirty days' last hour and first hour: over each midnight."""
    rng = np.random.default_rng(5)
    instants = [
        TODAY - day * DAY_US + side + n * 20 * SECOND_US
        for day in range(MONTH)
        for side in (0, DAY_US - 15 * MINUTE_US)
        for n in range(45)
    ]
    values = rng.normal(50, 20, 90 * MONTH).round(1).tolist()
    return [(CPU, at, value) for at, value in zip(instants, values, strict=True)]


@pytest.fixture
def tier(postgres_url: str, tmp_path: Path) -> Iterator[Cold]:
    store = stores.Postgres(postgres_url)
    store.clock.advance((TODAY + DAY_US - stores.NOW_US) / SECOND_US)
    made = Cold(store, tmp_path / "cold")
    made.load(samples())
    made.refresh()
    yield made
    store.close()


def reads(tier: Cold) -> Reads:
    return Reads(tier.store.database, clock=tier.store.clock, cold_folder=tier.settings.cold_folder)


def same(one: Trend, other: Trend) -> None:
    (mine,), (theirs,) = one.series, other.series
    assert (one.step_us, one.resolution) == (other.step_us, other.resolution)
    for name in ("at_ms", "count", "min", "max", "p95"):
        assert getattr(mine, name).tolist() == getattr(theirs, name).tolist(), name
    assert np.allclose(mine.avg, theirs.avg, rtol=1e-12)


ASKED = [
    (Window(TODAY - 29 * DAY_US, TODAY + DAY_US), None, "1hour"),
    (Window(TODAY - 4 * DAY_US - HOUR_US, TODAY - 4 * DAY_US + HOUR_US), 20 * SECOND_US, "raw"),
    # From files into the database.
    (Window(TODAY - 2 * DAY_US - HOUR_US, TODAY - 2 * DAY_US + HOUR_US), 30 * SECOND_US, "raw"),
    (Window(TODAY - 20 * DAY_US, TODAY - 20 * DAY_US + 10 * MINUTE_US), None, "raw"),
    (Window(TODAY - 20 * DAY_US, TODAY - 20 * DAY_US + 3 * HOUR_US), None, "1min"),
]


def test_thirty_days_have_no_seam_and_are_the_same_before_and_after_days_leave(tier: Cold) -> None:
    asking = reads(tier)
    before = [asking.trend("cpu_busy_pct", window, step_us) for window, step_us, _ in ASKED]
    assert [trend.resolution for trend in before] == [resolution for _, _, resolution in ASKED]
    tier.night()
    assert tier.in_database() == 3 * 90
    for (window, step_us, _), trend in zip(ASKED, before, strict=True):
        same(asking.trend("cpu_busy_pct", window, step_us), trend)

    (series,) = asking.trend("cpu_busy_pct", ASKED[0][0], HOUR_US).series
    expected: dict[int, list[float]] = {}
    for _, at, value in samples():
        expected.setdefault(at // HOUR_US * HOUR_US // 1000, []).append(value)
    assert series.at_ms.tolist() == sorted(expected)
    assert series.count.tolist() == [45] * 2 * MONTH
    assert np.allclose(series.avg, [np.mean(expected[at]) for at in sorted(expected)])


def test_a_window_of_a_day_in_files_without_samples_has_none(tier: Cold) -> None:
    tier.night()
    asking, noon = reads(tier), TODAY - 10 * DAY_US + 12 * HOUR_US
    window = Window(noon, noon + 10 * MINUTE_US)
    for found in (asking.trend("cpu_busy_pct", window), asking.recent("cpu_busy_pct", None, window)):
        assert found.series == ()
    assert asking.rising("cpu_busy_pct", window).series == ()


def test_late_samples_of_a_day_in_files_are_seen_at_once(tier: Cold) -> None:
    tier.night()
    day = TODAY - 20 * DAY_US
    tier.load([(CPU, day, 1e6), (CPU, day + 1, 2e6)])
    asking = reads(tier)
    window = Window(day, day + 10 * MINUTE_US)
    (series,) = asking.trend("cpu_busy_pct", window, 20 * SECOND_US).series
    assert (series.count[0], series.min[0], series.max[0]) == (2, 1e6, 2e6)
    (recent,) = asking.recent("cpu_busy_pct", None, window).series
    assert recent.value[:2].tolist() == [1e6, 2e6]
    assert len(recent.value) == 31
    refresh.refresh_fresh(tier.store.database, tier.now_us, 0, tier.thaw)
    (series,) = asking.trend("cpu_busy_pct", window, 20 * SECOND_US).series
    assert series.count.tolist() == [2] + [1] * 29

    tier.settings.cold_folder.rename(tier.settings.cold_folder.with_name("elsewhere"))
    with pytest.raises(Unavailable, match="MUNINN_COLD_FOLDER"):
        asking.trend("cpu_busy_pct", window)
    assert asking.trend("cpu_busy_pct", window, MINUTE_US).series, "rollups are in the database"


def test_distributions_count_as_their_values_in_files_too(tier: Cold) -> None:
    day, rng = TODAY - 20 * DAY_US, np.random.default_rng(8)
    latency = SeriesKey.of("latency_ms", {"host": "a"})
    mixed: list[tuple[SeriesKey, int, float | list[float]]] = [
        (latency, day + n * 10 * SECOND_US, value)
        for n, value in enumerate([*rng.lognormal(1, 1, (20, 40)).tolist(), 3.5, 4.5, 1.0])
    ]
    tier.store.load([stores.entry(made_distributions.batch_of(mixed), "d-1")])
    tier.refresh()
    asking, window = reads(tier), Window(day, day + 10 * MINUTE_US)
    before = asking.trend("latency_ms", window, 30 * SECOND_US)
    tier.night()
    same(asking.trend("latency_ms", window, 30 * SECOND_US), before)
    tier.load([(latency, day + 5 * SECOND_US, 2.0)])
    tier.refresh()  # puts rows back: they and those of the files are the same samples
    (series,) = asking.trend("latency_ms", window, 30 * SECOND_US).series
    assert series.count.sum() == 20 * 40 + 4


def test_a_question_opens_the_files_of_its_days_and_metrics_alone(tier: Cold, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [(SeriesKey.of(metric, {"host": "a"}), at, value) for metric in ("memory_used_bytes", "requests_total")
              for _, at, value in samples()]  # fmt: skip
    tier.load(others)
    tier.refresh()
    tier.night()
    opened: list[str] = []

    class Counted(pq.ParquetFile):
        def __init__(self, path: Path):
            opened.append(str(path.relative_to(tier.settings.cold_folder)))
            super().__init__(path)

    monkeypatch.setattr(pq, "ParquetFile", Counted)
    asking, day = reads(tier), TODAY - 10 * DAY_US
    assert asking.trend("cpu_busy_pct", Window(day, day + 10 * MINUTE_US), 20 * SECOND_US).series
    (only,) = opened
    assert only.split("/")[1:4] == ["raw", f"day={as_datetime(day):%Y-%m-%d}", "metric_group=cpu"]
    opened.clear()
    asking.recent("memory_used_bytes", None, Window(day - 10 * MINUTE_US, day + 10 * MINUTE_US))
    assert sorted(path.split("/")[2:4] for path in opened) == [
        [f"day={as_datetime(each):%Y-%m-%d}", "metric_group=memory"] for each in (day - DAY_US, day)
    ]
    opened.clear()
    asking.trend("cpu_busy_pct", Window(day, TODAY), HOUR_US)
    asking.recent("cpu_busy_pct", None, Window(TODAY, TODAY + 10 * MINUTE_US))
    assert opened == [], "rollups and today are in the database"
