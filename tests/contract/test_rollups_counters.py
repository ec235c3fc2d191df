"""Growth of counters from rollups: exact on the samples at every resolution, each kind of reset by itself."""

import polars as pl
import pytest
import stores
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import NOW_US, entry

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.model import RESOLUTIONS, SeriesKey, Window

# A midnight, so that a bucket of every width begins here.
START_US = NOW_US // DAY_US * DAY_US - 2 * DAY_US
Samples = dict[int, float]


@pytest.fixture
def store(any_store: stores.Postgres) -> stores.Postgres:
    return any_store


def every(step_us: int, values: list[float]) -> Samples:
    return {START_US + place * step_us: value for place, value in enumerate(values)}


CASES: dict[str, tuple[Samples, float]] = {
    "no reset": (every(10 * SECOND_US, [0, 1, 3, 6, 10, 15, 21, 28]), 28),
    "single sample": ({START_US: 1e9}, 0),
    "constant": (every(10 * SECOND_US, [7] * 20), 0),
    "reset inside a minute, to zero": (every(10 * SECOND_US, [100, 110, 0, 5]), 15),
    "reset inside a minute, to non-zero": (every(10 * SECOND_US, [100, 110, 4, 5]), 15),
    "reset on the boundary of a minute, to zero": (every(10 * SECOND_US, [10, 11, 12, 13, 14, 15, 0, 1]), 6),
    "reset on the boundary of a minute, to non-zero": (every(10 * SECOND_US, [10, 11, 12, 13, 14, 15, 3, 4]), 9),
    "reset on the boundary of an hour": (every(30 * MINUTE_US, [1, 2, 1, 3, 8]), 9),
    "reset on the boundary of a day": (every(12 * HOUR_US, [50, 60, 7, 9]), 19),
    "several in one minute": (every(5 * SECOND_US, [9, 1, 0, 3, 2, 2, 8]), 1 + 0 + 3 + 2 + 0 + 6),
    "one in every bucket": (every(MINUTE_US, [5, 4, 3, 2, 1, 0]), 10),
    "back to the same value": (every(MINUTE_US, [5, 0, 5]), 5),
    "growth over a gap of buckets": (
        {START_US: 10, START_US + 3 * MINUTE_US: 20, START_US + 5 * HOUR_US: 70, START_US + DAY_US + HOUR_US: 71},
        61,
    ),
    "reset over a gap of buckets": ({START_US: 10, START_US + 5 * HOUR_US: 7, START_US + DAY_US + HOUR_US: 3}, 10),
    "whole numbers up to 2^53": (every(20 * SECOND_US, [2.0**53 - 9, 2.0**53 - 2, 2.0**53]), 9),
}


WHOLE = Window(START_US, START_US + 2 * DAY_US)
AROUND = Window(START_US - DAY_US, START_US + DAY_US)


def load(store: stores.Postgres, samples: Samples, entry_id: str = "1-0", host: str = "a") -> None:
    key = SeriesKey.of("requests_total", {"host": host})
    store.load([entry([(key, at, value) for at, value in samples.items()], entry_id)])


def increases(store: stores.Postgres, window: Window) -> list[dict[str, float]]:
    """Over all buckets of a window, by resolution; the growth of each host."""
    return [
        dict(
            store.connection.execute(
                f"""select tags->>'host', sum(increase) + counter_between(array_agg(first_value order by bucket),
                                                                         array_agg(last_value order by bucket))
                    from live_{resolution.name} join series using (series_id)
                    where bucket >= %s and bucket < %s group by 1""",
                (window.since, window.until),
            ).fetchall()
        )
        for resolution in RESOLUTIONS
    ]


def test_each_kind_of_reset(store: stores.Postgres) -> None:
    for place, (case, (samples, _)) in enumerate(CASES.items()):
        load(store, samples, f"{place}-0", case)
    expected = {case: grown for case, (_, grown) in CASES.items()}
    assert increases(store, WHOLE) == [expected] * 4, "live"
    store.refresh()
    assert increases(store, WHOLE) == [expected] * 4, "refreshed"


@pytest.mark.parametrize(
    "late",
    [
        pytest.param((-10 * SECOND_US, 3.0), id="before the first, a day earlier"),
        pytest.param((-10 * SECOND_US, 90.0), id="before the first and above it: a reset appears"),
        pytest.param((25 * SECOND_US, 35.0), id="after the last of a minute, above the next minute"),
        pytest.param((65 * SECOND_US, 2.0), id="the last of all: a reset to non-zero"),
        pytest.param((20 * SECOND_US, 40.0), id="in the place of one that is there"),
    ],
)
def test_a_late_sample_that_changes_first_or_last(store: stores.Postgres, late: tuple[int, float]) -> None:
    held = {START_US: 10.0, START_US + 20 * SECOND_US: 20.0, START_US + 60 * SECOND_US: 30.0}
    load(store, held)
    store.refresh()
    before = increases(store, AROUND)
    assert before == [{"a": growth(held)}] * 4
    changed = {START_US + late[0]: late[1]}
    load(store, changed, "2-0")
    store.refresh()
    assert increases(store, AROUND) == [{"a": growth(held | changed)}] * 4 != before


def growth(samples: Samples) -> float:
    """The oracle: polars over the samples in order."""
    before, value = pl.col("value").shift(1), pl.col("value")
    frame = pl.DataFrame({"at": list(samples), "value": list(samples.values())}).sort("at")
    grown = frame.select(pl.when(value < before).then(value).otherwise(value - before).sum()).item()
    return float(grown)


instants = st.one_of(
    st.integers(0, 300).map(lambda n: n * SECOND_US),
    st.integers(0, 90).map(lambda n: n * MINUTE_US),
    st.integers(0, 47).map(lambda n: n * HOUR_US),
    st.integers(0, 2 * DAY_US - 1),
)
counts = st.one_of(st.integers(0, 4), st.integers(0, 2**40)).map(float)


def test_any_union_of_buckets_grows_as_its_samples(store: stores.Postgres) -> None:
    @settings(max_examples=25, deadline=None)
    @given(st.dictionaries(instants, counts, min_size=1, max_size=60), st.integers(0, 47), st.integers(1, 48))
    def property(ages: Samples, since_h: int, length_h: int) -> None:
        store.empty()
        samples = {START_US + at: value for at, value in ages.items()}
        whole = list(samples)
        load(store, {at: samples[at] for at in whole[::2]})
        store.refresh()
        load(store, {at: samples[at] for at in whole[1::2]}, "2-0")
        store.refresh()
        assert increases(store, WHOLE) == [{"a": growth(samples)}] * 4
        window = Window(START_US + since_h * HOUR_US, START_US + (since_h + length_h) * HOUR_US)
        inside = {at: value for at, value in samples.items() if window.since_us <= at < window.until_us}
        if inside:
            assert increases(store, window)[:3] == [{"a": growth(inside)}] * 3

    property()
