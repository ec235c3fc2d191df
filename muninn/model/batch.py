"""A batch of samples as columns: what every decoder ends in and every writer takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.model.distributions import Distributions
from muninn.model.series import SeriesKey
from muninn.model.series_set import SeriesSet, fingerprints_of


@dataclass(frozen=True, eq=False)
class SampleBatch:
    """`n` samples of `k` series.

    at_us: int64[n], microseconds since the epoch, UTC.
    value: float64[n], finite.
    key_index: int32[n], each in [0, k).
    keys: the k series; any sequence of keys is taken.
    distributions: those of the samples that stand for many values; None where none does.
    """

    at_us: NDArray[np.int64]
    value: NDArray[np.float64]
    key_index: NDArray[np.int32]
    keys: SeriesSet
    distributions: Distributions | None

    def __init__(
        self,
        at_us: NDArray[np.int64],
        value: NDArray[np.float64],
        key_index: NDArray[np.int32],
        keys: Sequence[SeriesKey],
        distributions: Distributions | None = None,
    ):
        for name, column in (
            ("at_us", at_us),
            ("value", value),
            ("key_index", key_index),
            ("keys", SeriesSet.of(keys)),
            ("distributions", distributions),
        ):
            object.__setattr__(self, name, column)
        if not len(self.at_us) == len(self.value) == len(self.key_index):
            raise Invalid("a batch's columns differ in length")

    def __len__(self) -> int:
        return len(self.at_us)

    @classmethod
    def empty(cls) -> "SampleBatch":
        """No samples."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.int32), ())

    @classmethod
    def of(cls, rows: Sequence[tuple[SeriesKey, int, float]]) -> "SampleBatch":
        """From (key, at_us, value) rows: for tests and for sources of a few hundred samples."""
        index: dict[SeriesKey, int] = {}
        key_index = [index.setdefault(key, len(index)) for key, _, _ in rows]
        return cls(
            np.array([at for _, at, _ in rows], np.int64),
            np.array([value for _, _, value in rows], np.float64),
            np.array(key_index, np.int32),
            tuple(index),
        )

    @classmethod
    def concat(cls, batches: Sequence["SampleBatch"]) -> "SampleBatch":
        """One batch with all samples in order; equal keys become one."""
        if len(batches) == 1:
            return batches[0]
        if not batches:
            return cls.empty()
        index: dict[bytes, int] = {}
        names: list[bytes | None] = []
        remapped = []
        for batch in batches:
            table = np.empty(len(batch.keys), np.int32)
            for number, digest in enumerate(batch.keys.fingerprints.tolist()):
                table[number] = place = index.setdefault(digest, len(index))
                if place == len(names):
                    names.append(batch.keys.name(number))
                elif names[place] is None:
                    names[place] = batch.keys.name(number)
            remapped.append(table[batch.key_index] if len(batch) else batch.key_index)
        return cls(
            np.concatenate([b.at_us for b in batches]),
            np.concatenate([b.value for b in batches]),
            np.concatenate(remapped),
            SeriesSet(fingerprints_of([*index]), names.__getitem__),
            _joined(batches),
        )

    @classmethod
    def stacked(cls, batches: Sequence["SampleBatch"]) -> "SampleBatch":
        """One batch with all samples in order, each with the series of its own batch: `keys` may repeat themselves."""
        if len(batches) == 1:
            return batches[0]
        if not batches:
            return cls.empty()
        starts = np.cumsum([0, *(len(batch.keys) for batch in batches)], dtype=np.int32)
        return cls(
            np.concatenate([batch.at_us for batch in batches]),
            np.concatenate([batch.value for batch in batches]),
            np.concatenate([batch.key_index + start for batch, start in zip(batches, starts, strict=False)]),
            SeriesSet.stacked([batch.keys for batch in batches]),
            _joined(batches),
        )

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "SampleBatch":
        """The samples at `rows` (indices or a mask); `keys` stay as they are."""
        some = self.distributions
        return SampleBatch(
            self.at_us[rows],
            self.value[rows],
            self.key_index[rows],
            self.keys,
            None if some is None else some.take(rows, len(self)),
        )

    def of_keys(self, key_index: NDArray[np.int32], keys: Sequence[SeriesKey]) -> "SampleBatch":
        """The same samples with their series named otherwise."""
        return SampleBatch(self.at_us, self.value, key_index, keys, self.distributions)


def _joined(batches: Sequence[SampleBatch]) -> Distributions | None:
    return Distributions.joined([batch.distributions for batch in batches], [len(batch) for batch in batches])
