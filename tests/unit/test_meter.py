"""The meter counts, also from many threads."""

import threading

from muninn.meter import Meter


def test_counters_add_up_across_threads() -> None:
    meter = Meter()

    def work() -> None:
        for _ in range(1000):
            meter.count("muninn_things_total", 2, kind="a")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.snapshot() == [("muninn_things_total", {"kind": "a"}, 8000.0)]


def test_durations_keep_count_sum_and_peak_and_the_peak_starts_anew() -> None:
    meter = Meter()
    meter.duration("muninn_query", 0.5, query="trend")
    meter.duration("muninn_query", 0.25, query="trend")
    first = {name: value for name, _, value in meter.snapshot()}
    assert first == {"muninn_query_count_total": 2, "muninn_query_seconds_total": 0.75, "muninn_query_peak_ms": 500}
    assert "muninn_query_peak_ms" not in {name for name, _, _ in meter.snapshot()}
