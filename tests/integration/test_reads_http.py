"""The JSON read API, from query string to body, on a real store."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from filling import Filled, course, filled
from starlette.applications import Starlette

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.model import SampleBatch, SeriesKey
from muninn.reads import Overview, Reads
from muninn.reads.http import routes
from muninn.store.database import Database

NOW_US = 1_800_000_000 * SECOND_US // DAY_US * DAY_US + 12 * HOUR_US
WITHOUT_METRIC = ("/api/v1/metrics", "/api/v1/overview", "/api/v1/pipeline")
Get = Callable[..., httpx.Response]


def getting(reads: Reads) -> Get:
    """GET a path without a socket."""

    def get(path: str, **query: str) -> httpx.Response:
        async def request() -> httpx.Response:
            transport = httpx.ASGITransport(Starlette(routes=routes(reads)))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.get(path, params={name.replace("__", "."): value for name, value in query.items()})

        return asyncio.run(request())

    return get


@pytest.fixture(scope="module")
def store(postgres_server: Any, migrated_template: str) -> Iterator[Filled]:
    url = postgres_server.create("reads_http", migrated_template)
    at_us = np.arange(NOW_US - HOUR_US, NOW_US, 10 * SECOND_US)
    at_us = at_us[(at_us < NOW_US - 40 * MINUTE_US) | (at_us >= NOW_US - 30 * MINUTE_US)]
    keys = [SeriesKey.of("cpu_busy_pct", {"host": name, "cpu": "total"}, "agent", name) for name in "ab"]
    with filled(url, NOW_US) as store:
        store.load(SampleBatch.concat([course(key, at_us, np.linspace(1, 99, len(at_us))) for key in keys]))
        store.load(course(SeriesKey.of("requests_total"), at_us, np.arange(len(at_us), dtype=float)))
        store.refresh(NOW_US - 5 * MINUTE_US)
        yield store
    postgres_server.drop("reads_http")


@pytest.fixture
def get(store: Filled) -> Get:
    return getting(store.reads)


def body(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert b"NaN" not in response.content
    return orjson.loads(response.content)


def problem(response: httpx.Response, status: int, parameter: str | None) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = orjson.loads(response.content)
    assert found["status"] == status
    assert {"type", "title", "detail"} <= found.keys()
    assert found.get("parameter") == parameter
    return found


def test_metrics_lists_names_labels_kinds_and_units(get: Get) -> None:
    found = body(get("/api/v1/metrics"))["metrics"]
    assert [metric["metric_name"] for metric in found] == ["cpu_busy_pct", "requests_total"]
    cpu = found[0]
    assert (cpu["kind"], cpu["unit"], cpu["label_names"], cpu["series_count"]) == ("gauge", "%", ["cpu", "host"], 2)
    assert cpu["last_seen_ms"] == (NOW_US - 10 * SECOND_US) // 1000
    assert [one["metric_name"] for one in body(get("/api/v1/metrics", match="req"))["metrics"]] == ["requests_total"]


def test_a_trend_has_columns_of_one_length_and_its_gap(get: Get) -> None:
    found = body(get("/api/v1/trend", metric="cpu_busy_pct", since="-1h", step="1m", label__host="b"))
    assert (found["unit"], found["step_ms"], found["resolution"], found["truncated"]) == ("%", 60_000, "1min", None)
    (series,) = found["series"]
    assert series["labels"] == {"cpu": "total", "host": "b"}
    assert (series["source_agent_id"], series["instance_id"]) == ("agent", "b")
    points = series["points"]
    assert list(points) == ["at_ms", "avg", "min", "max", "p95", "count"]
    assert {len(column) for column in points.values()} == {50}
    gap_ms = range((NOW_US - 40 * MINUTE_US) // 1000, (NOW_US - 30 * MINUTE_US) // 1000)
    assert not any(at_ms in gap_ms for at_ms in points["at_ms"])
    assert set(points["count"]) == {6}
    assert all(low <= mean <= high for low, mean, high in zip(points["min"], points["avg"], points["max"], strict=True))


@pytest.mark.parametrize(
    "times",
    [
        {"since": "now-30m", "until": "now"},
        {"since": str((NOW_US - 30 * MINUTE_US) // 1000)},
        {"since": "2027-01-15T11:30:00Z", "until": "2027-01-15T13:00:00+01:00"},
        {"since": "2027-01-15T12:30:00 01:00"},
    ],
)
def test_times_are_taken_in_every_form(get: Get, times: dict[str, str]) -> None:
    found = body(get("/api/v1/trend", metric="requests_total", **times))
    assert (found["since_ms"], found["until_ms"]) == ((NOW_US - 30 * MINUTE_US) // 1000, NOW_US // 1000)
    assert sum(found["series"][0]["points"]["count"]) == 180


def test_an_hour_is_the_default(get: Get) -> None:
    found = body(get("/api/v1/trend", metric="requests_total"))
    assert found["until_ms"] - found["since_ms"] == 3_600_000


def test_a_label_that_matches_nothing_gives_no_series(get: Get) -> None:
    assert body(get("/api/v1/trend", metric="requests_total", label__host="x"))["series"] == []


@pytest.mark.parametrize(
    ("query", "status", "parameter", "says"),
    [
        ({}, 400, "metric", "give the name"),
        ({"metric": "cpu_busy_pc"}, 404, "metric", "did you mean cpu_busy_pct"),
        ({"metric": "cpu_busy_pct", "since": "soon"}, 400, "since", "is no time"),
        ({"metric": "cpu_busy_pct", "until": "-2h"}, 400, "until", "end after it starts"),
        ({"metric": "cpu_busy_pct", "step": "-1m"}, 400, "step", "no span"),
        ({"metric": "cpu_busy_pct", "stepp": "1m"}, 400, "stepp", "did you mean step"),
        ({"metric": "cpu_busy_pct", "label__": "1m"}, 400, "label.", "did you mean label.NAME"),
        (
            {"metric": "cpu_busy_pct", "limit": "1"},
            400,
            "limit",
            "known are: metric, since, until, step, by, period, tz, p95, ",
        ),
        ({"metric": "a\x00b"}, 400, "metric", "NUL"),
        ({"metric": "cpu_busy_pct", "label__host": "\x00"}, 400, "label.host", "NUL"),
    ],
)
def test_a_bad_question_names_its_parameter(
    get: Get, query: dict[str, str], status: int, parameter: str, says: str
) -> None:
    assert says in problem(get("/api/v1/trend", **query), status, parameter)["detail"]


def test_an_unknown_metric_comes_with_close_matches(get: Get) -> None:
    found = problem(get("/api/v1/trend", metric="cpu_buzy_pct"), 404, "metric")
    assert found["close_matches"] == ["cpu_busy_pct"]


def test_a_parameter_given_twice_is_refused(get: Get) -> None:
    problem(get("/api/v1/trend?metric=a&metric=b"), 400, "metric")


@pytest.mark.parametrize("path", ["metrics", "overview", "pipeline"])
def test_unknown_parameters_are_refused_everywhere(get: Get, path: str) -> None:
    problem(get(f"/api/v1/{path}", verbose="1"), 400, "verbose")


def test_the_overview_and_the_pipeline_are_plain_json(get: Get) -> None:
    overview = body(get("/api/v1/overview"))
    assert overview["totals"]["series"] == 3
    assert overview["hosts"][0]["cpu_busy_pct"] == 99
    assert overview["health"]["state"] in ("ok", "degraded", "down")
    pipeline = body(get("/api/v1/pipeline"))
    assert pipeline["ingest_samples_per_s"] is None
    assert pipeline["resolutions"][0]["resolution"] == "1min"
    assert pipeline["partitions"][0]["bytes"] > 0


def test_a_change_names_its_series_by_labels(postgres_url: str) -> None:
    at_us = np.arange(NOW_US - HOUR_US, NOW_US, 10 * SECOND_US)
    with filled(postgres_url, NOW_US) as store:
        jump = np.where(at_us < NOW_US - 10 * MINUTE_US, 1.0, 9.0)
        store.load(course(SeriesKey.of("load_1m", {"host": "a"}), at_us, jump))
        (change,) = body(getting(store.reads)("/api/v1/overview"))["changes"]
    assert change["key"] == {"metric": "load_1m", "labels": {"host": "a"}, "source_agent_id": "", "instance_id": ""}
    assert (change["direction"], change["change_pct"], change["before"]) == ("up", 800.0, 1.0)


@pytest.mark.parametrize("path", sorted(route.path for route in routes(Reads(Database("postgresql://")))))
def test_a_database_that_is_away_is_named_and_says_when_to_ask_again(postgres_url: str, path: str) -> None:
    response = getting(Reads(Database(postgres_url)))(path, **({} if path in WITHOUT_METRIC else {"metric": "load_1m"}))
    if path == "/api/v1/pipeline":
        found = body(response)
        assert "database" in found["store_away"]
        assert (found["partitions"], found["late_rows_waiting"]) == (None, None)
        return
    assert "database" in problem(response, 503, None)["detail"]
    assert int(response.headers["retry-after"]) >= 1


def test_a_bug_is_a_problem_too_and_lies_in_the_log(store: Filled, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Reads):
        def overview(self, now_us: int | None = None) -> Overview:
            raise ZeroDivisionError("a bug")

    found = problem(getting(Broken(store.database))("/api/v1/overview"), 500, None)
    assert "log" in found["detail"]
    assert "a bug" in caplog.text


def test_top_names_the_first(get: Get) -> None:
    found = body(get("/api/v1/top", metric="cpu_busy_pct", since="-1h", figure="p95", limit="1"))
    assert (found["metric"], found["unit"], found["figure"], found["of"]) == ("cpu_busy_pct", "%", "p95", 2)
    (first,) = found["ranked"]
    assert first["key"]["labels"] == {"host": "a", "cpu": "total"}
    assert first["value"] == first["p95"] == pytest.approx(94, rel=0.02)
    assert first["count"] == 300
    rates = body(get("/api/v1/top", metric="requests_total", since="-1h", figure="rate"))
    assert (rates["unit"], rates["ranked"][0]["value"]) == ("/s", pytest.approx(299 / 3600))


def test_a_comparison_has_both_trends(get: Get) -> None:
    found = body(get("/api/v1/compare", metric="cpu_busy_pct", since="-30m", offset="30m", step="1m"))
    assert (found["offset_ms"], found["now"]["step_ms"]) == (1_800_000, 60_000)
    assert found["now"]["since_ms"] == found["before"]["since_ms"] == NOW_US // 1000 - 1_800_000
    assert [change["key"]["labels"]["host"] for change in found["changes"]] == ["a", "b"]
    assert all(change["before"] < change["now"] for change in found["changes"])
    assert all("p95" in one["points"] for one in found["now"]["series"])
    without = body(get("/api/v1/compare", metric="cpu_busy_pct", since="-30m", offset="30m", step="1m", p95="false"))
    assert without["changes"] == found["changes"]
    assert not any("p95" in one["points"] for part in ("now", "before") for one in without[part]["series"])


def test_the_latest_values_are_listed(get: Get) -> None:
    found = body(get("/api/v1/latest", metric="cpu_busy_pct", silent="1m"))
    assert [(one["value"], one["state"]) for one in found["series"]] == [(99.0, "ok")] * 2
    assert found["silent"] == 0


def test_the_latest_values_of_several_metrics_are_one_answer(get: Get) -> None:
    found = body(get("/api/v1/latest", metric=["cpu_busy_pct", "requests_total"]))
    assert [one["metric"] for one in found["metrics"]] == ["cpu_busy_pct", "requests_total"]
    assert found["metrics"][0] == body(get("/api/v1/latest", metric="cpu_busy_pct"))
    assert get("/api/v1/trend", metric=["cpu_busy_pct", "requests_total"]).status_code == 400
    assert get("/api/v1/latest", metric=["cpu_busy_pct"] * 101).status_code == 400


def test_regressions_need_a_baseline(get: Get) -> None:
    found = body(get("/api/v1/regressions"))
    assert (found["judged"], found["unjudged"], found["series"]) == (0, 3, [])
    assert body(get("/api/v1/regressions", metric="cpu_busy_pct"))["unjudged"] == 2


def test_a_trend_by_label_and_by_local_days(get: Get) -> None:
    grouped = body(get("/api/v1/trend", metric="cpu_busy_pct", step="5m", by="cpu"))
    assert [one["labels"] for one in grouped["series"]] == [{"cpu": "total"}]
    assert sum(grouped["series"][0]["points"]["count"]) == 600
    days = body(get("/api/v1/trend", metric="cpu_busy_pct", tz="Asia/Kathmandu", p95="false"))
    assert days["since_ms"] * 1000 == NOW_US // DAY_US * DAY_US - 5 * HOUR_US - 45 * MINUTE_US
    assert set(days["series"][0]["points"]) == {"at_ms", "avg", "min", "max", "count"}
    assert days["series"][0]["points"]["count"] == [300]


@pytest.mark.parametrize(
    ("path", "query", "parameter"),
    [
        ("top", {"metric": "cpu_busy_pct", "figure": "mode"}, "figure"),
        ("top", {"metric": "cpu_busy_pct", "limit": "many"}, "limit"),
        ("top", {"metric": "cpu_busy_pct", "order": "best"}, "order"),
        ("top", {}, "metric"),
        ("compare", {"metric": "cpu_busy_pct", "offset": "soon"}, "offset"),
        ("compare", {"metric": "cpu_busy_pct", "offset": "90s"}, "offset"),
        ("latest", {"metric": "cpu_busy_pct", "silent": "-"}, "silent"),
        ("regressions", {"label__host": "a"}, "metric"),
        ("regressions", {"since": "-1h"}, "since"),
        ("trend", {"metric": "cpu_busy_pct", "tz": "Berlin"}, "tz"),
        ("trend", {"metric": "cpu_busy_pct", "period": "year"}, "period"),
        ("trend", {"metric": "cpu_busy_pct", "period": "day", "step": "1h"}, "step"),
        ("trend", {"metric": "cpu_busy_pct", "p95": "yes"}, "p95"),
        ("trend", {"metric": "cpu_busy_pct", "by": "a\0"}, "by"),
    ],
)
def test_bad_questions_name_their_parameter(get: Get, path: str, query: dict[str, str], parameter: str) -> None:
    response = get(f"/api/v1/{path}", **query)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["parameter"] == parameter
