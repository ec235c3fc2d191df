"""A recording fed to the detector step by step, as the detector program feeds it, and what it opened.

Belongs here: rows of a recording -> findings. Does not: which of them are right (bench.faults, bench.recorded_quiet).
"""

import uuid
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from muninn.detection import Tuning
from muninn.detection.incidents import Incident, Incidents
from muninn.detection.watch import Watch
from muninn.model import SampleBatch, SeriesKey
from muninn.settings import Detection


@dataclass
class Opened:
    """An episode that began: at the end of which step, of what, why."""

    at_us: int
    key: SeriesKey
    score: float
    value: float
    low: float
    high: float
    shares: dict[str, float]


@dataclass
class Replayed:
    """judged_at: by step, the series that had a score or would have had."""

    opened: list[Opened] = field(default_factory=list)
    judged_at: list[tuple[int, list[SeriesKey]]] = field(default_factory=list)
    incidents: dict[uuid.UUID, Incident] = field(default_factory=dict)


def replay(rows: pl.DataFrame, step_s: float, calm_s: float, tuning: Tuning) -> Replayed:
    """Feed rows of (series: canonical key, at_ms, value)."""
    watch = Watch(step_s=step_s, max_series=100_000, ignored=Detection().ignored, tuning=tuning, calm_s=calm_s)
    incidents, found_in_all = Incidents(), Replayed()
    keys = tuple(SeriesKey.parse(text.encode()) for text in rows["series"].unique(maintain_order=True))
    place = {key.canonical.decode(): number for number, key in enumerate(keys)}
    index = rows["series"].replace_strict(place, return_dtype=pl.Int32).to_numpy()
    at_us, value = rows["at_ms"].to_numpy() * 1000, rows["value"].to_numpy().astype(np.float64)
    step_us = round(step_s * 1e6)
    for end_us in range(int(at_us.min()) // step_us * step_us + step_us, int(at_us.max()) + step_us, step_us):
        now = (at_us >= end_us - step_us) & (at_us < end_us)
        watch.take(SampleBatch(at_us[now], value[now], index[now], keys))
        for found in watch.judge(end_us):
            changed = incidents.take(found, watch.announced.deployed_us)
            found_in_all.incidents |= {each.incident_id: each for each in changed}
            scores = found.scores
            found_in_all.opened += [
                Opened(
                    end_us,
                    scores.keys[scores.key_index[row]],
                    *(float(column[row]) for column in (scores.score, scores.value, scores.low, scores.high)),
                    dict(scores.reasons(row)),
                )
                for row in found.opened.tolist()
            ]
        old = watch.engine.old_enough()[: len(watch)]
        found_in_all.judged_at.append((end_us, [watch.keys[row] for row in np.flatnonzero(old).tolist()]))
    return found_in_all
