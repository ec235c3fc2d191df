"""Faults recorded from a running Muninn are found again by the same code, soon enough."""

import pytest

from bench.faults import run


@pytest.mark.slow
def test_what_was_injected_is_found_within_two_minutes() -> None:
    figures = run()
    delays = figures["seconds to detection"]
    assert isinstance(delays, dict)
    assert set(delays) == {"latency", "cpu", "errors", "memory", "traffic", "disk", "silence"}
    assert [kind for kind, delay in delays.items() if delay is None or delay >= 120] == []
    assert figures["false alerts"] == 0
