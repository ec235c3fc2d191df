"""Prometheus text: one family a metric, every label quoted."""

from muninn.cache.board import BoardEntry
from muninn.operations.prometheus import exposition


def entry(program: str, *metrics: tuple[str, dict[str, str], float]) -> BoardEntry:
    return BoardEntry(program, f"{program}:1", 1, 0, 0, metrics)


def test_figures_of_one_metric_stand_together() -> None:
    text = exposition(
        [
            entry("gateway", ("muninn_ingest_samples_total", {}, 3.0), ("muninn_buffer_lag_s", {}, 0.25)),
            entry("loader", ("muninn_ingest_samples_total", {"shard": "0"}, 4.0)),
        ]
    )
    assert text.splitlines() == [
        "# HELP muninn_buffer_lag_s age of the oldest buffer entry that is not in the store yet",
        "# TYPE muninn_buffer_lag_s gauge",
        'muninn_buffer_lag_s{instance="gateway:1",program="gateway"} 0.25',
        "# HELP muninn_ingest_samples_total samples that the buffer has durably",
        "# TYPE muninn_ingest_samples_total counter",
        'muninn_ingest_samples_total{instance="gateway:1",program="gateway"} 3.0',
        'muninn_ingest_samples_total{instance="loader:1",program="loader",shard="0"} 4.0',
    ]


def test_labels_are_escaped_and_odd_values_have_names() -> None:
    odd = [("a", {"path": 'C:\\x "y"\nz'}, float("nan")), ("b", {}, float("inf")), ("c", {}, float("-inf"))]
    lines = [line for line in exposition([entry("p", *odd)]).splitlines() if not line.startswith("#")]
    assert lines[0] == 'a{instance="p:1",path="C:\\\\x \\"y\\"\\nz",program="p"} NaN'
    assert [line.rpartition(" ")[2] for line in lines] == ["NaN", "+Inf", "-Inf"]
