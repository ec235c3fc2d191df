"""What the dashboard tests share: known data in a real store, a headless Chromium, a Streamlit server."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import streamlit as st
from known import load_known
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from servers import Postgres, free_port
from streamlit.testing.v1 import AppTest

from streamlit_app import shell

ROOT = Path(__file__).parents[2]
START_S = 60.0
RunPage = Callable[..., AppTest]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The network flags keep Chromium from calling its maker's hosts, which a closed network refuses slowly.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_databases = itertools.count(1)


@pytest.fixture(scope="module")
def known_url(postgres_server: Postgres, migrated_template: str) -> Iterator[str]:
    """A database with known data; shared by the module's tests, which only read."""
    name = f"known_{next(_databases)}"
    url = postgres_server.create(name, migrated_template)
    load_known(url)
    yield url
    postgres_server.drop(name)


class OpenPage(Protocol):
    """Opens an address in a fresh browser context (own storage, own theme)."""

    def __call__(self, url: str, *, dark: bool = False, width: int = 1440, height: int = 900) -> Page: ...


@pytest.fixture
def run_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunPage]:
    """Run a page: `run_page("explore", database_url, redis_url=None, **query)`; its Reads is closed at the end."""
    for name in ("MUNINN_DATABASE_URL", "MUNINN_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    st.cache_resource.clear()

    def run(page: str, database_url: str | None, *, redis_url: str | None = None, **query: Any) -> AppTest:
        for name, value in (("MUNINN_DATABASE_URL", database_url), ("MUNINN_REDIS_URL", redis_url)):
            if value is not None:
                monkeypatch.setenv(name, value)
        # Nobody listens there: the answer about Dagster is quick and the same everywhere.
        monkeypatch.setenv("MUNINN_DAGSTER_PORT", "1")
        app = AppTest.from_file(str(ROOT / "streamlit_app" / "app.py"), default_timeout=60)
        app.context = {"timezone": "Europe/Berlin"}
        if page != "overview":
            app.run()
            app.switch_page(f"app_pages/{page}.py")
        app.query_params.update(query)
        return app.run()

    yield run
    with contextlib.suppress(Exception):
        shell.current_reads().close()
    st.cache_resource.clear()


def find_chromium(playwright: Playwright) -> str | None:
    """The path of a Chromium of this machine, or of the one playwright installed; None without either."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; the module is skipped where there is none.

    Per module, not per session: playwright keeps an event loop running in this thread while it is open,
    and other tests' asyncio.run would fail beside it.
    """
    with sync_playwright() as playwright:
        path = find_chromium(playwright)
        if path is None:
            pytest.skip("no Chromium on this machine (`make browser` installs one where it may)")
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open pages: `open_page(url, dark=False, width=1440, height=900)`; all are closed with the test."""
    contexts = []

    def open_one(url: str, *, dark: bool = False, width: int = 1440, height: int = 900) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            timezone_id="UTC",
            locale="en-GB",
        )
        contexts.append(context)
        page = context.new_page()
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()


def await_server(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once Streamlit answers at `url`; AssertionError with its log if it ends or takes too long."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"streamlit ended: {log.read_text()[-2000:]}"
        try:
            with urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.1)  # between two looks
    raise AssertionError(f"streamlit did not answer within {START_S} s: {log.read_text()[-2000:]}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process politely, then by force."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


@pytest.fixture(scope="module")
def streamlit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[dict[str, str]], str]]:
    """Start the real app: `streamlit_server({"MUNINN_DATABASE_URL": ...})` returns its address once it answers."""
    running = []

    def start(environ: dict[str, str]) -> str:
        port = free_port()
        log = tmp_path_factory.mktemp("streamlit") / "streamlit.log"
        command = [sys.executable, "-m", "streamlit", "run", "streamlit_app/app.py"]
        options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MUNINN_")}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *options], cwd=ROOT, env={**inherited, **environ}, stdout=output, stderr=subprocess.STDOUT
            )
        running.append(process)
        url = f"http://127.0.0.1:{port}"
        await_server(url, process, log)
        return url

    yield start
    for process in running:
        end(process)
