"""Rollups against an independent oracle: polars on the samples, for loads in any order with refreshes in between."""

import math

import numpy as np
import polars as pl
import pytest
import stores
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stores import NOW_US, SETTLE_S, entry

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.model import RESOLUTIONS, Resolution, SeriesKey, Window
from muninn.model.window import as_us
from muninn.numerics import sketch
from muninn.rollups import refresh

KEYS = [SeriesKey.of("m", {"host": str(number)}) for number in range(4)]
Samples = dict[tuple[int, int], float]
Load = list[tuple[int, int, float]]

ages_us = st.one_of(
    st.integers(0, 3 * MINUTE_US),
    st.integers(0, 3 * HOUR_US),
    st.integers(0, 5 * DAY_US),
    # Few instants, so that some come again.
    st.integers(0, 20).map(lambda n: n * 7 * MINUTE_US),
    st.integers(-30, 0).map(lambda n: n * SECOND_US),
)
values = st.one_of(
    st.just(0.0),
    st.integers(-5, 5).map(float),
    st.builds(lambda mantissa, decade: mantissa * 10.0**decade, st.floats(-10, 10), st.integers(-6, 6)).filter(
        lambda value: value == 0 or abs(value) > 1e-290
    ),
)
loads = st.lists(st.tuples(st.integers(0, len(KEYS) - 1), ages_us, values), min_size=1, max_size=60)
# None: a refresh. A number: seconds pass.
steps = st.lists(st.one_of(loads, st.none(), st.integers(1, 400)), min_size=1, max_size=12)


@pytest.fixture
def store(any_store: stores.Postgres) -> stores.Postgres:
    return any_store


def run(store: stores.Postgres, actions: list[Load | int | None]) -> Samples:
    """Do the actions; what the store should hold."""
    held: Samples = {}
    for number, action in enumerate(actions):
        if action is None:
            store.refresh()
        elif isinstance(action, int):
            store.clock.advance(action)
        else:
            now_us = store.clock.now_us()
            rows = [(series, now_us - age_us, value) for series, age_us, value in action]
            store.load([entry([(KEYS[series], at, value) for series, at, value in rows], f"{number}-0")])
            held.update({(series, at): value for series, at, value in rows})
    return held


