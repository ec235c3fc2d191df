"""Batches as request bodies, the other side of ingest.decode.

Belongs here: encoding. Does not: sending.
"""

import orjson

from muninn.model import SampleBatch

JSON_TYPE = "application/json"
ARROW_TYPE = "application/vnd.apache.arrow.stream"


def to_json(batch: SampleBatch) -> bytes:
    """A JSON array of samples; instants in milliseconds, with a fraction where they have one."""
    identities = [
        {
            "metric": key.metric,
            "labels": dict(key.labels),
            "source_agent_id": key.source_agent_id,
            "instance_id": key.instance_id,
        }
        for key in batch.keys
    ]
    rows = zip(batch.key_index.tolist(), batch.at_us.tolist(), batch.value.tolist(), strict=True)
    return orjson.dumps(
        [
            {**identities[key], "timestamp": at // 1000 if at % 1000 == 0 else at / 1000, "value": value}
            for key, at, value in rows
        ]
    )


def to_arrow(batch: SampleBatch) -> bytes:
    """An Arrow IPC stream; text as dictionaries, so that it costs four bytes a sample and column."""
    import pyarrow as pa  # takes memory: only those who send large batches load it

    def text(values: list[str]) -> pa.DictionaryArray:
        distinct = {value: place for place, value in enumerate(dict.fromkeys(values))}
        of_key = pa.array([distinct[value] for value in values], pa.int32())
        return pa.DictionaryArray.from_arrays(
            of_key.take(pa.array(batch.key_index)), pa.array(list(distinct), pa.string())
        )

    table = pa.table(
        {
            "metric": text([key.metric for key in batch.keys]),
            "timestamp": pa.array(batch.at_us).cast(pa.timestamp("us", "UTC")),
            "value": pa.array(batch.value),
            "labels": text([orjson.dumps(dict(key.labels)).decode() for key in batch.keys]),
            "source_agent_id": text([key.source_agent_id for key in batch.keys]),
            "instance_id": text([key.instance_id for key in batch.keys]),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
