"""Pages over more than a week of samples: regressions on Overview, last week and local days on Explore."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from filling import course, filled
from servers import Postgres
from streamlit.testing.v1 import AppTest

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SystemClock
from muninn.model import SampleBatch, SeriesKey

RunPage = Callable[..., AppTest]
METRIC = "cpu_busy_pct"


def samples(now_us: int) -> SampleBatch:
    """Nine days of three hosts: as ever, a third more since yesterday, up and down all the time."""
    at_us = np.arange(now_us - 9 * DAY_US, now_us, 5 * MINUTE_US) // MINUTE_US * MINUTE_US
    until_us = now_us // HOUR_US * HOUR_US
    recent = at_us >= until_us - DAY_US
    wave = 5 * np.sin(2 * np.pi * (at_us % DAY_US) / DAY_US)
    days = np.array([0, 12, -10, 9, -12, 11, -9, 12, -11, 10])[(until_us - at_us) // DAY_US]
    courses = {"calm": 40 + wave, "worse": 40 + wave + 14 * recent, "restless": 40 + wave + days}
    return SampleBatch.concat(
        [
            course(SeriesKey.of(METRIC, {"host": host, "cpu": "total"}), at_us, values)
            for host, values in courses.items()
        ]
    )


@pytest.fixture(scope="module")
def history_url(postgres_server: Postgres, migrated_template: str) -> Iterator[str]:
    url = postgres_server.create("pages_history", migrated_template)
    now_us = SystemClock().now_us()
    with filled(url, now_us) as store:
        store.load(samples(now_us))
        store.refresh(now_us - 2 * MINUTE_US)
    yield url
    postgres_server.drop("pages_history")


@pytest.fixture
def run_page(run_page: RunPage, history_url: str) -> RunPage:
    return lambda page, **query: run_page(page, history_url, **query)


def drawn_lines(app: AppTest) -> list[dict[str, Any]]:
    """The lines of the page's first chart, as the browser gets them."""
    return json.loads(app.get("plotly_chart")[0].proto.spec)["data"]  # type: ignore[no-any-return]


def test_overview_lists_what_got_worse_and_nothing_else(run_page: Any) -> None:
    app = run_page("overview")
    assert not app.exception
    found = next(frame.value for frame in app.dataframe if "Verdict" in frame.value.columns)
    assert found["Verdict"].tolist() == ["Critical"]
    assert found["Labels"].tolist() == ["cpu=total, host=worse"]
    assert found["Figure"].tolist() == ["mean"]
    assert "metric=cpu_busy_pct" in found["Explore"][0]
    assert any("3 series judged: 1 critical, 0 warning" in caption.value for caption in app.caption)


def test_explore_draws_last_week_beside_now(run_page: Any) -> None:
    app = run_page("explore", metric=METRIC, range="24h", compare="a week before", **{"label.host": ["calm", "worse"]})
    assert not app.exception
    lines = drawn_lines(app)
    assert [line["name"] for line in lines] == ["calm", "worse", "calm, 7 d before", "worse, 7 d before"]
    assert [line["line"]["dash"] for line in lines] == ["solid", "solid", "dot", "dot"]
    assert [line["line"]["color"] for line in lines[2:]] == [line["line"]["color"] for line in lines[:2]]


def test_explore_makes_local_days(run_page: Any) -> None:
    app = run_page("explore", metric=METRIC, range="7d", steps="days", tz="Asia/Kathmandu")
    assert not app.exception
    assert any("Steps of **a local day**" in caption.value for caption in app.caption)
    assert len(drawn_lines(app)) == 3


def test_explore_says_when_there_was_nothing_before(run_page: Any) -> None:
    app = run_page("explore", metric=METRIC, range="7d", compare="a week before", **{"label.host": ["calm"]})
    assert not app.exception
    names = [line["name"] for line in drawn_lines(app)]
    assert names == [METRIC, f"{METRIC}, 7 d before"]
    app = run_page("explore", metric=METRIC, range="30d", steps="weeks", compare="a day before")
    assert any("A comparison needs steps by range" in caption.value for caption in app.caption)
