"""Batches whose samples are values or lists of values: the lists become distributions."""

from collections.abc import Sequence

import numpy as np

from muninn.model import SampleBatch, SeriesKey
from muninn.numerics import distributions

Sample = float | list[float]


def batch_of(rows: Sequence[tuple[SeriesKey, int, Sample]]) -> SampleBatch:
    """A list of values (not empty) is a distribution of them, a number is itself."""
    made = {
        place: distributions.of_values(np.array(sample), np.ones(len(sample), np.int64))
        for place, (_, _, sample) in enumerate(rows)
        if isinstance(sample, list)
    }
    plain = [
        (key, at, made[place].mean if isinstance(sample, list) else sample)
        for place, (key, at, sample) in enumerate(rows)
    ]
    batch = SampleBatch.of(plain)
    some = distributions.columns(np.array([*made], np.int64), [*made.values()])
    return SampleBatch(batch.at_us, batch.value, batch.key_index, batch.keys, some)
