"""What each stage of the door and the loader costs by itself, in this process: CPU seconds per million samples.

Belongs here: the stages in their order, on requests of one sample of each of 4,000 series. Does not: servers.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.traffic import remote_write
from muninn.ingest.buffer import codec
from muninn.ingest.decode._wire import scan
from muninn.ingest.decode.label_table import MAX_LABEL_SETS, LabelTable
from muninn.ingest.decode.remote_write import MAX_SAMPLES, RemoteWriteDecoder, parse_labels, unsnap
from muninn.ingest.gate.gate import Gate
from muninn.ingest.validate import Decoded, Rules
from muninn.model import SampleBatch, Window
from muninn.numerics.fingerprints import FingerprintTable
from muninn.store import _advance, binary_copy
from muninn.store.admission import admit

SERIES, REQUESTS, REPEATS = 4_000, 50, 3
ALL_TIME = Window(0, 1 << 62)


def measure() -> dict[str, dict[str, float]]:
    """{program: {stage: CPU s per million samples}}, the best of a few."""
    bodies = [request.body for request in remote_write(SERIES, REQUESTS)]
    found = [_once(bodies) for _ in range(REPEATS)]
    return {
        program: {stage: min(each[program][stage] for each in found) for stage in found[0][program]}
        for program in found[0]
    }


def _once(bodies: Sequence[bytes]) -> dict[str, dict[str, float]]:
    door: dict[str, float] = {}
    loader: dict[str, float] = {}
    batches = _door(bodies, door)
    entries = _timed(door, "encode the entry", lambda batch: codec.encode(batch, np.zeros(SERIES, np.bool_)), batches)
    _loader(entries, loader)
    return {"gateway": door, "loader": loader}


def _door(bodies: Sequence[bytes], spent: dict[str, float]) -> list[SampleBatch]:
    table, decoder, gate, rules = LabelTable(parse_labels), RemoteWriteDecoder(), Gate(), Rules()
    now_us = time.time_ns() // 1000

    def decode(body: bytes) -> Decoded:
        return decoder.decode(body, rules, now_us, 1 << 25, _uncounted)

    decode(bodies[0])
    messages = _timed(spent, "snappy", lambda body: unsnap(body, 1 << 25), bodies)
    scanned = _timed(spent, "scan protobuf", lambda message: scan(message, MAX_LABEL_SETS, MAX_SAMPLES), messages)
    pairs = [*zip(messages, scanned, strict=True)]
    table.resolve(pairs[0][0], pairs[0][1].label_start, pairs[0][1].label_end)
    _timed(spent, "resolve labels", lambda pair: table.resolve(pair[0], pair[1].label_start, pair[1].label_end), pairs)
    whole: dict[str, float] = {}
    decoded = _timed(whole, "all", decode, bodies)
    spent["validate"] = max(0.0, whole["all"] - sum(spent.values()))
    gate.admit(decoded[0], 1)
    return [each.batch for each in _timed(spent, "gate", lambda each: gate.admit(each, 1), decoded)]


def _loader(entries: Sequence[dict[bytes, bytes]], spent: dict[str, float]) -> None:
    decoder, table = codec.Decoder(), FingerprintTable()
    batches = _timed(spent, "decode entries", decoder.decode, entries)
    (batch,) = _timed(spent, "stack", SampleBatch.stacked, [batches])
    table.add(batches[0].keys.fingerprints)
    (slots,) = _timed(spent, "resolve series", lambda each: table.find(each.keys.fingerprints), [batch])
    bound, row, fast = np.zeros(SERIES, np.int64), np.zeros(SERIES, np.int32), np.empty(len(batch), np.bool_)

    def judge(each: SampleBatch) -> None:
        admit(each, ALL_TIME, slots)
        _advance.advance(slots[each.key_index], each.at_us, bound, row, fast)

    _timed(spent, "admit, find late ones", judge, [batch])
    columns = (binary_copy.timestamptz(batch.at_us), slots[batch.key_index], batch.value)
    _timed(spent, "COPY buffer", binary_copy.encode, [columns])


def _uncounted(kind: str, by: int) -> None:
    """What is left out is none of our business here."""


def _timed(spent: dict[str, float], stage: str, work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    started = time.thread_time()
    done = [work(item) for item in items]
    spent[stage] = (time.thread_time() - started) / (SERIES * REQUESTS) * 1e6
    return done
