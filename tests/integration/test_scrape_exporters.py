"""Real exporters are scraped; what they show goes through the public door into the buffer."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from servers import eventually, free_port

from muninn.model import SeriesKey
from muninn.sources.client import GatewayClient
from muninn.sources.scrape.scraper import Scraper
from muninn.sources.scrape.targets import Defaults, Targets

ROOT = Path(__file__).parents[2]
Kept = Callable[[], dict[SeriesKey, list[float]]]


@contextmanager
def scraping(gateway_url: str, targets: str) -> Iterator[None]:
    client, stop = GatewayClient(gateway_url), threading.Event()
    scraper = Scraper(Targets(targets, None, Defaults("self", 0.5, 0.5)).current, client.send)
    thread = threading.Thread(target=scraper.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        client.close()


def test_the_http_server_of_prometheus_client(door: tuple[str, Kept]) -> None:
    url, kept = door
    registry = CollectorRegistry()
    jobs = Counter("jobs", "done", ["queue"], registry=registry)
    jobs.labels("mail").inc(3)
    Histogram("latency_seconds", "how long", registry=registry, buckets=(0.1, 1)).observe(0.5)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    address = f"127.0.0.1:{server.server_port}"

    def series(metric: str, **labels: str) -> SeriesKey:
        return SeriesKey.of(metric, {"job": "self", "instance": address, **labels}, "self", address)

    try:
        with scraping(url, address):
            eventually(lambda: 3.0 in kept().get(series("jobs_total", queue="mail"), []), 30, "a first scrape arrives")
            jobs.labels("mail").inc(4)
            eventually(lambda: 7.0 in kept().get(series("jobs_total", queue="mail"), []), 30, "the change arrives")
            server.shutdown()
            server.server_close()
            eventually(lambda: 0.0 in kept()[series("up")], 30, "it is seen to be down")
            before = len(kept()[series("jobs_total", queue="mail")])
            downs = kept()[series("up")].count(0.0)
            eventually(lambda: kept()[series("up")].count(0.0) > downs, 30, "it stays down")
            assert len(kept()[series("jobs_total", queue="mail")]) == before
    finally:
        thread.join(10)
    found = kept()
    buckets = {dict(key.labels)["le"]: values[0] for key, values in found.items() if key.metric.endswith("_bucket")}
    assert buckets == {"0.1": 0.0, "1.0": 1.0, "+Inf": 1.0}
    assert (found[series("latency_seconds_count")][0], found[series("latency_seconds_sum")][0]) == (1.0, 0.5)
    assert found[series("up")][0] == 1.0


def test_prometheus_scraped_by_us_gives_the_series_that_it_would_send_itself(
    door: tuple[str, Kept], prometheus: str, tmp_path: Path
) -> None:
    url, kept = door
    own = f"127.0.0.1:{free_port()}"
    (tmp_path / "prometheus.yml").write_text("global: {scrape_interval: 1s}\n")
    command = [prometheus, "--enable-feature=agent", f"--config.file={tmp_path / 'prometheus.yml'}"]
    command += [f"--storage.agent.path={tmp_path / 'data'}", f"--web.listen-address={own}"]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            with scraping(url, own):
                about = {"job": "self", "instance": own}
                up = SeriesKey.of("up", about, "self", own)
                eventually(lambda: kept().get(up, []).count(1.0) >= 2, 60, "two scrapes arrive")
        finally:
            process.terminate()
    found = kept()
    assert found[SeriesKey.of("scrape_samples_scraped", about, "self", own)][-1] > 100
    assert len(found) > 100
    assert next(values for key, values in found.items() if key.metric == "go_info")[0] == 1.0
    assert next(key for key in found if key.metric == "go_info").instance_id == own


def test_the_program_as_it_is_started(door: tuple[str, Kept], redis_url: str, tmp_path: Path) -> None:
    url, kept = door
    server, thread = start_http_server(0, "127.0.0.1", CollectorRegistry())
    address = f"127.0.0.1:{server.server_port}"
    environ = {
        "MUNINN_SCRAPER_TARGETS": address,
        "MUNINN_SCRAPER_INTERVAL_S": "0.2",
        "MUNINN_SCRAPER_URL": url,
        "MUNINN_REDIS_URL": redis_url,
    }
    kept_environ = {name: value for name, value in os.environ.items() if not name.startswith("MUNINN_")}
    command = [sys.executable, "-m", "muninn.run.programs", "scraper"]
    with (tmp_path / "log").open("wb") as log:
        program = subprocess.Popen(command, cwd=ROOT, env={**kept_environ, **environ}, stdout=log, stderr=log)
    try:
        up = SeriesKey.of("up", {"job": "scrape", "instance": address}, "scrape", address)
        eventually(lambda: 1.0 in kept().get(up, []), 60, "the target is up")
        program.terminate()
        assert program.wait(20) == 0, (tmp_path / "log").read_text()
    finally:
        program.kill()
        program.wait(10)
        server.shutdown()
        server.server_close()
        thread.join(10)
