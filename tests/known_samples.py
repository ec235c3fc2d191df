"""A client that knows what it sent: batches until they are acknowledged, and the comparison with what is stored."""

import http.client
import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field

import psycopg

SERIES = 12
PER_BATCH = 24

Key = tuple[str, int]


@dataclass
class KnownSamples:
    """Sends batch after batch to a gateway from a thread of its own; each again, under its key, until it is taken.

    Some batches are sent twice, also under a new key: a client that lost its memory.
    acknowledged: (series, at_ms) -> value of every sample that a gateway said it has.
    """

    gateway_url: str
    seed: int
    interval_s: float = 0.02
    acknowledged: dict[Key, float] = field(default_factory=dict)
    batches: int = 0
    retries: int = 0
    refused: str = ""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._at_ms = int(time.time() * 1000) - 60_000
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def metric(self) -> str:
        """A metric of its own: two clients never send the same sample."""
        return f"crash_test_level_{self.seed}"

    def start(self) -> "KnownSamples":
        self._thread.start()
        return self

    def finish(self, timeout_s: float) -> None:
        """Send no new batch, wait until the last one is acknowledged."""
        self._stop.set()
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the last batch was never acknowledged"
        assert not self.refused

    def _run(self) -> None:
        while not self._stop.wait(self.interval_s):
            batch = self._batch()
            self._send(batch, f"{self.seed}-{self.batches}")
            if self._random.random() < 0.1:
                self._send(batch, f"{self.seed}-{self.batches}-{self._random.choice(['', 'again'])}".rstrip("-"))
            self.acknowledged |= batch
            self.batches += 1

    def _batch(self) -> dict[Key, float]:
        found = {}
        for _ in range(PER_BATCH):
            self._at_ms += self._random.randint(1, 3)
            # Some lie back in time: the slow lane of the store.
            at_ms = self._at_ms - (self._random.randint(5_000, 20_000) if self._random.random() < 0.05 else 0)
            series = str(self._random.randrange(SERIES))
            # What was sent once keeps its value, so that the end does not depend on who came last.
            found[series, at_ms] = self.acknowledged.get((series, at_ms), self._random.uniform(-1e6, 1e6))
        return found

    def _send(self, batch: dict[Key, float], key: str) -> None:
        body = json.dumps(
            [
                {"metric": self.metric, "timestamp": at_ms, "value": value, "labels": {"n": series}}
                for (series, at_ms), value in batch.items()
            ]
        ).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        while True:
            try:
                request = urllib.request.Request(f"{self.gateway_url}/api/v1/metrics", body, headers)
                with urllib.request.urlopen(request, timeout=5) as answer:
                    if json.loads(answer.read())["accepted"] != len(batch):
                        self.refused = "a sample of a good batch"
                    return
            except urllib.error.HTTPError as error:
                if error.code not in (429, 500, 502, 503, 504):
                    self.refused = f"{error.code} {error.read()!r}"
                    raise
            except (OSError, http.client.HTTPException, ValueError):
                pass  # no answer, or half of one
            self.retries += 1
            time.sleep(0.1)


def stored(database_url: str, metric: str) -> dict[Key, list[float]]:
    """(series, at_ms) -> every value that the store holds for it."""
    question = (
        "select tags ->> 'n', (extract(epoch from timestamp) * 1000)::bigint, metric_value"
        f" from performance_metrics where metric_name = '{metric}'"
    )
    found: dict[Key, list[float]] = defaultdict(list)
    with psycopg.connect(database_url) as connection:
        for series, at_ms, value in connection.execute(question.encode()):
            found[series, at_ms].append(value)
    return dict(found)


def checksums(samples: dict[Key, float]) -> dict[str, tuple[int, int]]:
    """Per series: how many, and a checksum over instants and values."""
    per_series: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for (series, at_ms), value in samples.items():
        per_series[series].append((at_ms, value))
    return {series: (len(rows), hash(tuple(sorted(rows)))) for series, rows in per_series.items()}


def assert_exactly_once(client: KnownSamples, database_url: str) -> None:
    """Every acknowledged sample is in the store once, with its value, and nothing else is."""
    found = stored(database_url, client.metric)
    doubled = {key: values for key, values in found.items() if len(values) > 1}
    assert not doubled, f"{len(doubled)} samples are in the store more than once"
    lost = client.acknowledged.keys() - found.keys()
    assert not lost, f"{len(lost)} of {len(client.acknowledged)} acknowledged samples are lost"
    never_sent = found.keys() - client.acknowledged.keys()
    assert not never_sent, f"{len(never_sent)} samples are in the store that nobody sent"
    assert checksums({key: values[0] for key, values in found.items()}) == checksums(client.acknowledged)
