"""Samples that are distributions: rollups of them are rollups of the values that they stand for."""

import math
from collections.abc import Iterator

import polars as pl
import pytest
import stores
from hypothesis import given, settings
from hypothesis import strategies as st
from made_distributions import Sample, batch_of
from stores import NOW_US, Store, entry

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.model import RESOLUTIONS, Resolution, SampleBatch, SeriesKey

KEYS = [SeriesKey.of("latency_ms", {"host": str(number)}) for number in range(3)]
Held = dict[tuple[int, int], Sample]


@pytest.fixture(params=("memory", *stores.ENGINES))
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield stores.Memory()
    else:
        yield from stores.opened(request)


sizes = st.one_of(st.just(0.0), st.floats(-1e6, 1e6).filter(lambda v: abs(v) > 1e-200), st.integers(-3, 3).map(float))
samples = st.one_of(sizes, st.lists(sizes, min_size=1, max_size=8))
instants = st.one_of(st.integers(0, 20).map(lambda n: n * 7 * MINUTE_US), st.integers(0, 3 * DAY_US))
loads = st.lists(st.tuples(st.integers(0, 2), instants, samples), min_size=1, max_size=20)


def batch(held: Held) -> SampleBatch:
    return batch_of([(KEYS[series], at, sample) for (series, at), sample in held.items()])


def oracle(held: Held, resolution: Resolution) -> dict[tuple[str, int], dict[str, float]]:
    """Over every value, whoever counted it."""
    whole = [
        (str(series), at // resolution.width_us * resolution.width_us, value)
        for (series, at), sample in held.items()
        for value in (sample if isinstance(sample, list) else [sample])
    ]
    frame = pl.DataFrame(whole, schema={"host": pl.String, "bucket": pl.Int64, "value": pl.Float64}, orient="row")
    ranked = pl.col("value").sort()
    made = frame.group_by("host", "bucket").agg(
        count=pl.len(),
        sum=pl.col("value").sum(),
        size=pl.col("value").abs().sum(),
        min=pl.col("value").min(),
        max=pl.col("value").max(),
        **{f"p{q:g}": ranked.get(((q * pl.len()).ceil().clip(1) - 1).cast(pl.Int64)) for q in (0.5, 0.95, 0.99)},
    )
    return {(row.pop("host"), row.pop("bucket")): row for row in made.to_dicts()}


def check(store: Store, held: Held) -> None:
    for resolution in RESOLUTIONS:
        expected = oracle(held, resolution)
        found = {(dict(each.key.labels)["host"], each.bucket_us): each for each in store.buckets(resolution)}
        assert found.keys() == expected.keys()
        for key, bucket in found.items():
            exact = expected[key]
            assert bucket.sample_count == exact["count"]
            assert math.isclose(bucket.sum_value, exact["sum"], rel_tol=0, abs_tol=1e-9 * exact["size"])
            assert (bucket.min_value, bucket.max_value) == (exact["min"], exact["max"])
            for q in (0.5, 0.95, 0.99):
                assert math.isclose(bucket.quantile(q), exact[f"p{q:g}"], rel_tol=0.01)
            single = [
                value
                for (series, at), value in sorted(held.items(), key=lambda each: each[0][1])
                if (str(series), at // resolution.width_us * resolution.width_us) == key and isinstance(value, float)
            ]
            assert (bucket.first_value, bucket.last_value) == ((single[0], single[-1]) if single else (None, None))


def test_every_resolution_is_that_of_the_values(store: Store) -> None:
    rows: Held = {
        (series, NOW_US - age): sample
        for series in range(3)
        for age, sample in {
            0: [1.0, 2.0, 3.0],
            SECOND_US: 9.0,  # a single value beside distributions
            5 * MINUTE_US: [0.0, -7.0],
            HOUR_US: [1e-5, 1e7, 1e-5],
            HOUR_US + SECOND_US: [5.0] * 400,
            30 * HOUR_US: 4.0,
        }.items()
    }
    store.load([entry(batch(rows), "1-0")])
    check(store, rows)
    store.refresh()
    check(store, rows)


def test_late_and_replaced(store: Store) -> None:
    at = NOW_US - 3 * HOUR_US
    held: Held = {(0, at): [1.0, 2.0], (0, at + SECOND_US): 5.0, (1, at): 6.0}
    store.load([entry(batch(held), "1-0")])
    store.refresh()
    changed: Held = {(0, at): 1.5, (0, at + SECOND_US): [5.0, 5.0, 5.0], (1, at): [6.0], (2, at): [8.0, 9.0]}
    loaded = store.load([entry(batch(changed), "2-0")])
    assert (loaded.rows, loaded.duplicates, loaded.late) == (1, 3, 4)
    store.refresh()
    check(store, held | changed)
    assert store.raw().value.tolist() == [1.5, 5.0, 6.0, 8.5]


def test_in_any_order_and_twice(any_store: stores.Postgres) -> None:
    store = any_store

    @settings(max_examples=12, deadline=None)
    @given(st.lists(st.one_of(loads, st.none()), min_size=1, max_size=5))
    def property(actions: list[list[tuple[int, int, Sample]] | None]) -> None:
        store.empty()
        held: Held = {}
        for number, action in enumerate(actions):
            if action is None:
                store.refresh()
                continue
            rows: Held = {(series, NOW_US - age): sample for series, age, sample in action}
            store.load([entry(batch(rows), f"{number}-0")])
            store.load([entry(batch(rows), f"{number}-1")])
            held |= rows
        store.refresh()
        check(store, held)

    property()


def test_one_that_can_not_be_kept_is_refused_with_its_reason(store: Store) -> None:
    made = batch({(0, NOW_US): [1.0, 2.0], (1, NOW_US): [3.0]})
    some = made.distributions
    assert some is not None
    some.count[0] = 7
    loaded = store.load([entry(made, "1-0")])
    assert [(each.samples, each.reason) for each in loaded.refused] == [
        (1, "distribution: the sketch must hold as many values as count says")
    ]
    assert store.raw().value.tolist() == [3.0]


def test_the_view_of_samples_shows_the_mean_and_how_many(any_store: stores.Postgres) -> None:
    any_store.load([entry(batch({(0, NOW_US): [1.0, 2.0, 6.0], (1, NOW_US): 4.0}), "1-0")])
    found = any_store.connection.execute(
        "select metric_value, sample_count from performance_metrics order by metric_value"
    ).fetchall()
    assert found == [(3.0, 3), (4.0, 1)]


def test_plain_samples_take_no_more_room(postgres_url: str) -> None:
    store = stores.Postgres(postgres_url)
    store.load([entry([(KEYS[0], NOW_US + place, float(place)) for place in range(1000)], "1-0")])
    size = store.connection.execute("select max(pg_column_size(raw.*)) from raw_samples raw").fetchone()
    store.close()
    # The header of 24 bytes, and three columns with their alignment.
    assert size == (24 + 24,)
