"""What is packed equals the rollup rows that it was made of, whatever came late, on every engine."""

from typing import Any

import numpy as np
import pytest
import stores
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import NOW_US, entry

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, ManualClock
from muninn.meter import Meter
from muninn.model import RESOLUTIONS, SampleBatch, SeriesKey, Window
from muninn.model.window import as_datetime, as_us
from muninn.reads import changes, points
from muninn.reads.asking import Asker
from muninn.reads.quantiles import SketchSet
from muninn.rollups import refresh
from muninn.store import partitions

KEYS = [SeriesKey.of("m", {"host": str(number)}) for number in range(3)]
EPOCH_US = 946_684_800_000_000  # of PostgreSQL
SPANS_US = {"1min": 15 * MINUTE_US, "5min": 3 * HOUR_US, "1hour": DAY_US}
STEPS_US = {"1min": 15 * MINUTE_US, "5min": 30 * MINUTE_US, "1hour": HOUR_US}

ages_us = st.one_of(
    st.integers(0, 3 * HOUR_US), st.integers(0, 4 * DAY_US), st.integers(0, 5).map(lambda n: n * HOUR_US)
)
samples = st.tuples(st.integers(0, len(KEYS) - 1), ages_us, st.floats(-1e6, 1e6).map(lambda value: round(value, 1)))
loads = st.lists(samples, min_size=1, max_size=40)
# None: a refresh. A number: hours pass.
actions = st.lists(st.one_of(loads, st.none(), st.integers(1, 30)), min_size=2, max_size=10)

Rows = dict[tuple[int, int], tuple[float, ...]]


@pytest.fixture
def store(any_store: stores.Postgres) -> stores.Postgres:
    return any_store


def ask(store: stores.Postgres) -> Asker:
    return Asker(store.database, Meter(), ManualClock(NOW_US))


def packed_rows(store: stores.Postgres, resolution: str) -> Rows:
    """(series, bucket) -> count, sum, min, max, p95 of everything that is packed."""
    found: Rows = {}
    for series_id, since, held in store.connection.execute(f"select series_id, since, points from packed_{resolution}"):
        for bucket, *figures in decoded(held):
            assert as_us(since) <= bucket < as_us(since) + SPANS_US[resolution]
            assert (series_id, bucket) not in found
            found[series_id, bucket] = tuple(figures)
    return found


def packed_growth(store: stores.Postgres, resolution: str) -> Rows:
    """(series, bucket) -> first_at, last_at, first_value, last_value, increase of everything that is packed."""
    found: Rows = {}
    for series_id, held in store.connection.execute(f"select series_id, points from packed_growth_{resolution}"):
        words = np.frombuffer(held, ">i8").reshape(-1, 6)
        for (bucket, *ends), (*_, first, last, increase) in zip(
            words.tolist(), words.view(">f8").tolist(), strict=True
        ):
            assert (series_id, bucket) not in found
            found[series_id, bucket + EPOCH_US] = (ends[0] + EPOCH_US, ends[1] + EPOCH_US, first, last, increase)
    return found


def rollup_growth(store: stores.Postgres, resolution: str) -> Rows:
    """The same of the rollup's rows that should be packed."""
    rows = store.connection.execute(
        f"""select series_id, bucket, first_at, last_at, first_value, last_value, increase from rollup_{resolution}
            where bucket < (select packed_until from packed_state where resolution = %s) and first_value is not null""",
        (resolution,),
    ).fetchall()
    return {(each[0], as_us(each[1])): (as_us(each[2]), as_us(each[3]), *each[4:]) for each in rows}


def packed_sketches(store: stores.Postgres, resolution: str) -> dict[tuple[int, int], list[int]]:
    """(series, bucket) -> the sketch of everything that is packed."""
    found = {}
    for series_id, points_held, lengths, words in store.connection.execute(
        f"select series_id, points, lengths, words from packed_{resolution}"
        f" full join packed_sketches_{resolution} using (series_id, since)"
    ):
        read = SketchSet.of_words(lengths, words)
        for place, (bucket, *_) in enumerate(decoded(points_held)):
            found[series_id, bucket] = read.entries(place).tolist()
        assert len(read) == len(decoded(points_held))
    return found


def decoded(held: bytes) -> list[tuple[float, ...]]:
    words = np.frombuffer(held, ">i8").reshape(-1, 6)
    figures = words.view(">f8")
    return [
        (int(word[0]) + EPOCH_US, int(word[1]), *map(float, row[2:])) for word, row in zip(words, figures, strict=True)
    ]


def rollup_rows(store: stores.Postgres, resolution: str) -> Rows:
    """The same of the rollup's rows that should be packed."""
    rows = store.connection.execute(
        f"""select series_id, bucket, sample_count, sum_value, min_value, max_value,
                   sketch_quantile(sketch, 0.95, min_value, max_value)
            from rollup_{resolution} where bucket < (select packed_until from packed_state where resolution = %s)""",
        (resolution,),
    ).fetchall()
    return {(series_id, as_us(bucket)): tuple(figures) for series_id, bucket, *figures in rows}


