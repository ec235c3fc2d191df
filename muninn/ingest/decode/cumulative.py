"""OpenTelemetry's histograms of cumulative temporality: what one has counted since an earlier one.

Of what was counted in between, least and greatest value are known only where they are new records; else they lie in the
lowest and the highest bucket that has grown, and within the records. An exponential histogram that has become coarser
meanwhile is compared at the coarser scale.

Belongs here: points to and from what is remembered of them, growth of counts. Does not: which points count
(ingest.tallies), buckets to values (histograms).
"""

import math

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, HistogramDataPoint

from muninn.errors import Invalid
from muninn.ingest.decode import histograms
from muninn.ingest.decode.histograms import MAX_BUCKETS, SCALES, Extremes, Point
from muninn.numerics.distributions import MAX_COUNT, Distribution
from muninn.numerics.sketch import LARGEST

Counts = NDArray[np.int64]
Buckets = ExponentialHistogramDataPoint.Buckets


def usable(point: Point) -> bool:
    """Whether a point's buckets can be taken at all."""
    if isinstance(point, HistogramDataPoint):
        counts, fits = [point.count, *point.bucket_counts], len(point.bucket_counts) == len(point.explicit_bounds) + 1
        fits = fits or not (point.bucket_counts or point.explicit_bounds)
        numbers = [*point.explicit_bounds]
    else:
        counts = [point.count, point.zero_count, *point.positive.bucket_counts, *point.negative.bucket_counts]
        fits, numbers = SCALES[0] <= point.scale <= SCALES[1], [point.zero_threshold]
    for name in ("sum", "min", "max"):
        if point.HasField(name):
            numbers.append(getattr(point, name))
    small = all(math.isfinite(number) and abs(number) <= LARGEST for number in numbers)
    return fits and small and len(counts) <= MAX_BUCKETS and max(counts) <= MAX_COUNT


class BoundsTotal:
    """A histogram with explicit bounds, as an ingest.tallies.Total."""

    def __init__(self, point: HistogramDataPoint):
        self._point = point

    def kept(self) -> bytes:
        """All that `since` needs to know."""
        point = HistogramDataPoint(
            count=self._point.count,
            bucket_counts=self._point.bucket_counts,
            explicit_bounds=self._point.explicit_bounds,
        )
        _copy_figures(self._point, point)
        return b"b" + bytes(point.SerializeToString())

    def since(self, kept: bytes | None) -> Distribution | None:
        """See Total."""
        if kept is None:
            return _only(list(histograms.of_bounds(self._point)))
        before, now = HistogramDataPoint(), self._point
        _parse(before, kept, b"b")
        if before.explicit_bounds != now.explicit_bounds:
            raise Invalid("its bounds are others")
        grown = HistogramDataPoint(
            explicit_bounds=now.explicit_bounds,
            bucket_counts=_growth(_array(before.bucket_counts), _array(now.bucket_counts)).tolist(),
            count=int(_growth(_array([before.count]), _array([now.count]))[0]),
        )
        _grow_figures(before, now, grown)
        return _only(list(histograms.of_bounds(grown, _extremes(now))))


class ExponentsTotal:
    """An exponential histogram, as an ingest.tallies.Total."""

    def __init__(self, point: ExponentialHistogramDataPoint):
        self._point = point

    def kept(self) -> bytes:
        """All that `since` needs to know."""
        now = self._point
        point = ExponentialHistogramDataPoint(
            count=now.count,
            scale=now.scale,
            zero_count=now.zero_count,
            zero_threshold=now.zero_threshold,
            positive=now.positive,
            negative=now.negative,
        )
        _copy_figures(now, point)
        return b"e" + bytes(point.SerializeToString())

    def since(self, kept: bytes | None) -> Distribution | None:
        """See Total."""
        if kept is None:
            return _only(list(histograms.of_exponents(self._point)))
        before, now = ExponentialHistogramDataPoint(), self._point
        _parse(before, kept, b"e")
        if before.zero_threshold != now.zero_threshold:
            raise Invalid("its zero is another")
        scale = min(before.scale, now.scale)
        grown = ExponentialHistogramDataPoint(
            scale=scale,
            zero_count=int(_growth(_array([before.zero_count]), _array([now.zero_count]))[0]),
            count=int(_growth(_array([before.count]), _array([now.count]))[0]),
            positive=_grown(before.positive, before.scale - scale, now.positive, now.scale - scale),
            negative=_grown(before.negative, before.scale - scale, now.negative, now.scale - scale),
        )
        _grow_figures(before, now, grown)
        return _only(list(histograms.of_exponents(grown, _extremes(now))))


def _parse(point: Point, kept: bytes, kind: bytes) -> None:
    if kept[:1] != kind:
        raise Invalid("it was a histogram of another kind")
    try:
        point.ParseFromString(kept[1:])
    except DecodeError:
        raise Invalid("what was kept of it cannot be read") from None


def _array(counts: object) -> Counts:
    return np.array(counts, np.int64)


def _growth(before: Counts, now: Counts) -> Counts:
    """now - before; Invalid where something has fallen."""
    if len(before) != len(now):
        raise Invalid("its buckets are others")
    grown = now - before
    if (grown < 0).any():
        raise Invalid("it has fallen")
    return grown


def _grown(before: Buckets, coarser_before: int, now: Buckets, coarser_now: int) -> Buckets:
    """The buckets' growth, both at the scale that is so many steps coarser than their own."""
    was_from, was = _at_scale(before, coarser_before)
    is_from, now_is = _at_scale(now, coarser_now)
    if not was.any():
        return Buckets(offset=is_from, bucket_counts=now_is.tolist())
    start = min(was_from, is_from) if len(now_is) else was_from
    end = max(was_from + len(was), is_from + len(now_is))
    if end - start > MAX_BUCKETS:
        raise Invalid("its buckets are others")
    whole = np.zeros((2, end - start), np.int64)
    whole[0, was_from - start :][: len(was)] = was
    whole[1, is_from - start :][: len(now_is)] = now_is
    return Buckets(offset=start, bucket_counts=_growth(whole[0], whole[1]).tolist())


def _at_scale(buckets: Buckets, coarser: int) -> tuple[int, Counts]:
    """(offset, counts) where two buckets become one so many times."""
    counts = _array(buckets.bucket_counts)
    if not coarser or not len(counts):
        return buckets.offset, counts
    place = (buckets.offset + np.arange(len(counts))) >> coarser
    merged = np.zeros(int(place[-1] - place[0]) + 1, np.int64)
    np.add.at(merged, place - place[0], counts)
    return int(place[0]), merged


def _copy_figures(source: Point, target: Point) -> None:
    for name in ("sum", "min", "max"):
        if source.HasField(name):
            setattr(target, name, getattr(source, name))


def _grow_figures(before: Point, now: Point, grown: Point) -> None:
    """The sum of what came in between, and least and greatest where they are new records."""
    if before.HasField("sum") and now.HasField("sum"):
        grown.sum = now.sum - before.sum
    if before.HasField("min") and now.HasField("min") and now.min < before.min:
        grown.min = now.min
    if before.HasField("max") and now.HasField("max") and now.max > before.max:
        grown.max = now.max


def _extremes(point: Point) -> Extremes:
    low = point.min if point.HasField("min") else None
    high = point.max if point.HasField("max") else None
    return (low, high) if low is None or high is None or low <= high else (None, None)


def _only(parts: list[histograms.Part]) -> Distribution | None:
    return parts[0][2] if parts else None
