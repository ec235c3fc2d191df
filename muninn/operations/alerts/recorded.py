"""Rules over samples that were recorded into a file.

Belongs here: the file as samples for alerting.replay. Does not: formats (ingest.files), the store (history).
Apart from history, because whoever reads files loads pyarrow.
"""

from collections.abc import Sequence
from pathlib import Path

from muninn.alerting.replay import Replayed, replay
from muninn.alerting.rules import Rule
from muninn.clock import MINUTE_US, SECOND_US, SystemClock
from muninn.errors import Invalid
from muninn.ingest.files import read_samples
from muninn.ingest.validate import Rules
from muninn.model import SampleBatch, Window
from muninn.operations.alerts.history import STEP_S

_ANY_AGE_DAYS = 20_000


def over_file(path: Path, rules: Sequence[Rule]) -> tuple[Replayed, Window]:
    """What would have fired on samples that were recorded into a CSV, NDJSON or Parquet file."""
    door = Rules(raw_days=_ANY_AGE_DAYS)
    read = [decoded.batch for decoded in read_samples(path, door, SystemClock().now_us())]
    batch = SampleBatch.concat([each for each in read if len(each)])
    if not len(batch):
        raise Invalid(f"{path}: no samples in it")
    window = Window(int(batch.at_us.min()) - SECOND_US, int(batch.at_us.max()) + MINUTE_US)
    return replay(rules, [(batch, window.until_us)], window, STEP_S), window
