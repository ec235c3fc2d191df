"""The Alerts page on a real store and the real API: as a script, and once in a browser."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import alert_world
import pytest
import streamlit as st
from playwright.sync_api import Page, expect
from servers import Postgres, eventually, free_port
from streamlit.testing.v1 import AppTest

from muninn.alerting.book import rule_of
from muninn.alerting.engine import Engine
from muninn.alerting.matchers import Matchers
from muninn.clock import SystemClock
from muninn.errors import Invalid
from muninn.model import SampleBatch, SeriesKey
from muninn.reads.alerts import AlertRow
from muninn.store.alerts import AlertStore
from muninn.store.database import Database
from streamlit_app import runbooks, shell
from streamlit_app.widgets.alerts import explore_query, known_lines, match_text, parse_match, source_of

LEVEL = {"severity": "warning", "above": 1}
APP = Path(__file__).parents[2] / "streamlit_app" / "app.py"


@pytest.fixture(scope="module")
def world(postgres_server: Postgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """(database URL, API port) of a filled store; tests change different things in it."""
    url = postgres_server.create("alerts_page", migrated_template)
    with Database(url, pool_size=2) as database:
        alert_world.fill(database)
    with alert_world.api(url, tmp_path_factory.mktemp("home")) as port:
        yield url, port
    postgres_server.drop("alerts_page")


@pytest.fixture
def open_view(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """`open_view(url, port, "History")`; the page's Reads is closed at the end."""
    monkeypatch.delenv("MUNINN_REDIS_URL", raising=False)
    st.cache_resource.clear()

    def run(url: str, port: int, view: str = "Firing") -> AppTest:
        monkeypatch.setenv("MUNINN_DATABASE_URL", url)
        monkeypatch.setenv("MUNINN_GATEWAY_PORT", str(port))
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.run()
        app.switch_page("app_pages/alerts.py")
        app.query_params.update({"view": view})
        return app.run()

    yield run
    shell.current_reads().close()
    st.cache_resource.clear()


def texts(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.caption, app.markdown, app.error, app.warning, app.info)
    return "\n".join(element.value for kind in kinds for element in kind)


def test_what_fires_with_its_figures(world: Any, open_view: Callable[..., AppTest]) -> None:
    app = open_view(*world)
    assert not app.exception
    figures = {metric.label: metric.value for metric in app.metric}
    assert (figures["Firing"], figures["Critical"], figures["Pending"], figures["Silenced"]) == ("2", "1", "1", "1")
    assert figures["Useful"] == "25%"
    assert "/ of db1 is 97% full" in texts(app).replace("\\", "")
    assert "build1" not in texts(app)


def test_acknowledging_goes_through_the_gateway(world: Any, open_view: Callable[..., AppTest]) -> None:
    app = open_view(*world)
    next(button for button in app.button if button.label == "Acknowledge").click().run()
    assert not app.exception
    with Database(world[0], pool_size=1) as database:
        acknowledged = [each for each in AlertStore(database).outside() if each.acknowledged_us]
    assert len(acknowledged) == 1
    assert "acknowledged by dashboard" in texts(app)


def test_silences_are_made_and_ended(world: Any, open_view: Callable[..., AppTest]) -> None:
    app = open_view(*world, "Silences")
    app.text_input(key="silence-match").set_value("host=web9, rule=~host_.*")
    next(button for button in app.button if button.label == "Silence").click().run()
    assert not app.exception
    with Database(world[0], pool_size=1) as database:
        store = AlertStore(database)
        assert len(store.silences(SystemClock().now_us())) == 2
        ident = next(each.silence_id for each in store.silences(0) if "web9" in str(each.matchers))
        app.selectbox(key="end-which").set_value(ident).run()
        app.button(key="end").click().run()
        assert len(store.silences(SystemClock().now_us())) == 1
    app.text_input(key="silence-match").set_value("")
    next(button for button in app.button if button.label == "Silence").click().run()
    assert "match:" in texts(app)


