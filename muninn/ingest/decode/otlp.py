"""OpenTelemetry metrics over HTTP (OTLP 1.x, protobuf or JSON) to columns.

Names keep their dots. Resource and point attributes become labels; `service.name` also names the source agent and
`service.instance.id` the instance. A gauge or sum is one series. A histogram or exponential histogram of delta
temporality is one series of distributions. One of cumulative temporality says what was since its start: it becomes
`_count`, `_sum` and, where it has bounds, a `_bucket` series each, labelled `le`, all counters, as Prometheus has them,
and a running total, of which ingest.tallies makes distributions. A summary keeps its count and sum. Points flagged as
without a value are counted and left.
"""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, HistogramDataPoint, Metric

from muninn.errors import Invalid
from muninn.ingest.body import TooLarge
from muninn.ingest.decode import Count, histograms
from muninn.ingest.decode._nested import messages, table_of
from muninn.ingest.decode.cumulative import BoundsTotal, ExponentsTotal, usable
from muninn.ingest.decode.histograms import Point
from muninn.ingest.decode.json import MAX_OBJECTS
from muninn.ingest.decode.label_table import MAX_REQUEST_BYTES
from muninn.ingest.tallies import Running, Total
from muninn.ingest.validate import MAX_LABELS, Decoded, Rules, Screening, series_key
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.numerics.distributions import Distribution, columns

_NO_RECORDED_VALUE = 1
_FURTHEST_US = 253_402_300_800_000_000

# Of one request: each message of a body is an object while it is decoded, each sample a few.
MAX_MESSAGES, MAX_SAMPLES = 3_000_000, 1_000_000
_TABLE = table_of(ExportMetricsServiceRequest.DESCRIPTOR)

Labels = dict[str, str]
# (name suffix, extra labels, value) of what one point stands for.
Parts = Iterable[tuple[str, Labels, float | Distribution]]


def decode(body: bytes, content_type: str, rules: Rules, now_us: int, count: Count) -> Decoded:
    """The samples of an ExportMetricsServiceRequest; Invalid when it is none.

    content_type: application/x-protobuf or application/json.
    count: told what was left out, as (kind, how many): no_recorded_value, cumulative_unusable.
    """
    columns = _Columns(rules.window(now_us))
    for resource in _parse(body, content_type).resource_metrics:
        shared = _labels(resource.resource.attributes)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point, parts in _points(metric):
                    if point.flags & _NO_RECORDED_VALUE:
                        count("no_recorded_value", 1)
                        continue
                    labels = {**shared, **_labels(point.attributes)}
                    total = _total(metric, point)
                    if total is not None and not columns.run(metric.name, labels, point, total):
                        count("cumulative_unusable", 1)
                    for suffix, extra, value in parts:
                        columns.add(metric.name + suffix, {**labels, **extra}, point.time_unix_nano, value)
    return columns.decoded(rules, now_us)


def _parse(body: bytes, content_type: str) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    is_json = content_type == "application/json"
    most = MAX_OBJECTS if is_json else MAX_MESSAGES
    if (body.count(b"{") if is_json else messages(body, _TABLE, most)) > most:
        raise TooLarge(f"a request of more than {most} messages within messages: send fewer points at once")
    try:
        if is_json:
            json_format.Parse(body, request, ignore_unknown_fields=True)
        else:
            request.ParseFromString(body)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"not an OTLP ExportMetricsServiceRequest: {str(error)[:200]}") from None
    return request


def answer(content_type: str, rejected: int, message: str) -> bytes:
    """An ExportMetricsServiceResponse, in the format of the request."""
    response = ExportMetricsServiceResponse()
    if rejected:
        response.partial_success.rejected_data_points = rejected
        response.partial_success.error_message = message
    if content_type == "application/json":
        return str(json_format.MessageToJson(response, indent=None)).encode()
    return bytes(response.SerializeToString())


