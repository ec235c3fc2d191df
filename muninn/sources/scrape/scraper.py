"""Asks each target at its interval and hands on what it says.

Belongs here: fetching with bounds, schedules, the series about each target. Does not: the text (exposition), sending.
"""

import asyncio
import logging
import threading
import zlib
from collections.abc import Callable
from hashlib import blake2b

import httpx
import numpy as np

from muninn.clock import SECOND_US, Clock, SystemClock
from muninn.errors import Invalid
from muninn.meter import Meter
from muninn.model import SampleBatch
from muninn.sources.scrape.exposition import NO_STAMP, Exposition, parse
from muninn.sources.scrape.keys import TargetKeys
from muninn.sources.scrape.targets import Target

log = logging.getLogger(__name__)

OPENMETRICS = "application/openmetrics-text"
_ACCEPT = f"{OPENMETRICS};version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
_LOOK_S = 1.0
_GZIP = 31


class Scraper:
    """Scrapes what `targets()` names, until stopped; it is asked once a second, so targets may come and go.

    send: takes each scrape's samples. A series or a target that is gone gets no more samples: a gap, not a value.
    """

    def __init__(
        self,
        targets: Callable[[], list[Target]],
        send: Callable[[SampleBatch], None],
        *,
        max_body_bytes: int = 32 << 20,
        clock: Clock | None = None,
        meter: Meter | None = None,
    ):
        self._targets, self._send, self._max_bytes = targets, send, max_body_bytes
        self._clock = clock or SystemClock()
        self._meter = meter or Meter()

    def run(self, stop: threading.Event) -> None:
        """Scrape until `stop` is set."""
        asyncio.run(self._run(stop))

    async def _run(self, stop: threading.Event) -> None:
        tasks: dict[Target, asyncio.Task[None]] = {}
        async with http_client() as client:
            while not stop.is_set():
                wanted = self._targets()
                for gone in tasks.keys() - set(wanted):
                    tasks.pop(gone).cancel()
                for target in wanted:
                    if target not in tasks:
                        tasks[target] = asyncio.create_task(self._follow(client, target))
                self._meter.gauge("muninn_scraper_targets", len(tasks))
                for done in [task for task in tasks.values() if task.done()]:
                    done.result()
                await asyncio.to_thread(stop.wait, _LOOK_S)
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _follow(self, client: httpx.AsyncClient, target: Target) -> None:
        keys = TargetKeys(dict(target.labels))
        was: str | None = None
        while True:
            await asyncio.sleep(until_next_s(target, self._clock.now_us()))
            batch, trouble = await self.scrape(client, target, keys)
            self._send(batch)
            if trouble != was and trouble:
                log.warning("%s: %s", target.shown, trouble)
            elif was and not trouble:
                log.info("%s is up again", target.shown)
            was = trouble

    async def scrape(
        self, client: httpx.AsyncClient, target: Target, keys: TargetKeys
    ) -> tuple[SampleBatch, str | None]:
        """One scrape: its samples with those about the target, and what was wrong, if anything."""
        at_us, started = self._clock.now_us(), self._clock.monotonic()
        trouble: str | None = None
        found: Exposition | None = None
        try:
            async with asyncio.timeout(target.timeout_s):
                body, openmetrics = await self._fetch(client, target)
            found = parse(body, openmetrics=openmetrics)
        except TimeoutError:
            trouble = f"no answer within {target.timeout_s:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, Invalid) as error:
            trouble = f"{type(error).__name__}: {error}" if not isinstance(error, Invalid) else str(error)
        scraped = SampleBatch.empty()
        if found is not None:
            scraped, trouble = self._samples(found, keys, at_us)
        about = (
            ("up", float(found is not None)),
            ("scrape_duration_seconds", self._clock.monotonic() - started),
            ("scrape_samples_scraped", float(len(found) if found is not None else 0)),
        )
        self._meter.count("muninn_scraper_scrapes_total", result="ok" if found is not None else "failed")
        own = SampleBatch.of([(keys.own(metric), at_us, value) for metric, value in about])
        return SampleBatch.concat([own, scraped]), trouble

    def _samples(self, found: Exposition, keys: TargetKeys, at_us: int) -> tuple[SampleBatch, str | None]:
        """What can be stored; the rest is counted, the first broken line is told."""
        index, known, unnamed = keys.resolve(found.series)
        finite = np.isfinite(found.value)
        good = finite & (index >= 0)
        when = np.where(found.at_us == NO_STAMP, at_us, found.at_us)
        left_out = {
            **found.left_out,
            "not_finite": int((~finite).sum()),
            "broken": found.broken + int((finite & (index < 0)).sum()),
        }
        for kind, count in left_out.items():
            self._meter.count("muninn_scraper_left_out_total", count, kind=kind)
        self._meter.count("muninn_scraper_samples_total", int(good.sum()))
        reasons = [f"line {line}: {reason}" for line, reason in found.faults] + unnamed
        trouble = f"{left_out['broken']} lines are left out; first, {reasons[0]}" if reasons else None
        return SampleBatch(when, found.value, index, known).take(good), trouble

    async def _fetch(self, client: httpx.AsyncClient, target: Target) -> tuple[bytes, bool]:
        """The body, unpacked, and whether it is OpenMetrics; Invalid for an answer that is none or too large."""
        headers = {
            "Accept": _ACCEPT,
            "Accept-Encoding": "gzip",
            "User-Agent": "Muninn",
            "X-Prometheus-Scrape-Timeout-Seconds": f"{target.timeout_s:g}",
        }
        async with client.stream("GET", target.url, headers=headers) as response:
            if response.status_code != 200:
                raise Invalid(f"it answers with status {response.status_code}")
            parts, size = [], 0
            async for part in response.aiter_raw():
                size += len(part)
                self._bound(size)
                parts.append(part)
            body = b"".join(parts)
            encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding in ("gzip", "x-gzip"):
            body = self._gunzip(body)
        elif encoding not in ("", "identity"):
            raise Invalid(f"its Content-Encoding is {encoding[:40]!r}, not gzip")
        return body, response.headers.get("content-type", "").lower().startswith(OPENMETRICS)

    def _gunzip(self, body: bytes) -> bytes:
        """Unpacked, members joined."""
        whole = b""
        while True:
            unpacker = zlib.decompressobj(_GZIP)
            try:
                whole += unpacker.decompress(body, self._max_bytes + 1 - len(whole))
            except zlib.error as error:
                raise Invalid(f"its body is not gzip: {error}") from None
            self._bound(len(whole))
            if not unpacker.eof:
                raise Invalid("its body is not gzip: it ends too early")
            if not (body := unpacker.unused_data):
                return whole

    def _bound(self, size: int) -> None:
        if size > self._max_bytes:
            raise Invalid(f"its body is larger than the {self._max_bytes} bytes of MUNINN_SCRAPER_MAX_BODY_BYTES")


def http_client() -> httpx.AsyncClient:
    """What a Scraper fetches with.

    It keeps no connection: one that the target closes just then would make it look down. It has no time limit of its
    own: one for each read would not stop a target that drips, the one over a whole scrape does.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(follow_redirects=True, trust_env=False, timeout=httpx.Timeout(None), limits=limits)


def until_next_s(target: Target, now_us: int) -> float:
    """Seconds to the target's next turn: its place in the interval follows from its address, so that not all come
    at once, and it is the same after a restart.
    """
    interval_us = round(target.interval_s * SECOND_US)
    digest = blake2b(f"{target.url} {target.labels}".encode(), digest_size=8).digest()
    offset_us = int.from_bytes(digest) % interval_us
    return (interval_us - (now_us - offset_us) % interval_us) / SECOND_US
