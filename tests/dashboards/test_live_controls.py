"""The live page as a script: which charts it hands to the browser, with and without a database."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from streamlit_app import shell

APP = Path(__file__).parents[2] / "streamlit_app" / "app.py"


@pytest.fixture(autouse=True)
def fresh_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("MUNINN_DATABASE_URL", "MUNINN_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MUNINN_SIDECAR_PORT", "18481")
    monkeypatch.setenv("MUNINN_SIDECAR_WINDOW_S", "600")
    st.cache_resource.clear()
    yield
    try:
        shell.current_reads().close()
    except Exception:
        pass
    st.cache_resource.clear()


def run(**query: Any) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=30).run()
    app.switch_page("app_pages/live.py")
    app.query_params.update(query)
    return app.run()


def board(app: AppTest) -> dict[str, Any]:
    """What the browser is given."""
    (component,) = app.get("bidi_component")
    return dict(json.loads(component.proto.json))


def test_a_first_visit_shows_the_hosts_and_the_platforms_charts(
    monkeypatch: pytest.MonkeyPatch, known_url: str
) -> None:
    monkeypatch.setenv("MUNINN_DATABASE_URL", known_url)
    app = run()
    assert not app.exception
    given = board(app)
    assert [chart["id"] for chart in given["charts"]] == ["cpu", "memory", "network", "disk", "load", "ingest"]
    assert (given["port"], given["url"], given["columns"], given["windows_s"]) == (18481, "", 2, [60, 300, 600])
    ingest = given["charts"][-1]
    assert (ingest["unit"], ingest["rate"]) == ("/s", True)
    assert ingest["channels"][0]["metric"] == "muninn_ingest_samples_total"


def test_any_metric_of_the_store_can_be_picked_and_a_host(monkeypatch: pytest.MonkeyPatch, known_url: str) -> None:
    monkeypatch.setenv("MUNINN_DATABASE_URL", known_url)
    app = run()
    app.multiselect(key="charts").set_value(["memory_used_bytes", "ingest"])
    app.selectbox(key="host").set_value("beta")
    app.run()
    assert not app.exception
    memory, ingest = board(app)["charts"]
    assert (memory["title"], memory["unit"], memory["rate"]) == ("memory_used_bytes", "B", False)
    assert memory["channels"] == [{"metric": "memory_used_bytes", "labels": {"host": "beta"}, "name": ""}]
    assert ingest["channels"][0]["labels"] == {}  # the platform's own figures have no host


def test_without_a_database_the_prepared_charts_are_there_all_the_same() -> None:
    app = run()
    assert not app.exception
    assert len(board(app)["charts"]) == 6
    assert any("only the prepared charts" in caption.value for caption in app.caption)


def test_no_chart_is_told() -> None:
    app = run()
    app.multiselect(key="charts").set_value([]).run()
    assert not app.exception
    assert [info.value for info in app.info] == ["Pick at least one chart above."]
    assert not app.get("bidi_component")
