"""What Huginn's Post Agent and Telegraf put on the wire, byte for byte as their libraries write it."""

import asyncio
import gzip
import re
import tomllib
from pathlib import Path
from urllib.parse import quote_plus

import httpx
import orjson
import pytest
from starlette.applications import Starlette

from muninn.clock import ManualClock
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.ingest.http import IngestDoor
from muninn.model import SeriesKey

DOCS = Path(__file__).parents[2] / "docs"
NOW_S = 1_700_000_000


class Door:
    def __init__(self) -> None:
        self.clock = ManualClock(NOW_S * 1_000_000)
        self.broker = MemoryBroker(clock=self.clock)
        self.app = Starlette(routes=IngestDoor(self.broker, clock=self.clock).routes())

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        async def request() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://door") as client:
                return await client.post(path, content=body, headers=headers)

        return asyncio.run(request())

    def kept(self) -> dict[SeriesKey, tuple[int, float]]:
        found = {}
        for handle in self.broker.follow("0-0", 0):
            batch = handle.batch
            for key, at, value in zip(batch.key_index, batch.at_us, batch.value, strict=True):
                found[batch.keys[int(key)]] = (int(at), float(value))
        return found


def post_agent_payload() -> dict[str, object]:
    """The payload of docs/huginn.md as Liquid fills it in: every value is text."""
    block = re.search(r"```json\n(.*?)```", (DOCS / "huginn.md").read_text(), re.S)
    assert block is not None
    filled = block[1]
    for template, text in (
        ("{{ 'now' | date: '%s' }}", str(NOW_S)),
        ("{{ events_count }}", "12.5"),
        ("{{ scenario }}", "news & weather"),
        ("{{ agent_id }}", "7"),
        ("{% credential muninn_token %}", "secret"),
    ):
        assert template in filled
        filled = filled.replace(template, text)
    options = orjson.loads(filled)
    assert options["post_url"].endswith("/api/v1/metrics")
    return dict(options["payload"])


KEY = SeriesKey.of(
    "huginn_events_created", {"scenario": "news & weather", "agent_type": "WebsiteAgent"}, "7", "huginn-1"
)
KEPT = {KEY: (NOW_S * 1_000_000, 12.5)}


def test_a_post_agent_that_sends_json() -> None:
    door = Door()
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Faraday v2.9.0"}
    answer = door.post("/api/v1/metrics", orjson.dumps(post_agent_payload()), headers)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert door.kept() == KEPT


def test_a_post_agent_that_sends_an_array_and_an_event_merged_in() -> None:
    door = Door()
    merged = {**post_agent_payload(), "title": "an event", "tags": ["a"], "nested": {"deep": [1]}}
    answer = door.post("/api/v1/metrics", orjson.dumps([merged]), {"Content-Type": "application/json; charset=utf-8"})
    assert answer.json()["accepted"] == 1
    assert door.kept() == KEPT


def test_a_post_agent_that_sends_a_form() -> None:
    """Faraday's url_encoded middleware with its nested parameters encoder: sorted, brackets escaped, spaces as plus."""
    door = Door()
    pairs = []
    for name, value in sorted(post_agent_payload().items()):
        nested = value.items() if isinstance(value, dict) else [(None, value)]
        for inner, text in sorted(nested, key=str):
            full = name if inner is None else f"{name}[{inner}]"
            pairs.append(f"{quote_plus(full)}={quote_plus(str(text))}")
    body = "&".join(pairs).encode()
    assert b"labels%5Bscenario%5D=news+%26+weather" in body
    answer = door.post("/api/v1/metrics", body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert door.kept() == KEPT


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "has none of the fields"),
        (b"a=b", "has none of the fields"),
        (b"metric=m&timestamp=1700000000000&value=%FF", "not UTF-8"),
        (b"metric=m&timestamp=1700000000000&value=", "value: '' is not a number"),
        (b"metric=m&timestamp=1700000000000&value=nan", "is not a number"),
        (b"metric=m&timestamp=1700000000000&value=1_000", "is not a number"),
        (b"metric=m&value=1", "timestamp: missing"),
        (b"&".join(b"labels[a%d]=b" % n for n in range(300)), "more than 256 fields"),
        (b"metric=" + b"m" * (300 << 10), "at most"),
    ],
)
def test_a_form_that_is_no_sample_is_named(body: bytes, says: str) -> None:
    answer = Door().post("/api/v1/metrics", body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 400
    assert says in answer.json()["detail"]


# As Telegraf 1.30's influx serializer writes it: sorted tags, integers with i, unsigned with i, nanoseconds.
LINES = (
    b"cpu,cpu=cpu-total,host=web-1 usage_idle=97.5,usage_user=1.25 1700000000000000000\n"
    b"mem,host=web-1 used=8589934592i,used_percent=51.2 1700000000000000000\n"
    b'system,host=web-1 uptime_format="3 days, 1:02" 1700000000000000000\n'
)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("output", ["influxdb_v2", "influxdb"])
def test_telegraf_as_its_outputs_send(output: str, packed: bool) -> None:
    door = Door()
    headers = {"User-Agent": "Telegraf/1.30.0 Go/1.22.1", "Content-Type": "text/plain; charset=utf-8"}
    if output == "influxdb_v2":
        path, headers["Authorization"] = "/api/v2/write?bucket=&org=", "Token secret"
    else:
        path = "/write?db=telegraf"
    if packed:
        headers["Content-Encoding"] = "gzip"
    answer = door.post(path, gzip.compress(LINES) if packed else LINES, headers)
    assert (answer.status_code, answer.content) == (204, b"")
    at = NOW_S * 1_000_000
    cpu, mem = {"cpu": "cpu-total", "host": "web-1"}, {"host": "web-1"}
    assert door.kept() == {
        SeriesKey.of("cpu_usage_idle", cpu, "", "web-1"): (at, 97.5),
        SeriesKey.of("cpu_usage_user", cpu, "", "web-1"): (at, 1.25),
        SeriesKey.of("mem_used", mem, "", "web-1"): (at, 8589934592.0),
        SeriesKey.of("mem_used_percent", mem, "", "web-1"): (at, 51.2),
    }


def test_telegrafs_configuration_in_docs_is_toml_and_names_our_port() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (DOCS / "telegraf.md").read_text(), re.S)
    outputs = [tomllib.loads(block)["outputs"] for block in blocks]
    urls = [each["urls"] for output in outputs for kind in output.values() for each in kind]
    assert urls == [["http://127.0.0.1:8480"]] * 2
