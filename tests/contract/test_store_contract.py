"""What every store does: PostgreSQL's and the one in memory."""

from collections.abc import Iterator

import pytest
import stores
from stores import NOW_US, Store, entry

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.model import RESOLUTIONS, SampleBatch, SeriesKey

CPU = SeriesKey.of("cpu_busy_pct", {"host": "a", "cpu": "0"}, "agent-1", "web-1")
MEMORY = SeriesKey.of("memory_used_bytes", {"host": 'quote " and \\ and ü'})


@pytest.fixture(params=["memory", *stores.ENGINES])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield stores.Memory()
    else:
        yield from stores.opened(request)


def listed(batch: SampleBatch) -> list[tuple[SeriesKey, int, float]]:
    return [
        (batch.keys[key], at, value)
        for at, value, key in zip(batch.at_us.tolist(), batch.value.tolist(), batch.key_index.tolist(), strict=True)
    ]


def test_samples_come_back_with_their_identity(store: Store) -> None:
    rows = [(CPU, NOW_US - 2, 1.5), (CPU, NOW_US - 1, -0.25), (MEMORY, NOW_US, 1e17)]
    result = store.load([entry(rows, "1-0")])
    assert (result.entries_new, result.rows, result.duplicates, result.late, result.refused) == (1, 3, 0, 0, ())
    assert listed(store.raw()) == rows


def test_an_entry_counts_once_however_often_it_comes(store: Store) -> None:
    one = entry([(CPU, NOW_US, 1.0)], "1-0")
    assert store.load([one, one]).entries_new == 1
    assert store.load([one]) == store.load([one, one])
    assert store.load([one]).entries_new == 0
    other = entry([(CPU, NOW_US, 1.0), (CPU, NOW_US + 1, 2.0)], "2-0")
    assert store.load([one, other]).rows == 1
    assert listed(store.raw()) == [(CPU, NOW_US, 1.0), (CPU, NOW_US + 1, 2.0)]


def test_the_same_id_in_another_stream_is_another_entry(store: Store) -> None:
    store.load([entry([(CPU, NOW_US, 1.0)], "1-0", "a")])
    assert store.load([entry([(CPU, NOW_US + 1, 1.0)], "1-0", "b")]).entries_new == 1


def test_the_last_value_of_an_instant_wins_inside_a_batch_and_across_batches(store: Store) -> None:
    first = store.load([entry([(CPU, NOW_US, 1.0), (CPU, NOW_US, 2.0)], "1-0"), entry([(CPU, NOW_US, 3.0)], "1-1")])
    assert (first.rows, first.duplicates) == (1, 2)
    assert listed(store.raw()) == [(CPU, NOW_US, 3.0)]
    second = store.load([entry([(CPU, NOW_US, 4.0), (CPU, NOW_US - 1, 9.0)], "2-0")])
    assert (second.rows, second.duplicates) == (1, 1)
    assert listed(store.raw()) == [(CPU, NOW_US - 1, 9.0), (CPU, NOW_US, 4.0)]


def test_the_first_value_of_an_instant_wins_where_the_store_is_set_so(store: Store) -> None:
    store.keep_first()
    first = store.load([entry([(CPU, NOW_US, 1.0), (CPU, NOW_US, 2.0)], "1-0"), entry([(CPU, NOW_US, 3.0)], "1-1")])
    assert (first.rows, first.duplicates) == (1, 2)
    second = store.load([entry([(CPU, NOW_US, 4.0), (CPU, NOW_US - 1, 9.0), (CPU, NOW_US - 1, 8.0)], "2-0")])
    assert (second.rows, second.duplicates) == (1, 2)
    assert listed(store.raw()) == [(CPU, NOW_US - 1, 9.0), (CPU, NOW_US, 1.0)]
    store.refresh()
    late = store.load([entry([(CPU, NOW_US - 1, 5.0), (CPU, NOW_US - HOUR_US, 6.0)], "3-0")])
    assert (late.rows, late.late) == (1, 1), "what stands is not stale"


def test_sending_again_under_another_id_changes_nothing(store: Store) -> None:
    rows = [(key, NOW_US - n * 7 * MINUTE_US, float(n)) for n in range(40) for key in (CPU, MEMORY)]
    store.load([entry(rows, "1-0")])
    before = listed(store.raw())
    again = store.load([entry(rows[::-1], "2-0")])
    assert (again.rows, again.duplicates, again.late) == (0, len(rows), 0)
    assert listed(store.raw()) == before


def test_an_empty_load_is_nothing(store: Store) -> None:
    assert store.load([]).entries_new == 0
    assert store.load([entry([], "1-0")]).entries_new == 1
    assert len(store.raw()) == 0