def oracle(held: Samples, resolution: Resolution) -> dict[tuple[int, int], dict[str, float]]:
    frame = pl.DataFrame(
        {
            "series": [series for series, _ in held],
            "bucket": [at // resolution.width_us * resolution.width_us for _, at in held],
            "at": [at for _, at in held],
            "value": list(held.values()),
        },
        schema={"series": pl.Int64, "bucket": pl.Int64, "at": pl.Int64, "value": pl.Float64},
    ).sort("at")
    ranked = pl.col("value").sort()
    before = pl.col("value").shift(1)
    growth = pl.when(pl.col("value") < before).then(pl.col("value")).otherwise(pl.col("value") - before)
    rank = [((q * pl.len()).ceil().clip(1) - 1).cast(pl.Int64) for q in (0.5, 0.95, 0.99)]
    made = frame.group_by("series", "bucket").agg(
        count=pl.len(),
        sum=pl.col("value").sum(),
        size=pl.col("value").abs().sum(),
        min=pl.col("value").min(),
        max=pl.col("value").max(),
        p50=ranked.get(rank[0]),
        p95=ranked.get(rank[1]),
        p99=ranked.get(rank[2]),
        first_at=pl.col("at").first(),
        last_at=pl.col("at").last(),
        first=pl.col("value").first(),
        last=pl.col("value").last(),
        increase=growth.sum(),
    )
    return {(row.pop("series"), row.pop("bucket")): row for row in made.to_dicts()}


def check_views(store: stores.Postgres, held: Samples) -> None:
    for resolution in RESOLUTIONS:
        expected = oracle(held, resolution)
        found = {}
        rows = store.connection.execute(
            f"""select tags->>'host', bucket, sample_count, sum_value, avg_value, min_value, max_value,
                       p50_value, p95_value, p99_value, first_at, last_at, first_value, last_value, increase
                from {resolution.view}"""
        )
        for host, bucket, *figures in rows:
            key = (int(host), as_us(bucket))
            assert key not in found, "one row per bucket and series"
            found[key] = figures
        assert found.keys() == expected.keys()
        for key, (count, total, mean, least, most, *rest) in found.items():
            exact = expected[key]
            quantiles, (first_at, last_at, first, last, increase) = rest[:3], rest[3:]
            assert (as_us(first_at), as_us(last_at)) == (exact["first_at"], exact["last_at"])
            assert (first, last) == (exact["first"], exact["last"])
            assert math.isclose(increase, exact["increase"], rel_tol=1e-9, abs_tol=1e-9 * exact["size"])
            # A sum of both signs is as exact as what it is a sum of.
            tolerance = 1e-9 * max(abs(exact["sum"]), 1e-3 * exact["size"])
            assert count == exact["count"]
            assert math.isclose(total, exact["sum"], rel_tol=0, abs_tol=tolerance)
            assert math.isclose(mean * count, exact["sum"], rel_tol=0, abs_tol=tolerance)
            assert (least, most) == (exact["min"], exact["max"])
            for estimate, name in zip(quantiles, ("p50", "p95", "p99"), strict=True):
                assert math.isclose(estimate, exact[name], rel_tol=0.01), (resolution.name, key, name)


def check_tables(store: stores.Postgres, held: Samples) -> None:
    """Every bucket that is refreshed holds the sketch of its samples, entry by entry: rollups of rollups are exact."""
    hosts = dict(store.connection.execute("select series_id, (tags->>'host')::int from series").fetchall())
    for resolution, state in zip(RESOLUTIONS, refresh.state(store.database), strict=True):
        groups: dict[tuple[int, int], list[float]] = {}
        for (series, at), value in held.items():
            bucket = at // resolution.width_us * resolution.width_us
            if bucket < state.watermark_us:
                groups.setdefault((series, bucket), []).append(value)
        rows = store.connection.execute(f"select series_id, bucket, sketch from rollup_{resolution.name}").fetchall()
        found = {(hosts[series_id], as_us(bucket)): entries for series_id, bucket, entries in rows}
        assert len(found) == len(rows)
        assert found == {key: sketch.sketch_of(np.array(values)).tolist() for key, values in groups.items()}


def test_every_resolution_equals_the_oracle_whatever_the_order(store: stores.Postgres) -> None:
    @settings(max_examples=40, deadline=None)
    @given(steps)
    # A constant series, a single sample, and a series of zeros, with a late one among each.
    @example([[(0, n * 13 * SECOND_US, 7.3) for n in range(300)], [(1, HOUR_US, -1e-6)], None, [(0, DAY_US, 7.3)]])
    @example([[(2, n * 60 * SECOND_US, 0.0) for n in range(90)], None, 60, [(2, 7 * SECOND_US + HOUR_US, 0.0)]])
    def property(actions: list[Load | int | None]) -> None:
        store.empty()
        held = run(store, actions)
        store.refresh()
        check_views(store, held)
        check_tables(store, held)
        store.clock.advance(2 * DAY_US / SECOND_US)
        store.refresh()
        check_views(store, held)
        check_tables(store, held)
        assert store.connection.execute("select count(*) from late_rows").fetchone() == (0,)

    property()


def test_out_of_order_and_twice_equal_in_order_and_once(store: stores.Postgres) -> None:
    random = np.random.default_rng(7)
    held = {
        (int(series), int(NOW_US - age)): float(value)
        for series, age, value in zip(
            random.integers(0, 4, 3000), random.integers(0, 2 * DAY_US, 3000), random.normal(50, 20, 3000), strict=True
        )
    }
    rows = list(held.items())
    for number in range(6):
        random.shuffle(rows)
        some = rows[:1500]
        store.load([entry([(KEYS[series], at, value) for (series, at), value in some], f"{number}-0")])
        store.refresh()
    store.load([entry([(KEYS[series], at, value) for (series, at), value in rows], "9-0")])
    store.refresh()
    check_views(store, held)
    check_tables(store, held)


def test_a_window_refreshed_again_is_the_same(store: stores.Postgres) -> None:
    held = run(store, [[(n % 4, n * 97 * SECOND_US, float(n % 23)) for n in range(2000)], None, 120, None])
    before = [
        store.connection.execute(f"select * from rollup_{each.name} order by 1, 2").fetchall() for each in RESOLUTIONS
    ]
    done = refresh.refresh_window(store.database, Window(NOW_US - 30 * HOUR_US, NOW_US - 3 * HOUR_US))
    assert done.rows_by_resolution["1min"] > 0
    after = [
        store.connection.execute(f"select * from rollup_{each.name} order by 1, 2").fetchall() for each in RESOLUTIONS
    ]
    assert after == before
    check_tables(store, held)


def test_a_window_refresh_repairs_what_was_damaged_and_takes_late_rows(store: stores.Postgres) -> None:
    held = run(store, [[(n % 4, n * 97 * SECOND_US, float(n % 23)) for n in range(2000)], None])
    late = NOW_US - 5 * HOUR_US
    store.load([entry([(KEYS[0], late, 1e6)], "late-0")])
    held[0, late] = 1e6
    store.damage(Window(late, late + HOUR_US))
    refresh.refresh_window(store.database, Window(late - HOUR_US, late + 2 * HOUR_US))
    assert store.connection.execute("select count(*) from late_rows").fetchone() == (0,)
    check_views(store, held)
    check_tables(store, held)


def test_one_level_is_rebuilt_alone_from_the_next_finer(store: stores.Postgres) -> None:
    held = run(store, [[(n % 4, n * 97 * SECOND_US, float(n % 23)) for n in range(2000)], None])
    store.connection.execute("update rollup_1day set max_value = -1; update rollup_1hour set max_value = 77")
    done = refresh.refresh_window(store.database, Window(NOW_US - 3 * DAY_US, NOW_US), only=RESOLUTIONS[3])
    assert set(done.rows_by_resolution) == {"1day"}
    assert store.connection.execute("select distinct max_value from rollup_1day").fetchall() == [(77.0,)]
    refresh.refresh_window(store.database, Window(NOW_US - 3 * DAY_US, NOW_US))
    check_views(store, held)


def test_merged_over_any_series_and_buckets_quantiles_are_within_one_percent(store: stores.Postgres) -> None:
    random = np.random.default_rng(11)
    held = {
        (int(series), int(NOW_US - age)): float(value)
        for series, age, value in zip(
            random.integers(0, 4, 20_000),
            random.integers(0, 3 * DAY_US, 20_000),
            random.choice([-1, 1, 1], 20_000) * 10 ** random.uniform(-6, 6, 20_000),
            strict=True,
        )
    }
    store.load([entry([(KEYS[series], at, value) for (series, at), value in held.items()], "1-0")])
    store.refresh()
    for resolution in RESOLUTIONS:
        for some, since, until in (
            ({0}, 2 * DAY_US, DAY_US),
            ({0, 2, 3}, 3 * DAY_US, 0),
            ({1, 2}, 30 * HOUR_US, HOUR_US),
        ):
            window = Window(NOW_US - since, NOW_US - until).aligned(resolution.width_us)
            exact = np.sort([v for (s, at), v in held.items() if s in some and window.since_us <= at < window.until_us])
            found = store.connection.execute(
                f"""select sketch_quantile(sketch_merge(sketch), q, min(min_value), max(max_value))
                    from live_{resolution.name} join series using (series_id), unnest(array[0.05, 0.5, 0.95, 0.99]) as q
                    where (tags->>'host')::int = any(%s) and bucket >= %s and bucket < %s group by q order by q""",
                (list(some), window.since, window.until),
            ).fetchall()
            for q, (estimate,) in zip((0.05, 0.5, 0.95, 0.99), found, strict=True):
                assert math.isclose(estimate, exact[math.ceil(q * len(exact)) - 1], rel_tol=0.01)


def test_late_samples_are_written_down_by_hour(store: stores.Postgres) -> None:
    store.load([entry([(KEYS[0], NOW_US - 3 * HOUR_US, 1.0)], "1-0")])
    store.refresh()
    rows = [
        (KEYS[0], NOW_US - 3 * HOUR_US + 1, 2.0),
        (KEYS[1], NOW_US - 3 * HOUR_US + 2, 2.0),
        (KEYS[1], NOW_US - DAY_US, 3.0),
    ]
    store.load([entry(rows, "2-0")])
    done = refresh.refresh_fresh(store.database, store.clock.now_us(), SETTLE_S)
    assert done.late_buckets == 3
    assert [window.since_us for window in done.late_windows] == [NOW_US - DAY_US, NOW_US - 3 * HOUR_US]
    found = store.connection.execute(
        "select hour, sample_count, series_count from late_refreshes order by hour"
    ).fetchall()
    assert [(as_us(hour), samples, series) for hour, samples, series in found] == [
        (NOW_US - DAY_US, 1, 1),
        (NOW_US - 3 * HOUR_US, 2, 2),
    ]
