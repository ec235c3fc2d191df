"""A client that sends each batch once, as Arrow, and does not try again: the counterpart of KnownSamples."""

import http.client
import threading
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import psycopg

from muninn.model import SampleBatch, SeriesKey
from muninn.sources.wire import ARROW_TYPE, to_arrow

SERIES = 40
PER_SERIES = 25
METRIC = "one_shot_level"
KEYS = tuple(SeriesKey.of(METRIC, {"n": f"{number:02}"}) for number in range(SERIES))


@dataclass
class OneShots:
    """Batch `b` holds samples b * PER_SERIES ... of every series; a sample's value tells which one it is.

    acknowledged, unknown: the batches that the gateway said it has, and those where no answer came; answers: why not.
    """

    gateway_url: str
    first_us: int
    interval_s: float = 0.05
    acknowledged: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    refused: str = ""
    answers: Counter[int | str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "OneShots":
        """Begin to send."""
        self._thread.start()
        return self

    def finish(self, timeout_s: float) -> None:
        """Send no further batch."""
        self._stop.set()
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "a request never ended"
        assert not self.refused

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(self.interval_s):
            (self.acknowledged if self._taken(number) else self.unknown).append(number)
            number += 1

    def _taken(self, number: int) -> bool:
        body = to_arrow(self._batch(number))
        request = urllib.request.Request(f"{self.gateway_url}/api/v1/metrics", body, {"Content-Type": ARROW_TYPE})
        try:
            with urllib.request.urlopen(request, timeout=3):
                return True
        except urllib.error.HTTPError as error:
            self.answers[error.code] += 1
            if error.code not in (429, 500, 502, 503, 504):
                self.refused = f"{error.code} {error.read()!r}"
            return False
        except (OSError, http.client.HTTPException) as error:
            self.answers[type(error).__name__] += 1
            return False

    def _batch(self, number: int) -> SampleBatch:
        places = np.arange(number * PER_SERIES, (number + 1) * PER_SERIES, dtype=np.int64)
        return SampleBatch(
            np.tile(self.first_us + places * 1000, SERIES),
            np.tile(places.astype(np.float64), SERIES),
            np.repeat(np.arange(SERIES, dtype=np.int32), PER_SERIES),
            KEYS,
        )


def counted(database_url: str) -> dict[int, tuple[int, int]]:
    """Batch -> (rows in the store, distinct samples among them)."""
    question = (
        f"select floor(metric_value / {PER_SERIES})::int8, count(*),"
        " count(distinct (tags ->> 'n', timestamp))"
        f" from performance_metrics where metric_name = '{METRIC}' group by 1"
    )
    with psycopg.connect(database_url) as connection:
        return {batch: (rows, distinct) for batch, rows, distinct in connection.execute(question.encode())}


def assert_at_most_once(client: OneShots, database_url: str) -> None:
    """What was acknowledged is in the store whole and once; of the rest, a batch is there once or not at all."""
    found = counted(database_url)
    whole = (SERIES * PER_SERIES, SERIES * PER_SERIES)
    assert not {batch: found.get(batch) for batch in client.acknowledged if found.get(batch) != whole}
    assert not {batch: found[batch] for batch in client.unknown if batch in found and found[batch] != whole}
    assert found.keys() <= {*client.acknowledged, *client.unknown}
