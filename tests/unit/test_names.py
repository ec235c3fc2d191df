"""What a metric's name tells, and the keys that rooms agree on."""

import re

import pytest

from muninn import names


@pytest.mark.parametrize(
    ("name", "kind", "unit"),
    [
        ("http_requests_total", "counter", ""),
        ("http_request_seconds_total", "counter", "s"),
        ("network_received_bytes_total", "counter", "B"),
        ("disk_read_bytes_per_s", "gauge", "B/s"),
        ("context_switches_per_s", "gauge", "/s"),
        ("memory_used_bytes", "gauge", "B"),
        ("cpu_busy_pct", "gauge", "%"),
        ("hit_ratio", "gauge", "ratio"),
        ("latency_ms", "gauge", "ms"),
        ("uptime_s", "gauge", "s"),
        ("request_seconds", "gauge", "s"),
        ("load_1m", "gauge", ""),
        ("total", "gauge", ""),
        ("jobs", "gauge", ""),
    ],
)
def test_kind_and_unit_follow_from_the_name(name: str, kind: str, unit: str) -> None:
    found = names.infer(name)
    assert (found.kind, found.unit) == (kind, unit)


def test_registered_metrics_have_help_and_agree_with_their_names() -> None:
    assert len(names.REGISTRY) > 50
    for name, metric in names.REGISTRY.items():
        assert metric.name == name
        assert metric.help
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert names.describe(name) is metric
    assert names.describe("something_else_ms") == names.infer("something_else_ms")


def test_keys_start_with_our_name_and_differ() -> None:
    keys = [names.ingest_stream(), names.ingest_stream(1), names.DEAD_LETTERS, names.idempotency_key("k")]
    keys += [names.board_key("p", "i"), names.cache_key("n")]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith("muninn:") for key in keys)
    assert names.ingest_stream() == "muninn:ingest:0"
