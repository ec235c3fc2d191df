"""The scraper against real HTTP servers that behave and that do not."""

import asyncio
import gzip
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from servers import eventually, free_port

from muninn.clock import ManualClock
from muninn.meter import Meter
from muninn.model import SampleBatch
from muninn.sources.scrape.keys import TargetKeys
from muninn.sources.scrape.scraper import OPENMETRICS, Scraper, http_client
from muninn.sources.scrape.targets import Defaults, Target, from_list

Answer = Callable[[BaseHTTPRequestHandler], None]


def answer(body: bytes, status: int = 200, **headers: str) -> Answer:
    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return write


class Exporter:
    """A target that answers as told."""

    def __init__(self, write: Answer):
        self.write, self.asked = write, list[dict[str, str]]()
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                exporter.asked.append(dict(self.headers))
                exporter.write(self)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def target(self, timeout_s: float = 10.0) -> Target:
        return from_list(self.address, Defaults("app", 15.0, timeout_s))[0]


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    made = Exporter(answer(b""))
    yield made
    made.server.shutdown()
    made.server.server_close()


def scrape(target: Target, meter: Meter | None = None, **options: Any) -> tuple[SampleBatch, str | None]:
    scraper = Scraper(list, lambda _: None, meter=meter, **options)

    async def once() -> tuple[SampleBatch, str | None]:
        async with http_client() as client:
            return await scraper.scrape(client, target, TargetKeys(dict(target.labels)))

    return asyncio.run(once())


def values(batch: SampleBatch) -> dict[str, float]:
    """Metric and its own labels as text -> value."""
    found = {}
    for key, value in zip(batch.key_index, batch.value.tolist(), strict=True):
        series = batch.keys[key]
        own = [f"{name}={text}" for name, text in series.labels if name not in ("job", "instance")]
        found[",".join([series.metric, *own])] = value
    return found


def test_samples_and_the_series_about_the_target(exporter: Exporter) -> None:
    exporter.write = answer(b'a{l="x"} 1\na{l="y"} 2 1699999999000\nb NaN\nb_max +Inf\nwrong\n')
    clock, meter = ManualClock(), Meter()
    batch, trouble = scrape(exporter.target(), meter, clock=clock)
    assert values(batch) == {
        "up": 1, "scrape_duration_seconds": 0, "scrape_samples_scraped": 4, "a,l=x": 1, "a,l=y": 2,
    }  # fmt: skip
    assert trouble == "1 lines are left out; first, line 5: 'wrong' is no sample"
    assert {(key.source_agent_id, key.instance_id) for key in batch.keys} == {("app", exporter.address)}
    assert all(dict(key.labels).items() >= {("job", "app"), ("instance", exporter.address)} for key in batch.keys)
    stamps = dict(zip((batch.keys[key].labels for key in batch.key_index), batch.at_us.tolist(), strict=True))
    assert sorted(set(stamps.values())) == [1_699_999_999_000_000, clock.now_us()]
    counted = {(name, labels.get("kind")): value for name, labels, value in meter.snapshot()}
    assert counted["muninn_scraper_left_out_total", "not_finite"] == 2
    assert counted["muninn_scraper_left_out_total", "broken"] == 1
    assert counted["muninn_scraper_samples_total", None] == 2
    assert exporter.asked[0]["Accept"].startswith(OPENMETRICS)
    assert exporter.asked[0]["X-Prometheus-Scrape-Timeout-Seconds"] == "10"


def test_labels_that_the_target_has_too_are_kept_under_another_name(exporter: Exporter) -> None:
    exporter.write = answer(b'a{job="other",exported_job="third",instance="i"} 1\n')
    batch, _ = scrape(exporter.target())
    series = next(key for key in batch.keys if key.metric == "a")
    assert dict(series.labels) == {
        "job": "app", "instance": exporter.address, "exported_instance": "i", "exported_job": "third",
        "exported_exported_job": "other",
    }  # fmt: skip


