"""The Anomalies page: as a script on a real store, and as people see it."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import alert_world
import pytest
import streamlit as st
from known import load_known
from known_incidents import OPEN, OVER, load_another, load_incidents
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Locator, Page, expect
from servers import Postgres, eventually, free_port
from streamlit.testing.v1 import AppTest

from muninn.clock import ManualClock
from muninn.meter import Meter
from muninn.reads import Reads
from muninn.store.database import Database
from streamlit_app import shell

APP = Path(__file__).parents[2] / "streamlit_app" / "app.py"
DRAWN_MS = 60_000


@pytest.fixture(scope="module")
def incidents_url(postgres_server: Postgres, migrated_template: str) -> Iterator[str]:
    url = postgres_server.create("known_incidents", migrated_template)
    load_known(url)
    load_incidents(url)
    yield url
    postgres_server.drop("known_incidents")


@pytest.fixture
def changing_url(postgres_server: Postgres, migrated_template: str) -> Iterator[str]:
    url = postgres_server.create("changing_incidents", migrated_template)
    load_known(url)
    load_incidents(url)
    yield url
    postgres_server.drop("changing_incidents")


@pytest.fixture
def run_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    st.cache_resource.clear()

    def run(url: str, **query: str) -> AppTest:
        monkeypatch.setenv("MUNINN_DATABASE_URL", url)
        monkeypatch.delenv("MUNINN_REDIS_URL", raising=False)
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.run()
        app.switch_page("app_pages/anomalies.py")
        app.query_params.update(query)
        return app.run()

    yield run
    shell.current_reads().close()
    st.cache_resource.clear()


def words(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.caption, app.markdown, app.error, app.warning, app.info)
    return "\n".join(element.value for kind in kinds for element in kind)


def test_incidents_with_their_series_band_and_cause(run_page: Callable[..., AppTest], incidents_url: str) -> None:
    app = run_page(incidents_url)
    assert not app.exception
    shown = {metric.label: metric.value for metric in app.metric}
    assert (shown["Open now"], shown["In this time"], shown["Series"]) == ("1", "2", "3")
    timeline, band, shares = (json.loads(chart.proto.spec) for chart in app.get("plotly_chart"))
    assert {trace["name"] for trace in timeline["data"]} == {"open", "over"}
    assert timeline["layout"]["yaxis"]["title"]["text"] == "Probable cause"
    assert {trace.get("name") for trace in band["data"]} >= {"measured", "expected", "at its worst"}
    assert shares["layout"]["xaxis"]["title"]["text"].startswith("Share of the score")
    said = words(app)
    assert "A resource is used up" in "".join(each.label for each in app.expander)
    assert "docs/runbooks/saturation" in said.replace("\\", "")
    assert [frame.value.columns[0] for frame in app.dataframe] == ["State", "Series"]


def test_another_series_or_incident_can_be_chosen(run_page: Callable[..., AppTest], incidents_url: str) -> None:
    app = run_page(incidents_url)
    app.selectbox(key="series").set_value(1).run()
    assert not app.exception
    app.selectbox(key="incident").set_value(str(OVER)).run()
    assert not app.exception
    assert "A source sends nothing any more" in "".join(each.label for each in app.expander)


def test_a_link_to_an_incident_of_another_time_shows_that_incident(
    run_page: Callable[..., AppTest], incidents_url: str
) -> None:
    app = run_page(incidents_url, incident=str(OVER), range="1h")
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["In this time"] == "1"
    assert app.selectbox(key="incident").value == str(OVER)
    assert "A source sends nothing any more" in "".join(each.label for each in app.expander)
    assert not run_page(incidents_url, incident=str(uuid.UUID(int=99))).exception


def test_a_link_to_an_incident_that_is_not_the_newest_shows_that_incident(
    run_page: Callable[..., AppTest], incidents_url: str
) -> None:
    """By its id, as notifications have it; and what is chosen then is what the address names."""
    app = run_page(incidents_url, incident=str(OVER), range="24h")
    assert {metric.label: metric.value for metric in app.metric}["In this time"] == "2"
    assert app.selectbox(key="incident").value == str(OVER)
    assert "A source sends nothing any more" in "".join(each.label for each in app.expander)
    app.selectbox(key="incident").set_value(str(OPEN)).run()
    assert app.query_params["incident"] == str(OPEN)
    assert app.run().selectbox(key="incident").value == str(OPEN)


def test_a_mark_is_kept(
    run_page: Callable[..., AppTest], incidents_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MUNINN_GATEWAY_PORT", str(free_port()))
    app = run_page(incidents_url)
    app.button(key="mark-True").click().run()
    assert "the gateway at" in words(app), "what a page changes goes through the gateway, and its check of rights"
    with alert_world.api(incidents_url, tmp_path) as port:
        st.cache_resource.clear()
        monkeypatch.setenv("MUNINN_GATEWAY_PORT", str(port))
        app = run_page(incidents_url)
        app.text_input(key=f"note-{OPEN}").set_value("a crawler").run()
        app.button(key="mark-True").click().run()
        assert not app.exception
        assert "marked as useful. “a crawler”" in words(app)
    with Reads(Database(incidents_url, pool_size=1).open(), meter=Meter(), clock=ManualClock()) as ask:
        marked = ask.incident(str(OPEN)).incident
        assert (marked.useful, marked.note) == (True, "a crawler")


def test_quiet_is_said_with_what_to_do(run_page: Callable[..., AppTest], postgres_url: str) -> None:
    load_known(postgres_url)
    app = run_page(postgres_url)
    assert not app.exception
    assert "Nothing odd in this time" in words(app)
    assert "muninn inject" in words(app)


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_drawn_in_both_themes_and_widths(
    streamlit_server: Callable[[dict[str, str]], str],
    incidents_url: str,
    open_page: Callable[..., Page],
    dark: bool,
) -> None:
    address = streamlit_server({"MUNINN_DATABASE_URL": incidents_url, "MUNINN_DAGSTER_PORT": "1"})
    page = open_page(f"{address}/anomalies", dark=dark)
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 3", timeout=DRAWN_MS)
    expect(page.get_by_text("A resource is used up")).to_be_visible(timeout=DRAWN_MS)
    assert page.locator("[data-testid=stException]").count() == 0
    for title in page.locator(".js-plotly-plot .ytitle").all():
        place = title.bounding_box()
        ticks = [
            tick.bounding_box()
            for tick in title.locator("xpath=ancestor::*[@class='main-svg'][1]/..").locator(".ytick text").all()
        ]
        assert place is not None
        assert all(tick is None or place["x"] + place["width"] <= tick["x"] for tick in ticks), "no title on its ticks"
    page.goto(f"{address}/anomalies?incident={OVER}&range=24h")  # as notifications have it
    expect(page.get_by_text("A source sends nothing any more").first).to_be_visible(timeout=DRAWN_MS)
    page.set_viewport_size({"width": 800, "height": 900})
    page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollWidth <= 800", timeout=DRAWN_MS)


def chose(page: Page, box: Locator, place: int) -> bool:
    """Whether the choice was made; the page may have been drawn anew between two clicks."""
    try:
        box.click(timeout=5_000)
        page.get_by_role("option").nth(place).click(timeout=5_000)
    except PlaywrightError:
        return False
    return True


@pytest.mark.browser
def test_it_goes_on_by_itself_and_what_was_chosen_stays(
    streamlit_server: Callable[[dict[str, str]], str], changing_url: str, open_page: Callable[..., Page]
) -> None:
    address = streamlit_server({"MUNINN_DATABASE_URL": changing_url, "MUNINN_DAGSTER_PORT": "1"})
    page = open_page(f"{address}/anomalies")
    box = page.get_by_test_id("stSelectbox").filter(has_text="Incident").get_by_role("combobox")
    box.wait_for(timeout=DRAWN_MS)
    eventually(lambda: chose(page, box, 1), DRAWN_MS / 1000, "the second incident is chosen")
    expect(page.get_by_text("A source sends nothing any more").first).to_be_visible(timeout=DRAWN_MS)
    counted = page.get_by_test_id("stMetric").filter(has_text="In this time")
    expect(counted).to_contain_text("2", timeout=DRAWN_MS)
    note = page.get_by_placeholder("what it was")
    expect(note).to_have_count(1, timeout=DRAWN_MS)  # while a page is drawn anew the old one stands there too
    note.fill("half a word")
    load_another(changing_url, 9)
    expect(counted).to_contain_text("3", timeout=DRAWN_MS)
    expect(page.get_by_text("A source sends nothing any more").first).to_be_visible()
    expect(note).to_have_count(1, timeout=DRAWN_MS)
    expect(note).to_have_value("half a word")
