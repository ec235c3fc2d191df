"""OpenTelemetry's histograms as distributions.

The first bucket has no lower bound and the last one no upper: they end at `min` and `max` where the point has them,
else the first begins at 0 (at its bound, where that is lower) and the last one ends at its bound. What lies inside a
bucket is not known; see muninn.numerics.distributions for what that costs.

Belongs here: bounds and exponents to edges. Does not: the rest of a request (otlp), growth of counts (cumulative).
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, HistogramDataPoint

from muninn.numerics.distributions import MAX_COUNT, Distribution, of_buckets
from muninn.numerics.sketch import LARGEST, SMALLEST

Part = tuple[str, dict[str, str], Distribution]
Point = HistogramDataPoint | ExponentialHistogramDataPoint
Extremes = tuple[float | None, float | None]

MAX_BUCKETS = 1_000
# Those that the specification has, and some more.
SCALES = (-10, 30)
# What validation refuses: a point that is none.
_BAD = Distribution(0, math.nan, math.nan, math.nan, np.empty(0, np.int64))


def of_bounds(point: HistogramDataPoint, within: Extremes = (None, None)) -> Iterator[Part]:
    """A histogram with explicit bounds; nothing where nothing was counted.

    within: what all values lie between where the point itself has no least and greatest.
    """
    bounds = np.array(point.explicit_bounds, np.float64)
    counts = _counts(point.bucket_counts or [point.count])
    if not counts.any():
        return
    if len(counts) != len(bounds) + 1 or len(counts) > MAX_BUCKETS or not np.isfinite(bounds).all():
        yield "", {}, _BAD
        return
    low, high = _known(point, within)
    mean = point.sum / point.count if point.count else 0.0
    first, last = (bounds[0], bounds[-1]) if len(bounds) else (mean, mean)
    below = min(0.0, first) if low is None else min(low, first)
    above = last if high is None else max(high, last)
    yield _made(point, np.concatenate([[below], bounds, [above]]), counts, within)


def of_exponents(point: ExponentialHistogramDataPoint, within: Extremes = (None, None)) -> Iterator[Part]:
    """An exponential histogram; nothing where nothing was counted."""
    positive, negative = _counts(point.positive.bucket_counts), _counts(point.negative.bucket_counts)
    counts = np.concatenate([negative[::-1], [0], _counts([point.zero_count]), [0], positive])
    if not counts.any():
        return
    if len(counts) > MAX_BUCKETS or not SCALES[0] <= point.scale <= SCALES[1]:
        yield "", {}, _BAD
        return
    up = _edges(point.scale, point.positive.offset, len(positive))
    down = _edges(point.scale, point.negative.offset, len(negative))
    yield _made(point, np.concatenate([-down[::-1], [0.0, 0.0], up]), counts, within)


def _edges(scale: int, offset: int, buckets: int) -> NDArray[np.float64]:
    """float64[buckets + 1]: powers of 2^(2^-scale)."""
    exponent = (offset + np.arange(buckets + 1)) * 2.0**-scale
    edges: NDArray[np.float64] = np.clip(np.exp2(np.clip(exponent, -1000, 1000)), SMALLEST, LARGEST)
    return edges


def _counts(given: Sequence[int]) -> NDArray[np.int64]:
    """More than can be kept stays more than can be kept."""
    return np.minimum(np.array(given, np.uint64), np.uint64(MAX_COUNT + 1)).astype(np.int64)


def _made(point: Point, edges: NDArray[np.float64], counts: NDArray[np.int64], within: Extremes) -> Part:
    low, high = _extremes(point)
    total = point.sum if point.HasField("sum") else None
    if not all(each is None or math.isfinite(each) for each in (low, high, total)):
        return "", {}, _BAD
    edges = np.clip(edges, -LARGEST if within[0] is None else within[0], LARGEST if within[1] is None else within[1])
    return "", {}, of_buckets(edges, counts, total, low, high)


def _known(point: Point, within: Extremes) -> Extremes:
    low, high = _extremes(point)
    return within[0] if low is None else low, within[1] if high is None else high


def _extremes(point: Point) -> Extremes:
    return (point.min if point.HasField("min") else None), (point.max if point.HasField("max") else None)
