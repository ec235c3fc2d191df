"""Who is asked for a token at the dashboards, and what a token opens."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from muninn.store.database import Database
from muninn.store.tokens import StoredTokens
from streamlit_app import entry, shell

APP = Path(__file__).parents[2] / "streamlit_app" / "app.py"


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> Iterator[AppTest]:
    """The app as one who has to give a token sees it."""
    monkeypatch.setenv("MUNINN_DATABASE_URL", postgres_url)
    monkeypatch.setenv("MUNINN_ACCESS_LOOPBACK", "token")
    monkeypatch.setenv("MUNINN_ACCESS_REFRESH_S", "0.1")
    monkeypatch.setenv("MUNINN_DAGSTER_PORT", "1")
    monkeypatch.delenv("MUNINN_REDIS_URL", raising=False)
    st.cache_resource.clear()
    yield AppTest.from_file(str(APP), default_timeout=60)
    entry._roll().close()
    shell.current_reads().close()
    st.cache_resource.clear()


def test_nobody_sees_a_page_before_a_token_that_may_read(app: AppTest, postgres_url: str) -> None:
    with Database(postgres_url, pool_size=1) as database:
        kept = StoredTokens(database)
        reader, sender = kept.create("reader", ["read"]), kept.create("sender", ["ingest"])
        app.run()
        assert [form.value for form in app.subheader] == ["Who are you?"]
        assert not app.title
        for secret, says in (("wrong", "not known"), (sender, "needs the scope read")):
            app.text_input[0].set_value(secret)
            app.button[0].click().run()
            assert says in app.error[0].value
        app.text_input[0].set_value(reader)
        app.button[0].click().run()
        assert [title.value for title in app.title] == ["Overview"]
        kept.revoke("reader")
        entry._roll().refresh()
        app.run()
        assert [form.value for form in app.subheader] == ["Who are you?"]
