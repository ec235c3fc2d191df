"""The live page in a real browser, on the real way: Valkey -> sidecar -> WebSocket -> canvas."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Locator, Page, expect
from servers import Postgres, Valkey, eventually, free_port
from streaming import RunningSidecar, running

from muninn.clock import SystemClock
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import SampleBatch, SeriesKey

pytestmark = pytest.mark.browser
WAIT_MS = 20_000


@dataclass
class Host:
    """A host that sends a reading every 200 ms, with values that the test chooses."""

    broker: ValkeyBroker
    values: dict[tuple[str, str], float] = field(default_factory=lambda: {("cpu", "0"): 11.0, ("cpu", "total"): 22.0})
    muted: bool = False

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def _send(self) -> None:
        while not self._stop.wait(0.2):
            if not self.muted:
                at_us = SystemClock().now_us()
                rows = [(key("cpu_busy_pct", cpu=cpu), at_us, value) for (_, cpu), value in self.values.items()]
                rows.append((key("load_1m"), at_us, 1.5))
                rows.append((key("network_received_bytes_per_s", device="eth0"), at_us, 3.0 * 2**20))
                self.broker.append(SampleBatch.of(rows))

    def __enter__(self) -> "Host":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def key(metric: str, **labels: str) -> SeriesKey:
    return SeriesKey.of(metric, {"host": "raven", **labels}, "host-collector", "raven")


@pytest.fixture(scope="module")
def broker(valkey_server: Valkey) -> Iterator[ValkeyBroker]:
    made = ValkeyBroker(valkey_server.url, durability="memory")
    yield made
    made.close()


@pytest.fixture
def host(broker: ValkeyBroker) -> Iterator[Host]:
    with Host(broker) as sending:
        yield sending


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def app(
    streamlit_server: Callable[[dict[str, str]], str],
    postgres_server: Postgres,
    migrated_template: str,
    valkey_server: Valkey,
    port: int,
) -> str:
    """The address of the live page; its sidecar is to listen on `port`."""
    database = postgres_server.create("live_page", migrated_template)
    environ = {
        "MUNINN_DATABASE_URL": database,
        "MUNINN_REDIS_URL": valkey_server.url,
        "MUNINN_SIDECAR_PORT": str(port),
    }
    return streamlit_server(environ) + "/live"


@pytest.fixture
def sidecar(broker: ValkeyBroker, port: int) -> Iterator[RunningSidecar]:
    with running(broker, port=port) as started:
        yield started


def legend(page: Page, chart: str, series: str) -> Locator:
    return page.locator(f'[data-chart="{chart}"] .value[data-series="{series}"]')


def picture(page: Page, chart: str) -> str:
    """What is drawn, as a data URL."""
    return str(page.locator(f'[data-chart="{chart}"] canvas').evaluate("canvas => canvas.toDataURL()"))


def state(page: Page) -> Locator:
    return page.locator(".pill")


def test_the_page_moves_and_shows_the_numbers_that_were_ingested(
    app: str, sidecar: RunningSidecar, host: Host, open_page: Callable[..., Page]
) -> None:
    page = open_page(app)
    expect(state(page)).to_have_text("Live", timeout=WAIT_MS)
    expect(legend(page, "cpu", "total")).to_have_text("22 %", timeout=WAIT_MS)
    expect(legend(page, "cpu", "cpu 0")).to_have_text("11 %")
    expect(page.locator('[data-figure="cpu_busy_pct"] .tile-value')).to_have_text("22 %")
    expect(page.locator('[data-figure="network_received_bytes_per_s"] .tile-value')).to_have_text("3 MiB/s")
    before = picture(page, "cpu")
    eventually(lambda: picture(page, "cpu") != before, 10, "the drawing moves", 0.2)
    host.values["cpu", "total"] = 73.4
    expect(legend(page, "cpu", "total")).to_have_text("73.4 %", timeout=WAIT_MS)
    eventually(lambda: sidecar.metered("muninn_viewers") == 1, 20, "one connection for all charts")


def test_numbers_come_without_the_page_running_again(
    app: str, sidecar: RunningSidecar, host: Host, open_page: Callable[..., Page]
) -> None:
    page = open_page(app)
    expect(legend(page, "cpu", "total")).to_have_text("22 %", timeout=WAIT_MS)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    messages: list[object] = []
    watched = page.context.new_cdp_session(page)
    watched.send("Network.enable")
    watched.on("Network.webSocketFrameReceived", lambda event: messages.append(event["response"]["opcode"]))
    host.values["cpu", "total"] = 44.0
    expect(legend(page, "cpu", "total")).to_have_text("44 %", timeout=WAIT_MS)
    assert messages
    assert set(messages) == {1}  # text: the sidecar's; Streamlit's own are binary


def test_pause_holds_the_picture_and_go_on_brings_the_rest(
    app: str, sidecar: RunningSidecar, host: Host, open_page: Callable[..., Page]
) -> None:
    page = open_page(app)
    expect(legend(page, "cpu", "total")).to_have_text("22 %", timeout=WAIT_MS)
    page.get_by_role("button", name="Pause").click()
    expect(state(page)).to_have_text("Paused")
    sent = sidecar.metered("muninn_stream_frames_total")
    host.values["cpu", "total"] = 55.0
    eventually(lambda: sidecar.metered("muninn_stream_frames_total") >= sent + 2, 10, "frames go on")
    held = ""
    for frames in (4, 6, 8):  # a page that is still being laid out draws once more; one that goes on, with every frame
        before, held = held, picture(page, "cpu")
        if held == before:
            break
        wanted = sent + frames
        eventually(lambda wanted=wanted: sidecar.metered("muninn_stream_frames_total") >= wanted, 10, "frames go on")
    assert picture(page, "cpu") == held
    page.get_by_role("button", name="Go on").click()
    expect(state(page)).to_have_text("Live")
    expect(legend(page, "cpu", "total")).to_have_text("55 %", timeout=WAIT_MS)
    assert picture(page, "cpu") != held


def test_the_pointer_reads_values_and_the_time(
    app: str, sidecar: RunningSidecar, host: Host, open_page: Callable[..., Page]
) -> None:
    page = open_page(app)
    expect(legend(page, "cpu", "total")).to_have_text("22 %", timeout=WAIT_MS)
    page.get_by_role("button", name="Pause").click()
    plot = page.locator('[data-chart="cpu"] .plot')
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 13, box["y"] + 60)
    tip = page.locator('[data-chart="cpu"] .tip')
    expect(tip).to_contain_text("22 %")
    expect(tip).to_contain_text("11 %")
    expect(tip).to_contain_text(re.compile(r"\d\d:\d\d:\d\d"))
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 60)  # long before the first sample
    expect(legend(page, "cpu", "total")).to_have_text("–")
    page.mouse.move(box["x"], box["y"] - 40)
    expect(tip).to_be_hidden()
    expect(legend(page, "cpu", "total")).to_have_text("22 %")


def test_a_lost_sidecar_is_told_and_the_page_comes_back_by_itself(
    app: str, broker: ValkeyBroker, port: int, host: Host, open_page: Callable[..., Page]
) -> None:
    with running(broker, port=port):
        page = open_page(app)
        expect(legend(page, "cpu", "total")).to_have_text("22 %", timeout=WAIT_MS)
    expect(state(page)).to_have_text("Reconnecting …", timeout=WAIT_MS)
    expect(page.locator(".trouble")).to_contain_text("muninn status", timeout=WAIT_MS)
    host.values["cpu", "total"] = 66.0
    with running(broker, port=port):
        expect(state(page)).to_have_text("Live", timeout=WAIT_MS)
        expect(page.locator(".trouble")).to_be_hidden()
        expect(legend(page, "cpu", "total")).to_have_text("66 %", timeout=WAIT_MS)


def test_a_page_without_a_sidecar_says_what_to_do(app: str, open_page: Callable[..., Page]) -> None:
    page = open_page(app)
    expect(page.locator(".trouble")).to_contain_text("cannot be reached", timeout=WAIT_MS)
    expect(page.locator(".trouble")).to_contain_text("MUNINN_SIDECAR_ORIGINS")


def test_no_samples_is_told_in_the_chart_and_in_the_state(
    app: str, sidecar: RunningSidecar, host: Host, open_page: Callable[..., Page]
) -> None:
    page = open_page(app)
    expect(legend(page, "cpu", "total")).to_have_text("22 %", timeout=WAIT_MS)
    empty = page.locator('[data-chart="disk"] .empty')
    expect(empty).to_contain_text("No samples of disk_read_bytes_per_s, disk_written_bytes_per_s")
    host.muted = True
    expect(state(page)).to_have_text("No new data", timeout=40_000)
    expect(legend(page, "cpu", "total")).to_have_text("–", timeout=WAIT_MS)


def test_a_series_is_hidden_by_its_legend_entry(
    app: str, sidecar: RunningSidecar, host: Host, open_page: Callable[..., Page]
) -> None:
    page = open_page(app)
    expect(legend(page, "cpu", "total")).to_have_text("22 %", timeout=WAIT_MS)
    page.get_by_role("button", name="Pause").click()
    expect(state(page)).to_have_text("Paused")
    entry = page.locator('[data-chart="cpu"] .key', has_text="total")
    expect(entry).to_have_attribute("aria-pressed", "true")
    both = picture(page, "cpu")
    entry.click()
    expect(entry).to_have_attribute("aria-pressed", "false")
    page.mouse.move(5, 5)
    eventually(lambda: picture(page, "cpu") != both, 10, "the line is gone")


def test_charts_are_picked_and_the_address_keeps_them(
    app: str, sidecar: RunningSidecar, host: Host, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{app}?charts=Load")
    expect(legend(page, "load", "1 min")).to_have_text("1.5", timeout=WAIT_MS)
    expect(page.locator("[data-chart]")).to_have_count(1)
    page.get_by_test_id("stMultiSelect").locator("input").click()
    page.get_by_role("option", name="Network").click()
    expect(legend(page, "network", "in")).to_have_text("3 MiB/s", timeout=WAIT_MS)
    expect(page.locator("[data-chart]")).to_have_count(2)
    expect(page).to_have_url(re.compile("charts=load.*charts=network"))
    eventually(lambda: sidecar.metered("muninn_viewers") == 1, 20, "one connection for all charts")


def test_a_label_that_is_markup_stays_text(
    app: str, sidecar: RunningSidecar, host: Host, open_page: Callable[..., Page]
) -> None:
    page = open_page(app)
    expect(legend(page, "cpu", "total")).to_have_text("22 %", timeout=WAIT_MS)
    host.values["cpu", "<img src=x onerror=document.title='bad'>"] = 1.0
    expect(page.locator('[data-chart="cpu"] .key', has_text="<img src=x")).to_have_count(1, timeout=WAIT_MS)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        assert page.title() != "bad"
    assert page.locator('[data-chart="cpu"] .key img').count() == 0
