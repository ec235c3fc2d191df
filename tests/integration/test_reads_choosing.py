"""Which series are chosen: few and all of them, some of many, and of more than are ever sent."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from filling import Filled, course, filled

from muninn.clock import DAY_US, MINUTE_US, SECOND_US
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.model.window import as_us
from muninn.reads import UnknownMetric

NOW_US = as_us(datetime(2026, 11, 5, 10, 17, 31, tzinfo=UTC))
WINDOW = Window(NOW_US - 60 * MINUTE_US, NOW_US)
FEW, MANY, OLD = "few_pct", "many_pct", "old_pct"
# One more than are sent at once, and some.
COUNT = 10_050
# In the order of keys as the server writes them: shorter names of labels come first.
KEYS = [
    SeriesKey.of(FEW, {"aa": "0", "b": "0"}),
    SeriesKey.of(FEW, {"aa": "0", "b": "0"}, "agent", "i1"),
    SeriesKey.of(FEW, {"aa": "0", "b": "1"}),
    SeriesKey.of(FEW, {"b": "2"}, "agent"),
]

_MANY = """
insert into series (fingerprint, metric_name, tags, source_agent_id, instance_id)
select gen_random_uuid(), %(metric)s, jsonb_build_object('host', to_char(number, 'FM00000')), '', ''
from generate_series(%(count)s - 1, 0, -1) number;
insert into latest_samples
select series_id, %(at)s::timestamptz - (tags ->> 'host')::int * interval '1 ms', (tags ->> 'host')::int
from series where metric_name = %(metric)s
"""


@pytest.fixture(scope="module")
def store(postgres_server: Any, migrated_template: str) -> Iterator[Filled]:
    url = postgres_server.create("reads_choosing", migrated_template)
    at_us = NOW_US - np.arange(1, 31) * MINUTE_US
    with filled(url, NOW_US) as store:
        some = [course(key, at_us, at_us / MINUTE_US % 7 + place) for place, key in enumerate(reversed(KEYS))]
        old_us = NOW_US - 2 * DAY_US
        store.load(SampleBatch.concat([*some, course(SeriesKey.of(OLD, {}), np.array([old_us]), np.array([1.0]))]))
        store.refresh(NOW_US - 5 * MINUTE_US)
        with store.database.transaction() as transaction:
            limits = f"'{MANY}'", str(COUNT), f"to_timestamp({NOW_US // SECOND_US - 1})"
            text = _MANY
            for name, value in zip(("metric", "count", "at"), limits, strict=True):
                text = text.replace(f"%({name})s", value)
            transaction.script(text)
        yield store
    postgres_server.drop("reads_choosing")


@pytest.mark.parametrize("most", [1, 2, 3, 4, 50])
def test_series_come_in_order_of_their_keys_up_to_the_limit(store: Filled, most: int) -> None:
    found = store.reads.trend(FEW, WINDOW, MINUTE_US, max_series=most)
    assert [one.key for one in found.series] == KEYS[:most]
    assert found.truncated == (4 if most < 4 else None)
    assert [len(one.at_ms) for one in found.series] == [30] * min(most, 4)


@pytest.mark.parametrize(
    ("labels", "places"),
    [
        ({"b": "1"}, [2]),
        ({"source_agent_id": "agent"}, [1, 3]),
        ({"instance_id": "i1"}, [1]),
        ({"aa": "0", "source_agent_id": ""}, [0, 2]),
        ({"b": "9"}, []),
    ],
)
def test_labels_choose(store: Filled, labels: dict[str, str], places: list[int]) -> None:
    keys = [KEYS[place] for place in places]
    assert [one.key for one in store.reads.trend(FEW, WINDOW, MINUTE_US, labels).series] == keys
    assert list(store.reads.latest(FEW, labels).keys) == keys


def test_several_metrics_at_once_are_what_each_gives_by_itself(store: Filled) -> None:
    store.reads.latest(FEW)
    together = store.reads.latest_of([OLD, FEW], window=Window(NOW_US - 3 * DAY_US, NOW_US + 1))
    alone = [store.reads.latest(metric, window=Window(NOW_US - 3 * DAY_US, NOW_US + 1)) for metric in (OLD, FEW)]
    assert [found.series for found in together] == [found.series for found in alone]
    assert [found.silent for found in together] == [1, 0]
    assert [one.key for one in together[1].series] == KEYS
    assert [one.state for one in together[0].series] == ["silent"]
    trends = store.reads.trends([OLD, FEW, "nobody_sends"], WINDOW, MINUTE_US)
    assert [len(found.series) for found in trends] == [0, 4, 0]
    with pytest.raises(UnknownMetric, match="nobody"):
        store.reads.latest_of([FEW, "nobody_sends"])


def test_of_more_series_than_are_sent_the_server_finds_the_first(store: Filled) -> None:
    found = store.reads.trend(MANY, WINDOW, MINUTE_US, max_series=3)
    assert (found.series, found.truncated) == ((), COUNT)  # none has any buckets
    trends = store.reads.trends([FEW, MANY], WINDOW, MINUTE_US, max_series=2)
    assert [one.key for one in trends[0].series] == KEYS[:2]
    assert [one.truncated for one in trends] == [4, COUNT]
    newest = store.reads.latest(MANY, limit=5)
    assert [dict(key.labels)["host"] for key in newest.keys] == ["00000", "00001", "00002", "00003", "00004"]


def test_of_so_many_the_silent_ones_still_come_first(store: Filled) -> None:
    """The newest of host n is n milliseconds older than that of host 0."""
    since = Window(NOW_US - DAY_US, NOW_US)
    oldest = store.reads.latest(MANY, window=since, silent_us=NOW_US % SECOND_US + SECOND_US + 10_000_000, limit=7)
    assert oldest.truncated == COUNT
    assert oldest.silent == COUNT - 10_001
    assert [dict(one.key.labels)["host"] for one in oldest.series] == [
        f"{number:05d}" for number in range(10_001, 10_008)
    ]
    assert {one.state for one in oldest.series} == {"silent"}
    few = store.reads.latest(MANY, {"host": "00007"}, since)
    assert [(one.value, one.state) for one in few.series] == [(7.0, "ok")]


def test_series_of_the_same_numbers_in_another_table_are_others(store: Filled) -> None:
    before = store.reads.latest(FEW).keys
    with store.database.transaction() as transaction:
        transaction.script(
            "create table kept as select * from series; truncate series, latest_samples;"
            " insert into series overriding system value select series_id, fingerprint, metric_name,"
            ' tags || \'{"again": "1"}\', source_agent_id, instance_id, created_at from kept;'
            f" insert into latest_samples select series_id, to_timestamp({NOW_US // SECOND_US - 1}), 1 from series;"
            " drop table kept"
        )
    after = store.reads.latest(FEW).keys
    assert [(key.metric, {**dict(key.labels), "again": "1"}) for key in before] == [
        (key.metric, dict(key.labels)) for key in after
    ]
