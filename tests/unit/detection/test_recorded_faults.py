"""Faults recorded from a running Muninn are found again by the same code, soon enough."""

from bench.faults import run


def test_what_was_injected_is_found_within_two_minutes() -> None:
    figures = run()
    delays = figures["seconds to detection"]
    assert isinstance(delays, dict)
    found = {kind for kind, delay in delays.items() if delay is not None}
    # Memory: docs/detection.md says why not.
    assert found >= {"latency", "cpu", "errors", "traffic", "disk", "silence"}
    assert figures["false alerts"] == 0
    assert max(delay for delay in delays.values() if delay is not None) < 120
