"""Rules over samples that were recorded into a file.

Belongs here: the file as samples for alerting.replay. Does not: formats (ingest.files), the store (history).
Apart from history, because whoever reads files loads pyarrow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from muninn.alerting.replay import Replayed, no_scores, replay
from muninn.alerting.rolled import Rolled
from muninn.alerting.rules import Rule
from muninn.clock import HOUR_US, MINUTE_US, SECOND_US, SystemClock
from muninn.detection import Tuning
from muninn.detection.watch import Watch
from muninn.errors import Invalid
from muninn.ingest.files import read_samples
from muninn.ingest.validate import Rules
from muninn.model import SampleBatch, Window
from muninn.model.scores import ScoreBatch
from muninn.operations.alerts.history import STEP_S
from muninn.settings import Detection
from muninn.sources.files import refuse_left_out

_ANY_AGE_DAYS = 20_000


def over_file(path: Path, rules: Sequence[Rule], detection: Detection) -> tuple[Replayed, Window]:
    """What would have fired on samples that were recorded into a CSV, NDJSON or Parquet file.

    Rules on scores see what the detector says of this file: it begins to learn with it, as it does with any series.
    """
    refuse_left_out(path)
    door = Rules(raw_days=_ANY_AGE_DAYS)
    read = [decoded.batch for decoded in read_samples(path, door, SystemClock().now_us())]
    batch = SampleBatch.concat([each for each in read if len(each)])
    if not len(batch):
        raise Invalid(f"{path}: no samples in it")
    window = Window(int(batch.at_us.min()) - SECOND_US, int(batch.at_us.max()) + MINUTE_US)
    scores = partial(_scored, batch, detection) if any(rule.kind == "anomaly" for rule in rules) else no_scores
    return replay(rules, [(batch, window.until_us)], window, STEP_S, Rolled(batch, rules).at, scores=scores), window


def _scored(batch: SampleBatch, chosen: Detection, window: Window) -> Iterator[ScoreBatch]:
    """The detector's own code over the file, an hour at a time."""
    watch = Watch(
        step_s=chosen.step_s,
        max_series=chosen.max_series,
        ignored=chosen.ignored,
        tuning=replace(Tuning(), warm_up_s=chosen.warm_up_s, time_zone=chosen.time_zone),
        calm_s=chosen.calm_s,
    )
    for since_us in range(int(batch.at_us.min(initial=window.since_us)), window.until_us, HOUR_US):
        until_us = min(since_us + HOUR_US, window.until_us)
        watch.take(batch.take((batch.at_us >= since_us) & (batch.at_us < until_us)))
        for found in watch.judge(until_us):
            yield found.scores
