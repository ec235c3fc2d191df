"""NaN and infinities mean that there is no value, from the door to what a chart is drawn from (docs/ingest.md)."""

import math

import orjson
import pyarrow as pa
from filling import filled

from muninn.clock import DAY_US, MINUTE_US, SECOND_US
from muninn.ingest.decode.arrow import decode_arrow_stream
from muninn.ingest.validate import Rules
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.reads.http import to_json
from muninn.reads.http_questions import trend_body

NOW_US = 1_800_000_000 * SECOND_US // DAY_US * DAY_US + 12 * 3600 * SECOND_US
SINCE_US = NOW_US - 10 * MINUTE_US


def body(values: list[float]) -> bytes:
    table = pa.table(
        {
            "metric": ["m"] * len(values),
            "timestamp": pa.array([(SINCE_US + place * MINUTE_US) // 1000 for place in range(len(values))], pa.int64()),
            "value": values,
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def test_they_are_refused_by_place_and_leave_gaps_and_nothing_else(postgres_url: str) -> None:
    decoded = decode_arrow_stream(body([1.0, math.nan, 3.0, math.inf, -math.inf, 6.0]), Rules(), NOW_US, 1 << 20)
    assert [(bad.index, bad.reason) for bad in decoded.errors] == [
        (place, "value: must be finite") for place in (1, 3, 4)
    ]
    with filled(postgres_url, NOW_US) as store:
        store.load(decoded.batch)
        # Whoever writes past the door is told the same by the store.
        store.load(SampleBatch.of([(SeriesKey.of("m"), SINCE_US + MINUTE_US, math.nan)]))
        for refreshed in (False, True):
            if refreshed:
                store.refresh(NOW_US)
            found = store.reads.trend("m", Window(SINCE_US, NOW_US), MINUTE_US)
            told = orjson.loads(to_json(trend_body(found)))["series"][0]["points"]
            minutes = [(at_ms - SINCE_US // 1000) * 1000 // MINUTE_US for at_ms in told["at_ms"]]
            assert list(zip(minutes, told["avg"], told["count"], strict=True)) == [
                (0, 1.0, 1),
                (2, 3.0, 1),
                (5, 6.0, 1),
            ]
            assert told["p95"] == told["max"] == told["avg"]
