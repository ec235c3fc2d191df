"""Batches as request bodies, the other side of ingest.decode.

Belongs here: encoding. Does not: sending.
"""

from typing import Any

import numpy as np
import orjson

from muninn.model import Distributions, SampleBatch
from muninn.numerics import sketch

JSON_TYPE = "application/json"
ARROW_TYPE = "application/vnd.apache.arrow.stream"


def to_json(batch: SampleBatch) -> bytes:
    """A JSON array of samples; instants in milliseconds, with a fraction where they have one.

    A distribution goes as the values that its bins stand for, which fall into the same bins again.
    """
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
    samples = [
        {**identities[key], "timestamp": at // 1000 if at % 1000 == 0 else at / 1000, "value": value}
        for key, at, value in rows
    ]
    if batch.distributions is not None:
        _add(samples, batch.distributions)
    return orjson.dumps(samples)


def _add(samples: list[dict[str, object]], some: Distributions) -> None:
    ends = np.cumsum(some.lengths)
    for place, row in enumerate(some.rows.tolist()):
        bins = some.bins[ends[place] - some.lengths[place] : ends[place]]
        count, value = int(some.count[place]), samples[row]["value"]
        samples[row]["distribution"] = {
            "values": sketch.value_of(bins >> 32).tolist(),
            "counts": (bins & 0xFFFF_FFFF).tolist(),
            "sum": value * count if isinstance(value, float) else None,
            "min": float(some.low[place]),
            "max": float(some.high[place]),
        }


def _distributions(batch: SampleBatch, some: Distributions) -> Any:
    """The column of that name; null where a sample is a plain one."""
    import pyarrow as pa

    lengths, total = np.zeros(len(batch), np.int32), np.zeros(len(batch))
    lengths[some.rows] = some.lengths
    total[some.rows] = batch.value[some.rows] * some.count
    figures = {"sum": total, "min": np.zeros(len(batch)), "max": np.zeros(len(batch))}
    figures["min"][some.rows], figures["max"][some.rows] = some.low, some.high
    plain = np.ones(len(batch), np.bool_)
    plain[some.rows] = False
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    lists = {"values": sketch.value_of(some.bins >> 32), "counts": some.bins & 0xFFFF_FFFF}
    made = [pa.ListArray.from_arrays(offsets, pa.array(flat)) for flat in lists.values()]
    made += [pa.array(figure) for figure in figures.values()]
    return pa.StructArray.from_arrays(made, [*lists, *figures], mask=pa.array(plain))


def to_arrow(batch: SampleBatch) -> bytes:
    """An Arrow IPC stream; text as dictionaries, so that it costs four bytes a sample and column."""
    import pyarrow as pa  # takes memory: only those who send large batches load it

    def text(values: list[str]) -> pa.DictionaryArray:
        distinct = {value: place for place, value in enumerate(dict.fromkeys(values))}
        of_key = pa.array([distinct[value] for value in values], pa.int32())
        return pa.DictionaryArray.from_arrays(
            of_key.take(pa.array(batch.key_index)), pa.array(list(distinct), pa.string())
        )

    columns = {} if batch.distributions is None else {"distribution": _distributions(batch, batch.distributions)}
    table = pa.table(
        {
            **columns,
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
