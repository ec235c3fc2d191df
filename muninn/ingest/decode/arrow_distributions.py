"""The optional Arrow column `distribution`: many values in a sample, by column and without a Python object per value.

A struct of `values` (list of numbers, 1 to 10,000) and, where some came more than once, `counts` (list of whole numbers
from 1), and of `sum`, `min` and `max` of what the values stand for, where they are rounded. It takes the place of
`value`; a null is a plain sample.

Belongs here: that column. Does not: the other columns (arrow), the same as JSON (distribution).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.ingest.decode.distribution import MAX_VALUES
from muninn.ingest.validate import Screening
from muninn.model import Distributions
from muninn.numerics import sketch
from muninn.numerics.distributions import MAX_COUNT
from muninn.numerics.sketch import LARGEST, SMALLEST

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
COLUMN = "distribution"
_MAX_TIMES = (1 << 32) - 1


@dataclass(frozen=True)
class Found:
    """there: bool[n], which samples are distributions. mean: float64[n], their means. some: those that are good."""

    there: Mask
    mean: Floats
    some: Distributions | None


def parse(column: pa.ChunkedArray, screening: Screening) -> Found:
    """The distributions of a column; Invalid if it is of another type. Bad ones are refused in `screening`."""
    if not pa.types.is_struct(column.type):
        raise Invalid(f"column `{COLUMN}` must hold structs, not {column.type}", COLUMN)
    there = column.is_valid().to_numpy().astype(bool)
    rows = np.flatnonzero(there)
    given = column.filter(column.is_valid()).combine_chunks()
    columns = _Columns(given, len(there), rows, screening)
    mean = np.zeros(len(there), np.float64)
    some, means = columns.made()
    if some is not None:
        mean[some.rows] = means
    return Found(there, mean, some)


class _Columns:
    """d distributions at `rows` of n samples; flat: their values one after another, as many of each as `lengths`."""

    def __init__(self, given: pa.StructArray, samples: int, rows: Ints, screening: Screening):
        self._given, self._samples, self._rows, self._screening = given, samples, rows, screening
        self._good = np.ones(len(rows), np.bool_)
        self._lengths, flat = self._list("values", pa.float64())
        self._flat: Floats = flat.astype(np.float64, copy=False)

    def made(self) -> tuple[Distributions | None, Floats]:
        """The good ones, and their means."""
        self._check_values()
        times = self._times()
        low, high, total = (self._figure(name) for name in ("min", "max", "sum"))
        chosen = np.flatnonzero(self._good)
        if not len(chosen):
            return None, np.empty(0, np.float64)
        inside = np.repeat(self._good, self._lengths)
        values, times, lengths = self._flat[inside], times[inside], self._lengths[chosen]
        starts = np.cumsum(lengths) - lengths
        count = np.add.reduceat(times, starts)
        low = _either(low[chosen], np.minimum.reduceat(values, starts))
        high = _either(high[chosen], np.maximum.reduceat(values, starts))
        total = _either(total[chosen], np.add.reduceat(values * times, starts))
        wrong = self._spread(chosen, (low > high))
        self._refuse(wrong, "min is above max")
        self._refuse(self._spread(chosen, count > MAX_COUNT), f"at most {MAX_COUNT} values")
        lengths, bins = _sketches(np.repeat(np.arange(len(chosen)), lengths), values, times, len(chosen))
        high = np.maximum(low, high)
        mean = np.clip(total / count, low, high)
        return Distributions(self._rows[chosen], count, low, high, lengths, bins), mean

    def _check_values(self) -> None:
        few = (self._lengths < 1) | (self._lengths > MAX_VALUES)
        self._refuse(few, f"values must be a list of 1 to {MAX_VALUES} numbers")
        size = np.abs(self._flat)
        fits = (size == 0) | ((size >= SMALLEST) & (size <= LARGEST))
        self._refuse(self._any(~fits), f"values must be 0 or between {SMALLEST:g} and {LARGEST:g} in size")

    def _times(self) -> Ints:
        """How often each value came."""
        column = self._field("counts")
        if column is None or pa.types.is_null(column.type):
            return np.ones(len(self._flat), np.int64)
        lengths, flat = self._list("counts", pa.int64())
        given = column.is_valid().to_numpy(zero_copy_only=False)
        self._refuse(given & (lengths != self._lengths), "counts must be as many as there are values")
        times = np.ones(len(self._flat), np.int64)
        same = lengths == self._lengths
        times[np.repeat(given & same, self._lengths)] = flat[np.repeat(given & same, lengths)]
        self._refuse(self._any((times < 1) | (times > _MAX_TIMES)), "counts must be from 1 to 2^32 - 1")
        return times

    def _figure(self, name: str) -> Floats:
        """float64[d]; NaN where it is not given."""
        column = self._field(name)
        if column is None or pa.types.is_null(column.type):
            return np.full(len(self._rows), np.nan)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise Invalid(f"{COLUMN}.{name} must hold numbers, not {column.type}", COLUMN)
        given = column.is_valid().to_numpy(zero_copy_only=False)
        found: Floats = column.cast(pa.float64(), safe=False).fill_null(0.0).to_numpy(zero_copy_only=False)
        self._refuse(given & ~np.isfinite(found), f"{name} must be a finite number")
        return np.where(given, found, np.nan)

    def _field(self, name: str) -> pa.Array | None:
        place = self._given.type.get_field_index(name)
        return None if place < 0 else pc.struct_field(self._given, [place])

    def _list(self, name: str, kind: pa.DataType) -> tuple[Ints, NDArray[np.generic]]:
        """(lengths, all of them one after another); what is null inside is no number, or 0 where it is whole."""
        column = self._field(name)
        if column is None or not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
            raise Invalid(f"{COLUMN}.{name} must hold lists of numbers", COLUMN)
        inner = column.type.value_type
        if not (pa.types.is_integer(inner) or (pa.types.is_floating(inner) and kind == pa.float64())):
            raise Invalid(f"{COLUMN}.{name} must hold lists of numbers, not of {inner}", COLUMN)
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        flat = pc.list_flatten(column).cast(kind, safe=False)
        missing = float("nan") if kind == pa.float64() else 0
        return lengths, flat.fill_null(missing).to_numpy(zero_copy_only=False)

    def _any(self, wrong: Mask) -> Mask:
        """bool[d] from one of each value: whether some of its values are."""
        owner = np.repeat(np.arange(len(self._rows)), self._lengths)
        found = np.zeros(len(self._rows), np.bool_)
        found[owner[wrong]] = True
        return found

    def _spread(self, chosen: NDArray[np.intp], wrong: Mask) -> Mask:
        found = np.zeros(len(self._rows), np.bool_)
        found[chosen[wrong]] = True
        return found

    def _refuse(self, wrong: Mask, what: str) -> None:
        self._good &= ~wrong
        mask = np.zeros(self._samples, np.bool_)
        mask[self._rows[wrong]] = True
        self._screening.refuse(mask, lambda _: f"{COLUMN}: {what}")


def _either(given: Floats, else_: Floats) -> Floats:
    return np.where(np.isnan(given), else_, given)


def _sketches(owner: Ints, values: Floats, times: Ints, count: int) -> tuple[Ints, Ints]:
    """(int64[count] lengths, bins) of the sketch of each owner's values; owner ascends and has every number."""
    keys = sketch.key_of(values)
    order = np.lexsort((keys, owner))
    owner, keys, times = owner[order], keys[order], times[order]
    first = np.flatnonzero((np.diff(owner, prepend=-1) != 0) | (np.diff(keys, prepend=keys[0]) != 0))
    bins = (keys[first] << 32) + np.minimum(np.add.reduceat(times, first), _MAX_TIMES)
    return np.bincount(owner[first], minlength=count).astype(np.int64), bins