class _Columns:
    """Samples gathered a point at a time; a label set is checked once."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._running: list[Running] = []
        self._places: dict[SeriesKey, int] = {}
        self._at_ns: list[int] = []
        self._value: list[float] = []
        self._key: list[int] = []
        self._names_bytes = 0
        self._reasons: dict[int, str] = {}
        self._distributions: dict[int, Distribution] = {}

    def add(self, metric: str, labels: Labels, at_ns: int, value: float | Distribution) -> None:
        try:
            key = series_key(metric, labels, labels.get("service.name"), labels.get("service.instance.id"))
            place = self._place(key)
        except TooLarge:
            raise
        except Invalid as error:
            self._reasons[len(self._key)] = str(error)
            place = -1
        self._at_ns.append(at_ns)
        if isinstance(value, Distribution):
            self._distributions[len(self._value)] = value
        self._value.append(value.mean if isinstance(value, Distribution) else value)
        self._key.append(place)

    def _place(self, key: SeriesKey) -> int:
        """Of a series; TooLarge where a request has too many samples, or what many series share is too long."""
        if len(self._key) >= MAX_SAMPLES:
            raise TooLarge(f"a request of more than {MAX_SAMPLES} samples: send fewer points at once")
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self._places)
            self._names_bytes += len(key.canonical)
            if self._names_bytes > MAX_REQUEST_BYTES:
                raise TooLarge(f"the names and labels of its series take more than {MAX_REQUEST_BYTES} bytes")
        return place

    def run(self, metric: str, labels: Labels, point: Point, total: Total) -> bool:
        """Gather a running total; False where it is of no use. What is wrong with name or time its counters tell."""
        if not usable(point):
            return False
        if self._window.since_us <= point.time_unix_nano // 1000 < self._window.until_us:
            with contextlib.suppress(Invalid):
                key = series_key(metric, labels, labels.get("service.name"), labels.get("service.instance.id"))
                self._running.append(Running(key, point.time_unix_nano, point.start_time_unix_nano, total))
        return True

    def decoded(self, rules: Rules, now_us: int) -> Decoded:
        at_us = np.minimum(np.array(self._at_ns, np.uint64) // np.uint64(1000), np.uint64(_FURTHEST_US))
        key_index = np.array(self._key, np.int32)
        screening = Screening(len(key_index))
        screening.refuse(key_index < 0, self._reasons.__getitem__)
        some = columns(np.array([*self._distributions], np.int64), [*self._distributions.values()])
        value = np.array(self._value, np.float64)
        batch = SampleBatch(at_us.astype(np.int64), value, key_index, tuple(self._places), some)
        return replace(screening.decoded(batch, rules, now_us), running=self._running)


def _total(metric: Metric, point: Any) -> Total | None:
    """What a point has counted since its start, where it is one of a cumulative histogram."""
    kind = metric.WhichOneof("data")
    if kind not in ("histogram", "exponential_histogram") or _is_delta(getattr(metric, kind)):
        return None
    return BoundsTotal(point) if kind == "histogram" else ExponentsTotal(point)


def _is_delta(data: Any) -> bool:
    return bool(data.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA)


def _points(metric: Metric) -> Iterator[tuple[HistogramDataPoint, Parts]]:
    """Each data point of a metric, with what it stands for."""
    match metric.WhichOneof("data"):
        case "gauge" | "sum" as kind:
            for point in getattr(metric, kind).data_points:
                value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
                yield point, [("", {}, float(value))]
        case "histogram":
            delta = _is_delta(metric.histogram)
            for point in metric.histogram.data_points:
                yield point, histograms.of_bounds(point) if delta else _histogram(point)
        case "exponential_histogram" if _is_delta(metric.exponential_histogram):
            for point in metric.exponential_histogram.data_points:
                yield point, histograms.of_exponents(point)
        case "exponential_histogram" | "summary" as kind:
            for point in getattr(metric, kind).data_points:
                yield point, [("_count", {}, float(point.count)), ("_sum", {}, point.sum)]


def _histogram(point: HistogramDataPoint) -> Parts:
    yield "_count", {}, float(point.count)
    if point.HasField("sum"):
        yield "_sum", {}, point.sum
    if point.bucket_counts:
        # Buckets that do not fit their bounds are left out: usable() counts the point.
        bounds = [*map(_written, point.explicit_bounds), "+Inf"]
        below_each = np.cumsum(np.array(point.bucket_counts, np.float64))
        for bound, below in zip(bounds, below_each, strict=True) if len(bounds) == len(below_each) else ():
            yield "_bucket", {"le": bound}, float(below)


def _written(bound: float) -> str:
    """The shortest text of this number and no other, without an exponent, as Prometheus names buckets."""
    return np.format_float_positional(bound, trim="-") if math.isfinite(bound) else f"{bound:g}"


def _labels(attributes: Iterable[KeyValue]) -> Labels:
    """What goes beyond the most labels by more than one is passed over: they are too many in any case."""
    return {each.key: _text(each.value) for each in islice(attributes, MAX_LABELS + 1)}


def _text(value: AnyValue) -> str:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return repr(value.double_value)
        case None:
            return ""
        case _:
            return str(json_format.MessageToJson(value, indent=None))
