"""The live board's JavaScript against the Python that means the same: texts of values, and the protocol."""

import json
import math
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser, Page

from muninn.clock import ManualClock
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey
from muninn.stream.channel import Limits
from muninn.stream.client import ChannelView
from muninn.stream.hub import Hub
from muninn.stream.protocol import ChannelSpec
from streamlit_app.components.live_board import script
from streamlit_app.widgets import formats

pytestmark = pytest.mark.browser
UNITS = ("", "%", "B", "B/s", "/s", "s", "ms", "µs", "ratio", "°C", "Hz", "V", "widgets", "s/s")


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """An empty page that knows the component's functions."""
    context = browser.new_context(timezone_id="Asia/Kathmandu", locale="en-GB")
    page = context.new_page()
    page.add_script_tag(content=script().replace("export default function", "function"))
    yield page
    context.close()


def values() -> list[float]:
    chosen = random.Random(3)
    near = [0.0, 1.0, 9.995, 99.95, 999.4, 999.5, 1000.0, 1023.4, 1023.9, 1024.0, 59.9, 60.0, 3599.0, 3600.0, 100.0]
    wide = [chosen.choice((-1, 1)) * 10 ** chosen.uniform(-7, 12) for _ in range(400)]
    return [*near, *wide]


def test_values_read_the_same_as_on_every_other_page(page: Page) -> None:
    cases = [(value, unit) for value in values() for unit in UNITS]
    found = page.evaluate("cases => cases.map(([value, unit]) => quantity(value, unit))", cases)
    wrong = [
        (value, unit, text, formats.quantity(value, unit))
        for (value, unit), text in zip(cases, found, strict=True)
        if text != formats.quantity(value, unit)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("low", "high", "unit", "texts"),
    [
        (0, 100, "%", ["0", "25 %", "50 %", "75 %", "100 %"]),
        (0, 1.29e9, "B/s", ["0", "0.5 GiB/s", "1.0 GiB/s", "1.5 GiB/s"]),
        (0, 0.9, "", ["0", "0.25", "0.50", "0.75", "1.00"]),
        (0, 12_345, "/s", ["0", "5 k/s", "10 k/s", "15 k/s"]),
        (0, 0.019, "s", ["0", "5 ms", "10 ms", "15 ms", "20 ms"]),
        (-3, 5, "", ["-4", "-2", "0", "2", "4", "6"]),
        (0, 7200, "s", ["0", "0.5 h", "1.0 h", "1.5 h", "2.0 h"]),
    ],
)
def test_value_axes_have_round_ticks_in_one_scale(
    page: Page, low: float, high: float, unit: str, texts: list[str]
) -> None:
    ticks = page.evaluate("([low, high, unit]) => valueTicks(low, high, 4, unit)", [low, high, unit])
    assert [tick["text"] for tick in ticks] == texts
    assert ticks[0]["value"] <= low
    assert ticks[-1]["value"] >= high


def test_value_axes_hold_any_range(page: Page) -> None:
    chosen = random.Random(5)
    ranges = [
        (min(0.0, chosen.uniform(-1, 0.5) * size), size, unit)
        for unit in UNITS
        for size in [10 ** chosen.uniform(-6, 15) for _ in range(40)]
    ]
    found = page.evaluate("ranges => ranges.map(([low, high, unit]) => valueTicks(low, high, 4, unit))", ranges)
    for (low, high, unit), ticks in zip(ranges, found, strict=True):
        assert 2 <= len(ticks) <= 9, (low, high, unit)
        assert ticks[0]["value"] <= low * (1 - 1e-9) or math.isclose(ticks[0]["value"], low)
        assert ticks[-1]["value"] >= high * (1 - 1e-9)
        assert len({tick["text"] for tick in ticks}) == len(ticks), (low, high, unit, [tick["text"] for tick in ticks])


def test_time_axes_are_in_local_time_at_round_instants(page: Page) -> None:
    since = 1_700_000_123_456  # 2023-11-14 22:15:23 UTC; Kathmandu is 5 h 45 min ahead
    ticks = page.evaluate("since => timeTicks(since, since + 300000, 6)", since)
    assert [tick["text"] for tick in ticks] == ["04:01", "04:02", "04:03", "04:04", "04:05"]
    ticks = page.evaluate("since => timeTicks(since, since + 60000, 4)", since)
    assert [tick["text"] for tick in ticks] == ["04:00:30", "04:00:45", "04:01:00", "04:01:15"]


def test_durations(page: Page) -> None:
    assert page.evaluate("[5, 60, 125, 3600, 5400].map(duration)") == ["5 s", "1 min", "2 min 5 s", "1 h", "1 h 30 min"]


