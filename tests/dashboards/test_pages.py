"""Each page as a script, on real reads over a real store: with known data, with none, with the database away."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from servers import Postgres, eventually
from streamlit.testing.v1 import AppTest

from muninn.cache import RedisBoard, connect
from muninn.clock import SystemClock
from muninn.store.database import Database
from muninn.store.migrations import migrate
from streamlit_app import asked

PAGES = ("overview", "explore", "anomalies", "pipeline")
ALL_PAGES = (*PAGES, "alerts", "cardinality", "lifecycle")
NOBODY = "postgresql://muninn@/muninn?host=/nonexistent"

RunPage = Callable[..., AppTest]


def figures(app: AppTest) -> list[dict[str, Any]]:
    """The plotly figures of the page, as the browser gets them."""
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def texts(app: AppTest) -> str:
    """All that the page says in words."""
    kinds = (app.title, app.subheader, app.caption, app.markdown, app.error, app.warning, app.info)
    return "\n".join(element.value for kind in kinds for element in kind)


def table(app: AppTest, column: str) -> dict[str, list[Any]]:
    """The first table that has this column, by column."""
    found = next(frame.value for frame in app.dataframe if column in frame.value.columns)
    return {name: found[name].tolist() for name in found.columns}


def test_overview_shows_key_figures_hosts_and_their_courses(run_page: RunPage, known_url: str) -> None:
    app = run_page("overview", known_url)
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["Series"] == "21"
    hosts = table(app, "Host")
    assert hosts["Host"] == ["alpha", "beta"]
    assert hosts["Memory"] == [51.0, 52.0]
    # Loopback is left out: 2 KiB/s in and 1 KiB/s out.
    assert hosts["Network"] == ["3 KiB/s", "3 KiB/s"]
    units = [figure["layout"]["yaxis"]["title"]["text"] for figure in figures(app)]
    assert units == ["%", "%", "KiB/s", "tasks"]
    assert all(figure["data"] for figure in figures(app))


def test_overview_tells_what_changed_most_with_the_way_to_it(run_page: RunPage, known_url: str) -> None:
    app = run_page("overview", known_url)
    changed = {metric.label: metric for metric in app.metric}["queue\\_depth"]
    # Minutes pass between loading and looking, and comparisons are by whole minutes.
    assert 30 < float(changed.value) <= 50
    assert changed.delta.startswith("×")
    (link,) = app.get("page_link")
    assert link.proto.page == "explore"
    assert link.proto.query_string == "metric=queue_depth&label.queue=mail"
    assert "queue\\_depth" in texts(app)


def test_overview_says_what_is_not_well_and_what_to_do(run_page: RunPage, known_url: str, redis_url: str) -> None:
    app = run_page("overview", known_url, redis_url=redis_url)
    assert not app.exception
    assert "**loader** is down: gives no sign of life" in texts(app)
    assert "`muninn status`" in texts(app)


def test_explore_draws_the_metric_of_its_address(run_page: RunPage, known_url: str) -> None:
    app = run_page("explore", known_url, metric="memory_used_bytes", **{"label.host": "beta"})
    assert not app.exception
    (figure,) = figures(app)
    assert len(figure["data"]) == 1
    assert figure["layout"]["yaxis"]["title"]["text"] == "GiB"
    assert figure["layout"]["xaxis"]["title"]["text"].startswith("Time (Europe/Berlin, UTC")
    assert table(app, "Mean")["Mean"] == ["2 GiB"]


def test_explore_stacks_metrics_of_different_units(run_page: RunPage, known_url: str) -> None:
    app = run_page("explore", known_url)
    app.multiselect(key="metric").set_value(["cpu_busy_pct", "memory_used_bytes"]).run()
    assert not app.exception
    (figure,) = figures(app)
    assert [figure["layout"][axis]["title"]["text"] for axis in ("yaxis", "yaxis2")] == ["%", "GiB"]
    assert [trace["name"] for trace in figure["data"]] == ["alpha", "beta", "alpha", "beta"]
    assert "Steps of **1 min** from `metrics_1min`" in texts(app)


def test_explore_shows_a_counter_as_growth_per_second(run_page: RunPage, known_url: str) -> None:
    app = run_page("explore", known_url, metric="muninn_ingest_samples_total")
    (figure,) = figures(app)
    assert figure["layout"]["yaxis"]["title"]["text"] == "/s"
    assert table(app, "Mean")["Mean"] == ["5/s"]


def test_explore_holds_a_fixed_span_as_instants(run_page: RunPage, known_url: str) -> None:
    fixed = {"range": "custom", "since": "2026-03-29T00:30Z", "until": "2026-03-29T02:30Z"}
    app = run_page("explore", known_url, metric="load_1m", **fixed)
    assert not app.exception
    shown = {box.label: str(box.value) for box in app.datetime_input}
    # Berlin puts its clocks forward in between.
    assert shown == {"From": "2026-03-29 01:30:00", "Until": "2026-03-29 04:30:00"}
    assert app.query_params["since"] == "2026-03-29T00:30Z"
    assert "No samples in this range" in texts(app)


def test_explore_refuses_a_span_that_ends_before_it_begins(run_page: RunPage, known_url: str) -> None:
    fixed = {"range": "custom", "since": "2026-03-29T02:30Z", "until": "2026-03-29T00:30Z"}
    app = run_page("explore", known_url, **fixed)
    assert not app.exception
    assert "must end after it begins" in texts(app)
    assert not figures(app)


@pytest.mark.parametrize(
    "query",
    [
        {"metric": "no_such_metric"}, {"range": "soon"}, {"tz": "Mars"}, {"by": "colour"},
        {"range": "custom", "since": "0001-01-01T00:00Z"}, {"range": "custom", "until": "9999-12-31T23:59Z"},
    ],
)  # fmt: skip
def test_explore_survives_an_address_that_makes_no_sense(
    run_page: RunPage, known_url: str, query: dict[str, str]
) -> None:
    app = run_page("explore", known_url, **query)
    assert not app.exception
    assert len(figures(app)) == 1


def test_pipeline_shows_rates_lag_partitions_and_programs(run_page: RunPage, known_url: str, redis_url: str) -> None:
    RedisBoard(connect(redis_url), SystemClock()).publish("loader", "one", [("muninn_loader_lag_s", {}, 0.5)])
    app = run_page("pipeline", known_url, redis_url=redis_url)
    assert not app.exception
    rate, lag, depth, memory, days = figures(app)
    units = [figure["layout"]["yaxis"]["title"]["text"] for figure in (rate, lag, depth, memory)]
    assert units == ["/s", "ms", "entries", "MiB"]
    assert [trace["name"] for trace in rate["data"]] == ["taken in", "stored"]
    assert len(days["data"][0]["x"]) >= 1
    assert table(app, "Program")["Program"] == ["loader"]
    assert table(app, "Resolution")["Resolution"] == ["1min", "5min", "1hour", "1day"]
    assert {metric.label: metric.value for metric in app.metric}["Loader lag"] == "500 ms"
    assert "Dagster does not answer" in texts(app)


@pytest.mark.parametrize("page", PAGES)
def test_without_data_a_page_says_how_to_send_some(run_page: RunPage, postgres_url: str, page: str) -> None:
    app = run_page(page, postgres_url)
    assert not app.exception
    assert not app.error
    assert "No samples yet" in texts(app)
    assert "curl -X POST http://127.0.0.1:8480/api/v1/metrics" in app.code[0].value


def test_where_nothing_runs_the_overview_says_why_no_samples_come(run_page: RunPage, postgres_url: str) -> None:
    app = run_page("overview", postgres_url)
    assert "No samples yet" in texts(app)
    assert [header.value for header in app.subheader] == ["Health"]
    assert "samples cannot be taken in without it" in texts(app)


@pytest.mark.parametrize("page", ALL_PAGES)
def test_without_a_database_a_page_says_so_in_one_sentence(run_page: RunPage, page: str) -> None:
    app = run_page(page, NOBODY)
    assert not app.exception
    assert "The database does not answer" in texts(app)
    assert "Traceback" not in texts(app)


def test_a_question_that_takes_too_long_is_not_taken_for_an_absence(
    run_page: RunPage, known_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUNINN_DATABASE_STATEMENT_TIMEOUT_S", "0.001")
    app = run_page("overview", known_url)
    assert not app.exception
    assert "time limit" in texts(app)
    assert "does not answer" not in texts(app)


@pytest.mark.parametrize("page", ALL_PAGES)
def test_without_a_setting_a_page_names_it(run_page: RunPage, page: str) -> None:
    app = run_page(page, None)
    assert not app.exception
    assert "MUNINN_DATABASE_URL" in texts(app)


def test_a_page_comes_back_with_its_database(run_page: RunPage) -> None:
    server = Postgres()
    try:
        server.start()
        with Database(server.url, pool_size=1) as database:
            migrate(database)
        app = run_page("explore", server.url)
        assert "does not answer" not in texts(app)
        server.kill()
        assert "The database does not answer" in texts(app.run())
        server.restart()
        eventually(lambda: "does not answer" not in texts(app.run()), 20, "the page shows its data again")
        assert not app.exception
    finally:
        server.close()


def test_a_panel_that_fails_leaves_the_others(
    run_page: RunPage, known_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[Any]:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(asked, "each", broken)
    app = run_page("pipeline", known_url)
    assert not app.exception
    assert "failed to draw" in texts(app)
    assert "secret detail" not in texts(app)
    assert table(app, "Resolution")["Resolution"]
