"""The pages as people see them: drawn charts with units, both themes legible, addresses that hold the view."""

import io
import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from known import load_known
from PIL import Image
from playwright.sync_api import Page, expect
from servers import Postgres

from muninn.store.database import Database
from muninn.store.migrations import migrate

pytestmark = pytest.mark.browser

OpenPage = Callable[..., Page]

DRAWN_MS = 60_000
# The first two colours of each theme's palette, see streamlit_app/.streamlit/config.toml.
LINES = {False: [(0x2A, 0x78, 0xD6), (0xEB, 0x68, 0x34)], True: [(0x39, 0x87, 0xE5), (0xE0, 0x70, 0x3C)]}
AXES = {"": {"%", "KiB/s", "tasks"}, "explore": {"%"}, "pipeline": {"/s", "ms", "entries", "MiB", "KiB"}}
POINTS = """() => [...document.querySelectorAll('.js-plotly-plot')].map(plot => ({
  points: plot.data.reduce((n, t) => n + [...(t.y._inputArray || t.y)].filter(Number.isFinite).length, 0),
  unit: plot.layout.yaxis.title.text,
  time: plot.layout.xaxis.title.text,
}))"""


@pytest.fixture(scope="module")
def address(streamlit_server: Callable[[dict[str, str]], str], known_url: str) -> str:
    """The app over known data."""
    return streamlit_server({"MUNINN_DATABASE_URL": known_url, "MUNINN_DAGSTER_PORT": "1"})


def settled(page: Page) -> None:
    """Wait until the page has a chart with a line (one that is flat has no height, and so counts as hidden)."""
    page.wait_for_selector(".js-plotly-plot .scatterlayer .trace", state="attached", timeout=DRAWN_MS)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", list(AXES), ids=lambda name: name or "overview")
def test_charts_are_drawn_with_units_in_both_themes_and_widths(
    address: str, open_page: OpenPage, name: str, dark: bool
) -> None:
    page = open_page(f"{address}/{name}", dark=dark)
    settled(page)
    assert page.locator("[data-testid=stException]").count() == 0
    charts = page.evaluate(POINTS)
    assert charts
    assert all(chart["points"] > 0 for chart in charts)
    assert {chart["unit"] for chart in charts} <= AXES[name]
    assert {chart["time"] for chart in charts} <= {"Time (UTC)", "Day (UTC)"}
    assert colored_pixels(page, LINES[dark]) > 100
    for selector in ("h1", "[data-testid=stCaptionContainer] p", ".js-plotly-plot .ytick text"):
        if page.locator(selector).count():
            assert contrast(page, selector) >= 3.0, selector
    page.set_viewport_size({"width": 800, "height": 900})
    # Charts redraw one after another: a page that really is too wide never gets there.
    page.wait_for_function(
        "document.querySelector('.js-plotly-plot .main-svg').clientWidth < 800"
        " && document.querySelector('[data-testid=stMain]').scrollWidth <= 800"
    )


def colored_pixels(page: Page, colors: list[tuple[int, int, int]]) -> int:
    """How many pixels of the first chart have one of the colours, as the screen shows it."""
    shot = page.locator(".js-plotly-plot").first.screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), np.int16)
    return sum(int((np.abs(pixels - np.array(color, np.int16)).max(axis=2) < 24).sum()) for color in colors)


def contrast(page: Page, selector: str) -> float:
    """The WCAG contrast of a text against the page's background, opacity counted in."""
    found = page.evaluate(
        """selector => {
          const element = document.querySelector(selector);
          const style = getComputedStyle(element);
          let opacity = 1;
          for (let e = element; e; e = e.parentElement) opacity *= Number(getComputedStyle(e).opacity);
          const back = getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor;
          return [element.ownerSVGElement ? style.fill : style.color, back, opacity];
        }""",
        selector,
    )
    text, back = (np.array([float(n) for n in re.findall(r"[\d.]+", color)]) for color in found[:2])
    alpha = (text[3] if len(text) > 3 else 1.0) * found[2]
    seen = text[:3] * alpha + back[:3] * (1 - alpha)
    light, dark = sorted((luminance(seen), luminance(back[:3])), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(rgb: np.ndarray) -> float:
    """Relative luminance of an sRGB colour in 0..255."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def test_choices_go_into_the_address_and_come_back_from_it(address: str, open_page: OpenPage) -> None:
    page = open_page(f"{address}/explore")
    settled(page)
    page.get_by_role("radio", name="6h").click()
    page.get_by_role("radio", name="p95").click()
    expect(page).to_have_url(re.compile("agg=p95"), timeout=DRAWN_MS)
    query = parse_qs(urlsplit(page.url).query)
    assert (query["range"], query["agg"]) == (["6h"], ["p95"])
    again = open_page(page.url)
    settled(again)
    expect(again.get_by_role("radio", name="6h")).to_be_checked()
    assert "cpu_busy_pct · p95" in again.locator(".js-plotly-plot .annotation-text").first.text_content()


def test_what_is_shown_can_be_downloaded(address: str, open_page: OpenPage) -> None:
    page = open_page(f"{address}/explore?metric=memory_used_bytes&label.host=beta")
    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("at,metric_name,labels,")
    assert all(",memory_used_bytes,host=beta," in line for line in lines[1:])
    assert len(lines) > 30


def test_pages_come_back_by_themselves(streamlit_server: Callable[[dict[str, str]], str], open_page: OpenPage) -> None:
    """With pages left open, one from before and one opened meanwhile: the database goes away and comes back."""
    server = Postgres()
    try:
        server.start()
        with Database(server.url, pool_size=1) as database:
            migrate(database)
        load_known(server.url)
        address = streamlit_server({"MUNINN_DATABASE_URL": server.url})
        page = open_page(f"{address}/")
        settled(page)
        server.kill()
        expect(page.get_by_text("The database does not answer").first).to_be_visible(timeout=DRAWN_MS)
        meanwhile = open_page(f"{address}/explore")
        expect(meanwhile.get_by_text("The database does not answer")).to_be_visible(timeout=DRAWN_MS)
        server.restart()
        expect(page.get_by_text("Busiest hosts", exact=True)).to_be_visible(timeout=DRAWN_MS)
        expect(page.get_by_text("The database does not answer")).to_have_count(0, timeout=DRAWN_MS)
        settled(meanwhile)
    finally:
        server.close()
