"""The Cardinality page as a script: with series and refusals, with none, with the database away."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from muninn.cache import RedisBoard, connect
from muninn.meter import Meter

Run = Callable[..., AppTest]


@pytest.fixture
def run(run_page: Run) -> Run:
    return lambda database_url, redis_url=None: run_page("cardinality", database_url, redis_url=redis_url or "")


def test_it_shows_what_grows_and_what_was_refused(run: Run, known_url: str, redis_url: str) -> None:
    meter = Meter()
    meter.gauge("muninn_gate_active_series", 20)
    meter.count("muninn_gate_refused_series_total", 5, limit="metric", subject="requests", label="request_id")
    RedisBoard(connect(redis_url)).publish("gateway", "a:1", meter.snapshot())
    app = run(known_url, redis_url)
    assert not app.exception
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures == {"Series": "21", "Active": "20", "New in an hour": "21", "New in a day": "21", "Refused": "5"}
    metrics, sources, labels, refused = (frame.value for frame in app.dataframe)
    assert {"cpu_busy_pct", "queue_depth"} <= set(metrics["Metric"])
    assert set(sources["Source agent"]) == {"host-collector", "agent", "muninn"}
    assert dict(zip(labels["Label"], labels["Distinct values"], strict=True))["host"] == 2
    assert refused.to_dict("records") == [
        {"Limit": "metric", "Of": "requests", "Label to blame": "request_id", "Times refused": 5}
    ]
    assert len(app.get("plotly_chart")) == 2
    app.selectbox[0].select("queue_depth").run()
    assert set(app.dataframe[2].value["Label"]) == {"queue", "source_agent_id", "instance_id"}


def test_without_series_it_says_how_to_send_one(run: Run, postgres_url: str) -> None:
    app = run(postgres_url)
    assert not app.exception
    assert "No samples yet" in app.info[0].value


def test_without_a_database_it_says_so(run: Run) -> None:
    app = run("postgresql://muninn@/muninn?host=/nonexistent")
    assert not app.exception
    assert any("does not answer" in error.value for error in app.error)
