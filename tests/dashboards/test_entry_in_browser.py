"""A viewer who has to give a token: the page asked for opens, its live charts too, and a reload asks no more."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page
from servers import eventually
from streaming import RunningSidecar, running

from muninn.guard.judge import Judge, Policy
from muninn.guard.roll import Roll
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.store.database import Database
from muninn.store.tokens import StoredTokens

OpenPage = Callable[..., Page]
pytestmark = pytest.mark.browser


@pytest.fixture
def guarded(postgres_url: str) -> Iterator[tuple[RunningSidecar, str]]:
    """A sidecar that asks also this machine, and a token that may read."""
    with Database(postgres_url, pool_size=1) as database:
        kept = StoredTokens(database)
        secret = kept.create("viewer", ["read"])
        roll = Roll(kept)
        roll.refresh()
        with running(MemoryBroker(), judge=Judge(Policy(trust_loopback=False), roll)) as sidecar:
            yield sidecar, secret


def test_a_token_opens_the_page_its_stream_and_the_next_load(
    guarded: tuple[RunningSidecar, str],
    postgres_url: str,
    streamlit_server: Callable[[dict[str, str]], str],
    open_page: OpenPage,
) -> None:
    sidecar, secret = guarded
    url = streamlit_server(
        {
            "MUNINN_DATABASE_URL": postgres_url,
            "MUNINN_ACCESS_LOOPBACK": "token",
            "MUNINN_SIDECAR_PORT": str(sidecar.port),
        }
    )
    page = open_page(f"{url}/live")
    page.get_by_text("Who are you?").wait_for(timeout=60_000)
    page.get_by_label("Token", exact=True).fill(secret)
    page.get_by_role("button", name="Open").click()
    page.locator(".live-board .pill").get_by_text("Live").wait_for(timeout=60_000)
    eventually(lambda: sidecar.metered("muninn_viewers") == 1, 20, "the viewer is let in")
    assert secret not in page.content()
    page.reload()
    page.locator(".live-board .pill").get_by_text("Live").wait_for(timeout=60_000)
    assert page.get_by_text("Who are you?").count() == 0