class Recorder:
    """A subscriber that keeps every frame of one channel, and sometimes loses one."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []

    def start(self, channel: Any) -> None: ...

    def check(self) -> str | None:
        return None

    def deliver(self, message: bytes, channels: tuple[int, ...]) -> bool:
        self.frames += orjson.loads(message)
        return True


def recorded_frames(seed: int) -> list[dict[str, Any]]:
    """A channel's snapshot and deltas of a lively time: late samples, repeated ones, series that come and go."""
    chosen, clock = random.Random(seed), ManualClock()
    hub = Hub(clock, lambda channel: hub.seeded(channel, ()), Limits(window_s=30), Meter())
    recorder = Recorder()
    hub.join(recorder)
    channel = hub.subscribe(recorder, ChannelSpec.of("m"))
    frames = [orjson.loads(channel.snapshot(hub.now_ms))]
    for _ in range(80):
        for _ in range(chosen.randrange(4)):
            at_us = clock.now_us() - chosen.randrange(20) * 500_000
            hub.ingest(SampleBatch.of([(SeriesKey.of("m", {"n": str(chosen.randrange(3))}), at_us, chosen.random())]))
        clock.advance(chosen.choice((0.3, 1.0, 1.0, 1.0, 12.0)))
        recorder.frames.clear()
        for delivery in hub.tick():
            recorder.deliver(delivery.message, delivery.channels)
        frames += [frame for frame in recorder.frames if frame["op"] == "delta"]
        if chosen.random() < 0.1:
            frames.append(orjson.loads(channel.snapshot(hub.now_ms)))
        if chosen.random() < 0.2:
            frames.append(frames[-1])  # comes twice
    return frames


JS_VIEW = """frames => {
    const view = new ChannelView();
    for (const frame of frames) {
        if (frame.op === "snapshot") view.snapshot(frame); else view.delta(frame);
        view.dropBefore(frame.at_ms - view.windowMs);
    }
    const points = [...view.series.values()].map((s) => [s.labels.n, s.at.map((at, i) => [at, s.value[i]])]);
    return { position: view.position, points };
}"""


@pytest.mark.parametrize("seed", range(8))
def test_the_browsers_view_of_a_channel_equals_pythons(page: Page, seed: int) -> None:
    frames = recorded_frames(seed)
    assert sum(frame["op"] == "delta" for frame in frames) > 20
    view = ChannelView()
    for frame in frames:
        if frame["op"] == "snapshot":
            view.snapshot(frame)
        else:
            assert view.delta(frame)
    found = page.evaluate(JS_VIEW, json.loads(json.dumps(frames)))
    assert view.position is not None
    assert found["position"] == {"epoch": view.position.epoch, "offset": view.position.offset}
    expected = {dict(key.labels)["n"]: list(map(list, points.items())) for key, points in view.series().items()}
    assert {n: points for n, points in found["points"] if points} == {n: p for n, p in expected.items() if p}


def test_a_missing_delta_is_noticed(page: Page) -> None:
    frames = [frame for frame in recorded_frames(1) if frame["op"] == "snapshot" or frame["offset"] != 3][:6]
    assert page.evaluate(
        """frames => {
            const view = new ChannelView();
            return frames.map((frame) => frame.op === "snapshot" ? (view.snapshot(frame), true) : view.delta(frame));
        }""",
        frames,
    ) == [frame["op"] == "snapshot" or frame["offset"] < 3 for frame in frames]


def test_series_are_named_by_what_tells_them_apart(page: Page) -> None:
    def names(*rows: dict[str, Any]) -> list[str]:
        members = [
            {"series": {"metric": "m", "instance": "raven", **row}, "prefix": row.pop("prefix", "")} for row in rows
        ]
        return list(page.evaluate("members => nameSeries(members)", members))

    core = {"host": "raven"}
    assert names({"labels": {**core, "cpu": "0"}}, {"labels": {**core, "cpu": "total"}}) == ["cpu 0", "total"]
    assert names({"labels": core}) == ["raven"]
    assert names({"labels": {}}) == ["m"]
    assert names({"labels": core, "prefix": "in"}, {"labels": core, "prefix": "out"}) == ["in", "out"]
    assert names(
        {"labels": {"host": "a", "device": "eth0"}, "prefix": "in"},
        {"labels": {"host": "b", "device": "eth1"}, "prefix": "out"},
    ) == ["a · eth0 · in", "b · eth1 · out"]


def test_a_counter_is_shown_as_its_increase_per_second(page: Page) -> None:
    rate = page.evaluate("rateOf([0, 1000, 3000, 4000, 5000], [10, 20, 60, 5, 8])")
    assert rate == {"at": [1000, 3000, 5000], "value": [10, 20, 3]}