def rollup_sketches(store: stores.Postgres, resolution: str) -> dict[tuple[int, int], list[int]]:
    """The same of the rollup's rows that should be packed."""
    rows = store.connection.execute(
        f"""select series_id, bucket, sketch from rollup_{resolution}
            where bucket < (select packed_until from packed_state where resolution = %s)""",
        (resolution,),
    ).fetchall()
    return {(series_id, as_us(bucket)): sketch for series_id, bucket, sketch in rows}


def fleet(store: stores.Postgres) -> Rows:
    """(series, minute) -> count, sum, min of everything that is kept of the whole fleet."""
    found: Rows = {}
    for minute, part, held in store.connection.execute("select bucket, part, points from fleet_minutes"):
        sent = np.frombuffer(held, [("series", ">i4"), ("count", ">i8"), ("total", ">f8"), ("low", ">f8")])
        for series_id, *figures in sent.tolist():
            assert series_id // 1024 == part
            assert (series_id, as_us(minute)) not in found
            found[series_id, as_us(minute)] = tuple(figures)
    return found


def check_fleet(store: stores.Postgres) -> None:
    """What is kept of the fleet's newest minutes equals their rows."""
    kept = store.connection.execute("select kept_from, kept_until from fleet_state").fetchone()
    until_us = refresh.state(store.database)[0].watermark_us
    assert tuple(map(as_us, kept)) == (until_us - 2 * HOUR_US, until_us)
    rows = store.connection.execute(
        "select series_id, bucket, sample_count, sum_value, min_value from rollup_1min"
        " where bucket >= %s and bucket < %s",
        kept,
    ).fetchall()
    assert fleet(store) == {(series_id, as_us(bucket)): tuple(figures) for series_id, bucket, *figures in rows}