def test_what_can_not_be_kept_is_refused_by_reason_and_the_rest_is_kept(store: Store) -> None:
    rows = [
        (CPU, NOW_US, 1.0),
        (CPU, NOW_US + 1, float("nan")),
        (CPU, NOW_US + 2, float("-inf")),
        (CPU, NOW_US + 3, -1e300),
        (CPU, NOW_US + 4, 1e-300),
        (MEMORY, NOW_US - 200 * DAY_US, 5.0),
        (MEMORY, NOW_US + 30 * DAY_US, 6.0),
        (MEMORY, NOW_US + 2 * DAY_US, 7.0),
        (MEMORY, NOW_US - 80 * DAY_US, 8.0),
    ]
    result = store.load([entry(rows, "1-0")])
    assert {each.reason: (each.samples, each.key, each.at_us) for each in result.refused} == {
        "value must be finite": (2, CPU, NOW_US + 1),
        "value must be 0 or between 1e-290 and 1e+290 in size": (2, CPU, NOW_US + 3),
        "older than what is kept": (1, MEMORY, NOW_US - 200 * DAY_US),
        "too far in the future": (1, MEMORY, NOW_US + 30 * DAY_US),
    }
    assert (result.rows, result.duplicates) == (3, 0)
    assert listed(store.raw()) == [rows[0], rows[8], rows[7]]


def test_any_text_comes_back_as_it_was_except_with_a_nul(store: Store) -> None:
    texts = [
        "",
        " ",
        "\\u0000",
        "\\",
        '"{}[],',
        "'; drop table series",
        "%s %(name)s",
        "\n\t\x01",
        "日本",
        "\U0001f600",
        "\x7f",
    ]
    rows = [(SeriesKey.of("m", {text or "empty": text}, text, text), NOW_US, float(n)) for n, text in enumerate(texts)]
    wrong = [(SeriesKey.of("m", {"host": "a\0"}), NOW_US, 1.0), (SeriesKey.of("m", {}, "\0"), NOW_US, 1.0)]
    result = store.load([entry([*rows, *wrong], "1-0")])
    assert result.rows == len(rows)
    assert [(each.reason, each.samples) for each in result.refused] == [
        ("names and labels must not hold a NUL character", 2)
    ]
    assert sorted(listed(store.raw()), key=lambda row: row[2]) == rows


def test_samples_before_the_closing_instant_are_late(store: Store) -> None:
    store.load([entry([(CPU, NOW_US - HOUR_US, 1.0)], "1-0")])
    store.refresh()
    rows = [(CPU, NOW_US - HOUR_US, 2.0), (CPU, NOW_US - MINUTE_US - 1, 3.0), (CPU, NOW_US, 4.0)]
    assert store.load([entry(rows, "2-0")]).late == 2
    assert store.load([entry([(CPU, NOW_US - HOUR_US, 2.0)], "3-0")]).late == 0  # known already: nothing is stale


def test_entries_are_pruned_by_id_and_stream(store: Store) -> None:
    ids = ["9-5", "10-0", "10-9", "10-10", "100-0"]
    store.load([entry([(CPU, NOW_US, 1.0)], each) for each in ids])
    store.load([entry([(CPU, NOW_US, 1.0)], "1-0", "other")])
    assert store.prune_entries("10-10", "s") == 3
    assert store.load([entry([(CPU, NOW_US, 1.0)], "10-10")]).entries_new == 0
    assert store.load([entry([(CPU, NOW_US, 1.0)], "1-0", "other")]).entries_new == 0
    assert store.load([entry([(CPU, NOW_US, 1.0)], "9-5")]).entries_new == 1


def test_buckets_are_there_before_and_after_a_refresh(store: Store) -> None:
    rows = [(CPU, NOW_US - n * 13 * SECOND_US, float(n % 17)) for n in range(600)]
    store.load([entry(rows, "1-0")])
    before = [[_figures(each) for each in store.buckets(resolution)] for resolution in RESOLUTIONS]
    store.refresh()
    after = [[_figures(each) for each in store.buckets(resolution)] for resolution in RESOLUTIONS]
    assert before == after
    assert [sum(each.sample_count for each in store.buckets(resolution)) for resolution in RESOLUTIONS] == [600] * 4


def test_old_buckets_stand_after_their_samples_were_dropped(store: Store) -> None:
    old = NOW_US - 20 * DAY_US
    store.load([entry([(CPU, old + n * SECOND_US, float(n)) for n in range(300)], "1-0")])
    store.load([entry([(CPU, NOW_US - DAY_US, 1.0)], "2-0")])
    store.refresh()
    before = [[_figures(each) for each in store.buckets(resolution)] for resolution in RESOLUTIONS]
    store.drop_raw(10)
    assert listed(store.raw()) == [(CPU, NOW_US - DAY_US, 1.0)]
    late = store.load([entry([(CPU, old, 99.0), (CPU, NOW_US - DAY_US, 1.0)], "3-0")])
    assert [each.reason for each in late.refused] == ["older than what is kept"]
    store.refresh()
    assert [[_figures(each) for each in store.buckets(resolution)] for resolution in RESOLUTIONS] == before


def _figures(bucket: stores.Bucket) -> tuple[object, ...]:
    # Samples are summed in any order: the last digits may differ.
    total = float(f"{bucket.sum_value:.9g}")
    return (
        bucket.key,
        bucket.bucket_us,
        bucket.sample_count,
        total,
        bucket.min_value,
        bucket.max_value,
        bucket.sketch.tolist(),
        (bucket.first_us, bucket.last_us),
        (bucket.first_value, bucket.last_value, bucket.increase),
    )