def test_maintenance_windows_are_made_and_deleted(world: Any, open_view: Callable[..., AppTest]) -> None:
    app = open_view(*world, "Silences")
    app.text_input(key="window-name").set_value("nightly backup")
    app.text_input(key="window-match").set_value("host=db1")
    app.text_input(key="window-zone").set_value("Europe/Berlin")
    app.pills(key="window-days").set_value(["sat", "sun"])
    next(button for button in app.button if button.label == "Save the window").click().run()
    assert not app.exception
    shown = next(frame.value for frame in app.dataframe if "When" in frame.value.columns)
    assert shown["When"].tolist() == ["sat, sun 02:00 Europe/Berlin for 1h"]
    assert shown["By"].tolist() == ["dashboard"]
    assert shown["State"].tolist()[0].split()[0] in ("from", "holds")
    app.text_input(key="window-zone").set_value("Mars")
    next(button for button in app.button if button.label == "Save the window").click().run()
    assert "time zone" in texts(app)
    app.button(key="window-end").click().run()
    assert not [frame for frame in app.dataframe if "When" in frame.value.columns]
    assert "There is none." in texts(app)


def test_history_and_log(world: Any, open_view: Callable[..., AppTest]) -> None:
    app = open_view(*world, "History")
    assert not app.exception
    assert len(app.dataframe[0].value) == 15
    assert app.get("plotly_chart")
    log = open_view(*world, "Notify log")
    assert log.dataframe[0].value["Last error"].tolist() == ["HTTP 503", ""]
    assert "build1" in texts(open_view(*world, "Silenced"))


def test_a_rule_is_tested_against_history_saved_and_deleted(world: Any, open_view: Callable[..., AppTest]) -> None:
    app = open_view(*world, "Rules")
    assert not app.exception
    assert "is noisy: 3 of 4 judged alerts were not useful" in texts(app).replace("\\", "")
    assert "host_silent" in app.dataframe[0].value["Rule"].tolist()
    app.selectbox(key="rule-span").set_value("1h").run()
    app.button(key="rule-test").click().run()
    assert not app.exception
    assert "would have fired **1** time and" in texts(app)
    app.button(key="rule-save").click().run()
    assert "my_rule" in app.dataframe[0].value["Rule"].tolist()
    app.selectbox(key="rule-which").set_value("my_rule").run()
    app.button(key="rule-delete").click().run()
    assert "my_rule" not in app.dataframe[0].value["Rule"].tolist()
    app.text_area(key="rule-text").set_value("{name: x, metric: y, levels: [{severity: warning}]}").run()
    app.button(key="rule-test").click().run()
    assert "above, below" in texts(app)


@pytest.mark.parametrize("value", ["2026-01-01", ".inf", "2026-02-30"])
def test_what_only_yaml_can_say_is_an_error_beside_the_editor(
    world: Any, open_view: Callable[..., AppTest], value: str
) -> None:
    app = open_view(*world, "Rules")
    app.text_area(key="rule-text").set_value(f"{{name: x, metric: y, labels: {{since: {value}}}}}").run()
    app.button(key="rule-test").click().run()
    assert "in quotes" in texts(app)
    assert "failed to draw" not in texts(app)


def test_without_a_gateway_it_says_what_is_missing(world: Any, open_view: Callable[..., AppTest]) -> None:
    app = open_view(world[0], free_port(), "Rules")
    assert not app.exception
    assert "the gateway at" in texts(app)
    assert {metric.label for metric in open_view(world[0], free_port()).metric} >= {"Firing", "Pending"}


def test_matchers_as_people_type_them() -> None:
    assert parse_match('host=web1, rule=~disk_.*, env!=test, dc!~x, team = "a"') == {
        "host": "web1", "rule": "=~disk_.*", "env": "!=test", "dc": "!~x", "team": "a",
    }  # fmt: skip