def check(store: stores.Postgres) -> None:
    """What is packed is what the rows say, and reads give the same with it as without."""
    states = dict(store.connection.execute("select resolution, packed_until from packed_state").fetchall())
    for name, watermark in store.connection.execute("select resolution, watermark from rollup_state").fetchall():
        if name in SPANS_US:
            assert as_us(states[name]) == as_us(watermark) // STEPS_US[name] * STEPS_US[name]
            assert packed_rows(store, name) == rollup_rows(store, name)
            assert packed_sketches(store, name) == rollup_sketches(store, name)
            if name != "1min":
                assert packed_growth(store, name) == rollup_growth(store, name)
    series = [row[0] for row in store.connection.execute("select series_id from series").fetchall()]
    now_us = store.clock.now_us()
    for resolution in RESOLUTIONS:
        for span_us in (3 * HOUR_US, 30 * HOUR_US, 5 * DAY_US):
            window = Window(now_us - span_us, now_us + MINUTE_US).aligned(resolution.width_us)
            step = [
                points.merge(found, found.series, found.at_us // resolution.width_us * resolution.width_us)
                for sketches in ("open", "all")
                for found in [points.read(ask(store), [points.Piece(resolution.name, window)], series, sketches)]
            ]
            for column in ("group", "step", "count", "low", "high"):
                np.testing.assert_array_equal(getattr(step[0], column), getattr(step[1], column))
            np.testing.assert_allclose(step[0].total, step[1].total, rtol=1e-9, atol=1e-6)
            np.testing.assert_allclose(step[0].p95, step[1].p95, rtol=1e-12)


def test_what_is_packed_equals_the_rows_whatever_the_order(store: stores.Postgres) -> None:
    @settings(max_examples=8, deadline=None)
    @given(actions)
    def property(chosen: list[list[tuple[int, int, float]] | int | None]) -> None:
        store.empty()
        for number, action in enumerate(chosen):
            now_us = store.clock.now_us()
            if action is None:
                store.refresh()
            elif isinstance(action, int):
                store.clock.advance(action * 3600)
            else:
                rows = [(KEYS[series], now_us - age_us, value) for series, age_us, value in action]
                store.load([entry(rows, f"{number}-0")])
        store.refresh()
        check(store)
        check_fleet(store)

    property()


def test_a_late_sample_changes_what_is_packed(store: stores.Postgres) -> None:
    store.load([entry([(KEYS[0], NOW_US - n * 7 * MINUTE_US, float(n)) for n in range(600)], "1-0")])
    store.refresh()
    before = packed_rows(store, "1hour")
    late_us = NOW_US - 40 * HOUR_US
    store.load([entry([(KEYS[0], late_us + 1, 1e6), (KEYS[1], late_us, -3.0)], "2-0")])
    store.refresh()
    check(store)
    after = packed_rows(store, "1hour")
    changed = {key for key in after if before.get(key) != after[key]}
    assert {bucket for _, bucket in changed} == {late_us // HOUR_US * HOUR_US}
    assert len(changed) == 2


def test_history_older_than_all_that_is_packed_is_packed_too(store: stores.Postgres) -> None:
    store.load([entry([(KEYS[0], NOW_US - n * MINUTE_US, float(n)) for n in range(60)], "1-0")])
    store.refresh()
    store.load([entry([(KEYS[0], NOW_US - 20 * DAY_US + n * SECOND_US, float(n)) for n in range(200)], "2-0")])
    store.refresh()
    assert min(bucket for _, bucket in packed_rows(store, "1min")) == NOW_US - 20 * DAY_US
    check(store)


def test_retention_takes_what_is_packed_with_the_rows(store: stores.Postgres) -> None:
    store.load([entry([(KEYS[0], NOW_US - n * HOUR_US, float(n)) for n in range(24 * 12)], "1-0")])
    store.refresh()
    days = {"raw_days": 2, "rollup_1min_days": 3, "rollup_5min_days": 3650, "rollup_1hour_days": 3650}
    partitions.drop_expired(store.database, store.clock.now_us(), **days)
    oldest = min(bucket for _, bucket in packed_rows(store, "1min"))
    assert oldest > NOW_US - 5 * DAY_US
    assert min(bucket for _, bucket in packed_sketches(store, "1min")) == oldest
    assert min(bucket for _, bucket in packed_rows(store, "5min")) == NOW_US - (24 * 12 - 1) * HOUR_US
    assert packed_growth(store, "5min") == rollup_growth(store, "5min")
    check(store)


def test_rows_and_packed_rows_of_few_series_come_by_index(store: stores.Postgres) -> None:
    """The statements of read_points(), on data large enough that reading all of it would cost more."""
    keys = tuple(SeriesKey.of("m", {"host": str(number)}) for number in range(60))
    at_us = np.repeat(np.arange(NOW_US - 8 * HOUR_US, NOW_US, MINUTE_US), len(keys))
    index = np.tile(np.arange(len(keys), dtype=np.int32), len(at_us) // len(keys))
    store.load([entry(SampleBatch(at_us, index.astype(np.float64) + 1, index, keys), "1-0")])
    store.refresh()
    store.connection.execute("analyze")
    window = (Window(NOW_US - 3 * HOUR_US, NOW_US - HOUR_US).since, Window(NOW_US - HOUR_US, NOW_US).since)
    for table, column in (("rollup_1min", "bucket"), ("packed_1min", "since")):
        row = store.connection.execute(
            f"""explain (format json) select * from {table}
                where series_id = any(array[3, 7]) and {column} >= %s and {column} < %s""",
            window,
        ).fetchone()
        assert row is not None
        found = scans(row[0][0]["Plan"])
        assert found
        assert all("Index" in kind or "Bitmap" in kind for kind in found), (table, found)


def scans(plan: dict[str, Any]) -> list[str]:
    """The kinds of node that read a table."""
    mine = [plan["Node Type"]] if "Relation Name" in plan and plan["Node Type"] != "Custom Scan" else []
    return mine + [kind for below in plan.get("Plans", ()) for kind in scans(below)]


def test_late_samples_of_one_part_renew_it_and_leave_the_others(store: stores.Postgres) -> None:
    keys = [SeriesKey.of("wide", {"host": str(number)}) for number in range(3)]
    store.load([entry([(key, NOW_US - 30 * MINUTE_US, 1.0) for key in keys], "early")])
    store.refresh()
    before = fleet(store)
    store.load([entry([(keys[1], NOW_US - 30 * MINUTE_US + 1, 5.0)], "late")])
    store.refresh()
    check_fleet(store)
    after = fleet(store)
    changed = {place for place in after if after[place] != before.get(place)}
    assert len(before) == len(after) == 3
    assert [after[place] for place in changed] == [(2, 6.0, 1.0)]


def test_the_overviews_minutes_are_the_same_from_every_source(store: stores.Postgres) -> None:
    """From what is kept of the fleet, rollup rows where nothing is kept, and samples that no refresh has seen."""
    store.load(
        [
            entry([(key, NOW_US - minute * 20 * SECOND_US, 1.5 * minute) for key in KEYS], f"{minute}")
            for minute in range(60)
        ]
    )
    minutes = []
    for do in ("", "refresh", "delete from fleet_state"):
        if do == "refresh":
            refresh.refresh_fresh(store.database, NOW_US - 5 * MINUTE_US, 0.0)
        elif do:
            store.connection.execute(do)
        rows = ask(store).fetch(
            "reads_overview",
            now=as_datetime(NOW_US),
            since=as_datetime(NOW_US - HOUR_US // 4),
            alive_since=as_datetime(0),
            max_hosts=1,
        )[1:]
        found = changes.Minutes.received(rows)
        order = np.lexsort((found.series, found.at_us))
        minutes.append((found.series[order].tolist(), found.at_us[order].tolist(), found.amounts[:, order].tolist()))
    assert minutes[0] == minutes[1] == minutes[2]
    assert len(minutes[0][0]) >= 15 * len(KEYS)