def test_gzip_and_redirects(exporter: Exporter) -> None:
    packed = answer(
        gzip.compress(b"a 1\n") + gzip.compress(b"# EOF\n"),
        Content_Encoding="gzip",
        Content_Type=f"{OPENMETRICS}; version=1.0.0",
    )
    turned = answer(b"", 302, Location="/elsewhere")
    exporter.write = lambda handler: (turned if handler.path == "/metrics" else packed)(handler)
    batch, trouble = scrape(exporter.target())
    assert trouble is None
    assert values(batch)["a"] == 1


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Never silent for long, never done."""
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(10_000):
            handler.wfile.write(b"a 1\n")
            time.sleep(0.01)  # how a slow target behaves, not a wait for something
    except OSError:
        pass


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (answer(b"gone", 503), "status 503"),
        (answer(b"<html>"), "is no Prometheus text"),
        (answer(b"a 1\n", Content_Type=OPENMETRICS), "cut off"),
        (answer(b"a 1\n" * 300), "larger than the 1024 bytes"),
        (answer(gzip.compress(b"#" * 100_000), Content_Encoding="gzip"), "larger than the 1024 bytes"),
        (answer(gzip.compress(b"a 1\n")[:-9], Content_Encoding="gzip"), "ends too early"),
        (answer(b"a 1\n", Content_Encoding="gzip"), "is not gzip"),
        (answer(b"a 1\n", Content_Encoding="br"), "not gzip"),
        (answer(b"a 1\n", Content_Length="100", Connection="close"), "RemoteProtocolError"),
        (answer(b"", 302, Location="/metrics"), "TooManyRedirects"),
        (drip, "no answer within 0.5 s"),
    ],
)
def test_a_target_that_fails_is_down(exporter: Exporter, write: Answer, reason: str) -> None:
    exporter.write = write
    limit = 1024 if "1024" in reason else 1 << 20
    batch, trouble = scrape(exporter.target(0.5 if write is drip else 10.0), max_body_bytes=limit)
    assert trouble is not None
    assert reason in trouble
    found = values(batch)
    assert (found["up"], found["scrape_samples_scraped"], len(found)) == (0, 0, 3)


def test_a_target_that_is_not_there_is_down() -> None:
    batch, trouble = scrape(from_list(f"127.0.0.1:{free_port()}", Defaults())[0])
    assert values(batch)["up"] == 0
    assert trouble is not None
    assert "ConnectError" in trouble


def test_a_target_that_is_slow_has_its_own_time_and_holds_up_nobody(exporter: Exporter) -> None:
    slow = Exporter(drip)
    exporter.write = answer(b"a 1\n")
    targets = [exporter.target(), slow.target()]
    quick, late = (replace(each, interval_s=0.2, timeout_s=own) for each, own in zip(targets, (0.2, 0.1), strict=True))
    patient = replace(late, labels=(*late.labels, ("who", "patient")), interval_s=3600.0, timeout_s=3600.0)
    sent: list[SampleBatch] = []
    stop = threading.Event()
    thread = threading.Thread(target=Scraper(lambda: [quick, late, patient], sent.append).run, args=(stop,))
    thread.start()

    def ups(address: str) -> list[float]:
        return [values(batch)["up"] for batch in sent if batch.keys[0].instance_id == address]

    try:
        eventually(lambda: len(ups(slow.address)) > 2 and len(ups(exporter.address)) > 4, 30, "both are told of")
    finally:
        stop.set()
        thread.join(20)
        slow.server.shutdown()
        slow.server.server_close()
    assert not thread.is_alive(), "one that is being waited for does not keep it running"
    assert set(ups(exporter.address)) == {1.0}
    assert set(ups(slow.address)) == {0.0}


def test_what_a_scrape_does_not_show_is_forgotten() -> None:
    keys = TargetKeys({"job": "j", "instance": "i"})
    first = keys.resolve([b"a", b"b", b"a"])
    assert first[0].tolist() == [0, 1, 0]
    again = keys.resolve([b"b"])
    assert again[1][0] is first[1][1]
    assert keys.resolve([b"b", b"a{b}"])[0].tolist() == [0, -1]


def test_targets_come_and_go_while_it_runs(exporter: Exporter) -> None:
    exporter.write = answer(b"a 1\n")
    target = from_list(exporter.address, Defaults("app", 0.1, 0.1))[0]
    wanted: list[Target] = []
    sent: list[SampleBatch] = []
    stop = threading.Event()
    meter = Meter()
    thread = threading.Thread(target=Scraper(lambda: list(wanted), sent.append, meter=meter).run, args=(stop,))
    thread.start()

    def targets() -> float | None:
        return next((value for name, _, value in meter.snapshot() if name == "muninn_scraper_targets"), None)

    try:
        eventually(lambda: targets() == 0, 20, "it runs")
        wanted.append(target)
        eventually(lambda: len(sent) > 3, 20, "the target is scraped again and again")
        wanted.clear()
        eventually(lambda: targets() == 0, 20, "the target is let go")
        asked = len(exporter.asked)
        wanted.append(target)
        eventually(lambda: len(exporter.asked) > asked, 20, "the target is scraped once more")
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    assert any(values(batch).get("a") == 1 for batch in sent)
