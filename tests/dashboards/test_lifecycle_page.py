"""The Lifecycle page as a script: days in every tier, none yet, and the database away."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import streamlit as st
from known_tiers import KNOWN_DAYS, SAMPLES, load_tiers
from servers import Postgres
from streamlit.testing.v1 import AppTest

from streamlit_app import shell

APP = Path(__file__).parents[2] / "streamlit_app" / "app.py"
_databases = itertools.count(1)


@pytest.fixture(scope="module")
def tiers(
    postgres_server: Postgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A database with days in every tier, and the folder of its files; the tests only read."""
    name, folder = f"tiers_{next(_databases)}", tmp_path_factory.mktemp("cold")
    url = postgres_server.create(name, migrated_template)
    load_tiers(url, folder)
    yield url, folder
    postgres_server.drop(name)


def shown(monkeypatch: pytest.MonkeyPatch, url: str, **environ: str) -> AppTest:
    """The page on this database."""
    st.cache_resource.clear()
    monkeypatch.delenv("MUNINN_REDIS_URL", raising=False)
    for name, value in {"MUNINN_DATABASE_URL": url, **environ}.items():
        monkeypatch.setenv(name, value)
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.run()
    app.switch_page("app_pages/lifecycle.py")
    app.run()
    shell._connected().close()
    st.cache_resource.clear()
    assert not app.exception
    return app


def frame(app: AppTest, column: str) -> pl.DataFrame:
    return next(pl.from_pandas(one.value) for one in app.dataframe if column in one.value.columns)


def texts(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.caption, app.markdown, app.error, app.info)
    return "\n".join(element.value for kind in kinds for element in kind)


def test_days_are_shown_by_tier_with_what_comes_next(monkeypatch: pytest.MonkeyPatch, tiers: tuple[str, Path]) -> None:
    url, folder = tiers
    environ = {"MUNINN_COLD_FOLDER": str(folder), "MUNINN_COLD_HOT_DAYS": "7", "MUNINN_STORE_RAW_DAYS": "12"}
    app = shown(monkeypatch, url, **environ)
    (chart,) = app.get("plotly_chart")
    figure: dict[str, Any] = json.loads(chart.proto.spec)
    assert [trace["name"] for trace in figure["data"]] == [
        "raw, in the database",
        "raw, in files",
        "rollups, in the database",
        "rollups, in files",
    ]
    assert figure["layout"]["yaxis"]["title"]["text"] in ("KiB", "MiB")
    assert figure["layout"]["xaxis"]["title"]["text"] == "Day (UTC)"
    days = frame(app, "Raw samples")
    where = days["Raw samples"].to_list()
    assert len(where) == KNOWN_DAYS
    assert where[0] == "database"
    assert where[3] == "database, copied to files"
    assert where[9] == "files, and late ones in the database"
    assert where[11] == "files"
    assert days["Samples"].to_list()[0] == "–", "not counted yet"
    assert days["Samples"].to_list()[3] == f"{SAMPLES:,}"
    assert 0 < float(days["B per sample"].to_list()[3]) < 10
    cards = {metric.label: metric.value for metric in app.metric}
    assert cards["Days in files only"] == f"4 of {KNOWN_DAYS}"
    assert cards["Smaller in files"].endswith("×")
    coming = frame(app, "What")
    assert "write its files anew" in coming.filter(pl.col("When") == "due")["What"].to_list()
    assert "drop it" in coming["What"].to_list()
    assert frame(app, "Folded in after")["Samples"].to_list() == [1]
    assert "for 7 days, then in files only, and are dropped after 12 days" in texts(app)
    assert "muninn lifecycle export" in texts(app)


def test_without_the_cold_tier_it_says_so(monkeypatch: pytest.MonkeyPatch, tiers: tuple[str, Path]) -> None:
    app = shown(monkeypatch, tiers[0], MUNINN_COLD_ENABLED="false")
    assert "MUNINN_COLD_ENABLED" in texts(app)


def test_without_samples_it_says_how_to_send_some(monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    app = shown(monkeypatch, postgres_url)
    assert "No samples yet" in texts(app)
    assert not app.error


def test_without_a_database_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    app = shown(monkeypatch, "postgresql://muninn@/muninn?host=/nonexistent")
    assert "The database does not answer" in texts(app)
