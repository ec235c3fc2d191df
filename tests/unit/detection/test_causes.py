"""The table of causes: every runbook is written, every feature is known, and weighing has its algebra."""

from pathlib import Path

import pytest

from muninn.detection.causes import CAUSES, Cause, Clue, Observation, weigh
from muninn.detection.causes.table import DOWN, SILENT, UP
from muninn.detection.features import FEATURES, MODELLED, TRENDS, feature_of
from muninn.model import SeriesKey

RUNBOOKS = Path(__file__).parents[3] / "docs" / "runbooks"
KNOWN = {each.name for each in FEATURES} | set(TRENDS) | {"deploy", "*"}


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_a_cause_names_a_runbook_and_features_that_exist(cause: Cause) -> None:
    assert (RUNBOOKS / f"{cause.runbook}.md").exists()
    assert cause.actions
    assert {clue.feature for clue in cause.clues} <= KNOWN
    assert all(clue.moves in (UP, DOWN, SILENT) and -1 < clue.weight < 1 for clue in cause.clues)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_a_cause_whose_clues_are_all_seen_is_the_most_probable(cause: Cause) -> None:
    seen = [
        Observation(clue.feature if clue.feature != "*" else "cpu", clue.moves, 1.0, "s")
        for clue in cause.clues
        if clue.weight > 0
    ]
    assert weigh(seen)[0].cause is cause


def test_more_evidence_is_more_confidence_and_a_clue_counts_once() -> None:
    one = [Observation("memory", UP, 0.9, "a")]
    more = [*one, Observation("swap", UP, 0.9, "b")]
    again = [*one, Observation("memory", UP, 0.8, "c")]
    first, second, third = (weigh(seen)[0].confidence for seen in (one, more, again))
    assert first < second < 1
    assert first == third


def test_what_speaks_against_it_takes_confidence_away() -> None:
    cause = Cause("c", "C", "r", (Clue("a", UP, 0.8, "a rose"), Clue("b", UP, -0.5, "b rose")), ("do",))
    alone = weigh([Observation("a", UP, 1.0, "x")], [cause])[0]
    assert alone.confidence == pytest.approx(0.8)
    both = weigh([Observation("a", UP, 1.0, "x"), Observation("b", UP, 1.0, "y")], [cause])[0]
    assert both.confidence == pytest.approx(0.4)
    assert both.evidence == (("a rose", "x"),)


def test_nothing_seen_is_no_cause() -> None:
    assert weigh([]) == []
    assert weigh([Observation("", UP, 1.0, "x")]) == []


@pytest.mark.parametrize(
    ("metric", "labels", "feature"),
    [
        ("cpu_busy_pct", {"cpu": "total"}, "cpu"),
        ("cpu_busy_pct", {"cpu": "0"}, "cpu_core"),
        ("cpu_usage_pct", {"cpu": "total", "mode": "steal"}, "steal"),
        ("memory_used_pct", {}, "memory"),
        ("memory_available_bytes", {}, "memory_free"),
        ("http_response_time_p95_ms", {}, "response_p95"),
        ("response_time_ms", {}, "response_mean"),
        ("http_errors_total", {}, "error_rate"),
        ("db_query_time_ms", {}, "db_time"),
        ("redis_evicted_keys_total", {}, "evictions"),
        ("cache_hit_pct", {}, "cache_hit"),
        ("redis_keyspace_hits_total", {}, "cache_hits"),
        ("http_request_duration_seconds_count", {}, "request_rate"),
        ("http_request_duration_seconds_sum", {}, "response_total"),
        ("http_request_duration_seconds_bucket", {"le": "0.5"}, "response_buckets"),
        ("http_response_size_bytes_sum", {}, "size"),
        ("http_request_duration_seconds", {"quantile": "0.95"}, "response_p95"),
        ("http_request_duration_seconds", {"quantile": "0.5"}, "quantile"),
        ("db_query_duration_seconds_count", {}, "query_rate"),
        ("http_requests_total", {"code": "200"}, "request_rate"),
        ("http_requests_total", {"code": "503"}, "error_rate"),
        ("node_cpu_seconds_total", {"cpu": "0", "mode": "idle"}, "cpu_idle"),
        ("node_cpu_seconds_total", {"cpu": "0", "mode": "steal"}, "steal"),
        ("cpu_usage_idle", {"cpu": "cpu-total"}, "cpu_idle"),
        ("process_resident_memory_bytes", {}, "process_memory"),
        ("room_temperature_celsius", {}, None),
    ],
)
def test_metrics_are_known_by_their_names(metric: str, labels: dict[str, str], feature: str | None) -> None:
    found = feature_of(SeriesKey.of(metric, labels))
    assert (found.name if found else None) == feature


def test_the_models_columns_are_the_declared_ones() -> None:
    assert MODELLED[:2] == ("hour", "weekday")
    assert {"cpu", "memory", "gc", "response_mean", "response_p95", "error_rate", "db_time", "connections"} <= set(
        MODELLED
    )
    assert {"query_rate", "cache_hit", "evictions", "request_rate", "viewers", *TRENDS} <= set(MODELLED)
    assert len(set(MODELLED)) == len(MODELLED)
