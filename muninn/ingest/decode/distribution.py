"""The optional member `distribution` of a JSON sample: many values in one, as values that came so many times each.

`values` (numbers, at most 10,000) and, where some came more than once, `counts` (whole numbers from 1); optional `sum`,
`min` and `max` of what the values stand for, where they are rounded. It takes the place of `value`.

Belongs here: that member. Does not: the rest of a sample (json), what can be kept (numerics.distributions).
"""

import math

import numpy as np
from numpy.typing import NDArray

from muninn.errors import Invalid
from muninn.ingest.validate import kind_of
from muninn.numerics import distributions
from muninn.numerics.distributions import MAX_COUNT, Distribution
from muninn.numerics.sketch import LARGEST, SMALLEST

MAX_VALUES = 10_000


def parse(found: object) -> Distribution:
    """The distribution; Invalid says what is wrong with it."""
    if not isinstance(found, dict):
        raise Invalid(f"distribution: must be an object, not {kind_of(found)}")
    values = _values(found.get("values"))
    made = distributions.of_values(values, _counts(found.get("counts"), len(values)))
    if made.count > MAX_COUNT:
        raise Invalid(f"distribution: {made.count} values, {MAX_COUNT} at the most")
    low = _figure(found, "min", made.low)
    high = _figure(found, "max", made.high)
    if low > high:
        raise Invalid("distribution: min is above max")
    mean = _figure(found, "sum", made.mean * made.count) / made.count
    return Distribution(made.count, min(max(mean, low), high), low, high, made.bins)


def _values(found: object) -> NDArray[np.float64]:
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_VALUES:
        raise Invalid(f"distribution: values must be an array of 1 to {MAX_VALUES} numbers")
    if not set(map(type, found)) <= {int, float}:
        raise Invalid("distribution: values must be numbers")
    values = np.array(found, np.float64)
    size = np.abs(values)
    if not ((size == 0) | ((size >= SMALLEST) & (size <= LARGEST))).all():
        raise Invalid(f"distribution: values must be 0 or between {SMALLEST:g} and {LARGEST:g} in size")
    return values


def _counts(found: object, values: int) -> NDArray[np.int64]:
    if found is None:
        return np.ones(values, np.int64)
    if not isinstance(found, list) or len(found) != values or not set(map(type, found)) <= {int}:
        raise Invalid("distribution: counts must be as many whole numbers as there are values")
    if not all(1 <= count < 1 << 32 for count in found):
        raise Invalid("distribution: counts must be from 1 to 2^32 - 1")
    return np.array(found, np.int64)


def _figure(found: dict[str, object], name: str, default: float) -> float:
    given = found.get(name)
    if given is None:
        return default
    if not isinstance(given, int | float) or isinstance(given, bool) or not math.isfinite(given):
        raise Invalid(f"distribution: {name} must be a finite number")
    return float(given)