def test_patterns_may_be_quoted_as_the_tables_show_them() -> None:
    assert parse_match('rule=~"disk_(a|b)", env!="a, b", dc !~ "x"') == {
        "rule": "=~disk_(a|b)", "env": "!=a, b", "dc": "!~x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [("web1", "'web1' is no matcher"), ("=x", "no matcher")],
)
def test_what_is_no_matcher_silences_nothing(text: str, says: str) -> None:
    """web1 alone would be a label without a value, which most alerts have."""
    with pytest.raises(Invalid, match=says):
        parse_match(text)


def test_of_two_matchers_of_one_label_both_count() -> None:
    found = parse_match("host=~web.*, host!=web3, team=a")
    assert found == {"host": ["=~web.*", "!=web3"], "team": "a"}
    holds = Matchers.of(found).holds
    assert [holds({"host": host, "team": "a"}) for host in ("web1", "web3", "db1")] == [True, False, False]


def test_what_is_more_than_a_page_is_said_and_turned_to(
    world: Any, open_view: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamlit_app.widgets.alerts.PAGE", 6)
    app = open_view(*world, "History")
    seen = [app.dataframe[0].value["Fired"].tolist()]
    assert "Page 1" in texts(app)
    assert "older ones follow" in texts(app)
    while not next(button for button in app.button if button.key == "history-pages-older").disabled:
        app.button(key="history-pages-older").click().run()
        seen.append(app.dataframe[0].value["Fired"].tolist())
    assert [len(page) for page in seen] == [6, 6, 3]
    assert "Page 3" in texts(app)
    assert "these are the oldest" in texts(app)
    app.button(key="history-pages-newer").click().run()
    assert app.dataframe[0].value["Fired"].tolist() == seen[1]
    app.segmented_control(key="range").set_value("7d").run()
    assert "Page 1" in texts(app)


def test_explore_opens_on_the_series_of_the_alert() -> None:
    """Labels that the rule adds are no series' labels; a rule with `by` still has its metric."""
    rule = rule_of({"name": "r", "metric": "m", "by": ["host"], "labels": {"team": "a"}, "levels": [LEVEL]})
    engine = Engine([rule], 0)
    engine.take(SampleBatch.of([(SeriesKey.of("m", {"host": "a", "disk": "sda"}), 1_000_000, 9.0)]))
    (change,) = engine.evaluate(2_000_000)
    fired = change.alert
    assert fired.all_labels == {"metric": "m", "host": "a", "team": "a", "rule": "r", "severity": "warning"}
    row = AlertRow(
        fired.alert_id, fired.rule, fired.fingerprint, {**dict(fired.extra), **dict(fired.labels)}, dict(fired.labels),
        "warning", "firing", "rule", 9.0, 1.0, "", "", "", False, False, 1, 1, None, None, 1, "", "", None, None, "",
        None, "", "", {}, "",
    )  # fmt: skip
    assert explore_query(row) == {"metric": "m", "label.host": "a"}
    outside = replace(row, origin="alertmanager", description="two\nlines", source_url="http://prom/graph")
    outside = replace(outside, annotations={"summary": "s", "description": "two\nlines", "dashboard": "https://g/1"})
    assert explore_query(outside) == {}
    assert known_lines(outside) == ["two", "lines", "dashboard: https://g/1"]
    assert (source_of(outside), source_of(replace(outside, source_url="javascript:x"))) == ("http://prom/graph", "")


def test_a_filter_leaves_what_matches(world: Any, open_view: Callable[..., AppTest]) -> None:
    app = open_view(*world)
    app.text_input(key="filter").set_value("host=web1").run()
    assert not app.exception
    said = texts(app).replace("\\", "")
    assert "CPU of web1" in said
    assert "/ of db1" not in said
    app.text_input(key="filter").set_value("severity=critical, rule=host_disk_full").run()
    assert "/ of db1" in texts(app).replace("\\", "")
    assert "CPU of web1" not in texts(app)
    app.text_input(key="filter").set_value("host=~(").run()
    assert "host" in texts(app)
    assert not app.exception


def test_a_silence_shows_what_it_would_hold_back_before_it_is_made(
    world: Any, open_view: Callable[..., AppTest]
) -> None:
    app = open_view(*world)
    next(button for button in app.button if button.key and button.key.startswith("form-")).click().run()
    assert not app.exception
    assert app.text_input(key="silence-match").value == "host=db1, metric=cpu_busy_pct, rule=host_disk_full"
    assert "Holds back **1** of 4 open alerts" in texts(app)
    app.text_input(key="silence-match").set_value("host=nobody").run()
    assert "None of the 4 open alerts matches" in texts(app)
    app.selectbox(key="silence-span").set_value("until…").run()
    assert not app.exception
    app.toggle(key="silence-past").set_value(True).run()
    shown = next(frame.value for frame in app.dataframe if "Holds back" in frame.value.columns)
    assert shown["Holds back"].tolist()[-1] == 1


def test_a_proposal_is_tried_beside_the_rule_as_it_is(world: Any, open_view: Callable[..., AppTest]) -> None:
    app = open_view(*world, "Rules")
    assert ["firing"] in [list(states) for states in app.dataframe[0].value["State"]]
    app.button(key="hint-host_cpu_saturated").click().run()
    assert not app.exception
    assert "would have fired **0** times (as it is now: **1** time)" in texts(app)


def test_runbooks_are_read_where_they_come_with_muninn_and_nothing_else_is() -> None:
    assert (runbooks.text_of("docs/runbooks/host_cpu_saturated.md") or "").startswith("# host_cpu_saturated")
    assert runbooks.text_of("saturation") == runbooks.text_of("docs/runbooks/saturation.md")
    assert "](" not in (runbooks.text_of("saturation") or "]("), "other pages of docs are not here"
    assert runbooks.text_of("../alerting") is None
    assert runbooks.text_of("docs/runbooks/../alerting.md") is None
    assert runbooks.text_of("https://wiki.example/disk") is None


def test_labels_as_people_type_them_come_back() -> None:
    labels = {
        "host": "web1",
        "route": "/a, b",
        "rule": "x",
        "home": "~ada",
        "quoted": '"x"',
        "space": " x",
        "op": "!=x",
    }
    assert Matchers.of(parse_match(match_text(labels))).exact == labels
    assert Matchers.of(Matchers.of({"op": "=!=x"}).as_mapping()).exact == {"op": "!=x"}


def in_one_line(page: Page) -> bool:
    boxes = [page.get_by_text(name, exact=True).first.bounding_box() for name in ("Silence 2 h", "Silence…", "Runbook")]
    middles = [box["y"] + box["height"] / 2 for box in boxes if box is not None]
    return len(middles) == 3 and max(middles) - min(middles) < 3


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_people_see_it_and_can_act(
    world: Any, streamlit_server: Callable[[dict[str, str]], str], open_page: Callable[..., Page], dark: bool
) -> None:
    address = streamlit_server({"MUNINN_DATABASE_URL": world[0], "MUNINN_GATEWAY_PORT": str(world[1])})
    page = open_page(f"{address}/alerts", dark=dark)
    expect(page.get_by_text("/ of db1 is 97% full")).to_be_visible(timeout=60_000)
    eventually(lambda: in_one_line(page), 30, "the buttons of a card stand in one line", 0.3)

    def silences() -> int:
        with Database(world[0], pool_size=1) as database:
            found = [each for each in AlertStore(database).silences(0) if "db1" in str(each.matchers)]
        # Of this alert alone: not of all that the host may have.
        assert all(each.matchers.exact.get("rule") == "host_disk_full" for each in found)
        return len(found)

    before = silences()
    page.get_by_text("Silence 2 h").first.click()
    eventually(lambda: silences() > before, 60, "the silence is kept", 0.3)
    page.get_by_text("Silence…").first.click()
    expect(page.get_by_text("Holds back")).to_be_visible(timeout=60_000)
    page.get_by_text("History").first.click()
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Rule and labels").first).to_be_visible(timeout=60_000)
    page.set_viewport_size({"width": 600, "height": 900})
    page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollWidth <= 600", timeout=60_000)
