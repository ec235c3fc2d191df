"""The whole stack on this machine: how soon it shows something, how fresh it is, and what it costs when it is quiet.

MUNINN_BENCH_QUIET_S sets how long the quiet stack is watched (300 s by default).
"""

import asyncio
import contextlib
import os
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator

import httpx
import psutil
import psycopg
from playwright.sync_api import sync_playwright

from bench.running import dashboard, running, status, wait_until
from muninn.stream.client import connect

QUIET_S = float(os.environ.get("MUNINN_BENCH_QUIET_S", "300"))
PROBES = 20
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ROW = "select 1 from performance_metrics where metric_name = %s and timestamp > now() - interval '1 minute'"
# What a command line contains, and what people call the program; the first that fits counts.
PROGRAMS = (
    ("postgres", "postgres"),
    ("valkey", "valkey"),
    ("streamlit", "streamlit"),
    ("dagster-webserver", "dagster web server"),
    ("dagster-daemon", "dagster daemon"),
    ("dagster", "dagster code server and runs"),
)


def run() -> dict[str, object]:
    """Start, measure, end."""
    with running() as stack:
        return measure(stack.pid, stack.environ, stack.started)


def measure(pid: int, environ: dict[str, str], started: float) -> dict[str, object]:
    """All figures of a stack that was started at `started`."""
    first_point_s = first_live_point(environ, started)
    wait_until(lambda: status(environ)["health"] == "ok", 180)
    figures: dict[str, object] = {
        "make up to the first live point in a browser, s": first_point_s,
        "make up to every part healthy, s": time.monotonic() - started,
        "sample to raw row, ms": to_raw_row(environ),
        "sample to live frame, ms": asyncio.run(to_live_frame(environ)),
    }
    time.sleep(30)  # what starting left to do is not what quiet costs
    return figures | quiet(pid)


def first_live_point(environ: dict[str, str], started: float) -> float | str:
    """Seconds until the Live page of a headless Chromium shows a value, opened as soon as it answers."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        return "no Chromium here"
    with (
        sync_playwright() as playwright,
        contextlib.closing(
            playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        ) as browser,
    ):
        page = browser.new_page()
        page.goto(f"{dashboard(environ)}/live")
        page.locator("[data-chart] .value[data-series]").first.wait_for(timeout=120_000)
        return time.monotonic() - started


def to_raw_row(environ: dict[str, str]) -> dict[str, float]:
    """From sending a sample to its row being there for others to read."""
    url = status(environ)["database_url"]
    late = []
    with psycopg.connect(str(url), autocommit=True) as store:
        for number in range(PROBES):
            metric = f"bench_row_{number}"
            sent = send(environ, metric)
            wait_until(lambda: store.execute(ROW, [metric]).fetchone(), 30, step_s=0.002)  # noqa: B023
            late.append((time.monotonic() - sent) * 1000)
            time.sleep(0.21)
    return spread(late)


async def to_live_frame(environ: dict[str, str]) -> dict[str, float]:
    """From sending a sample to the frame that a subscriber gets it in; frames go out once a second."""
    late = []
    async with connect(f"ws://127.0.0.1:{environ['MUNINN_SIDECAR_PORT']}/stream") as client:
        client.subscribe("b", "bench_live")
        for number in range(PROBES):
            sent = await asyncio.to_thread(send, environ, "bench_live", float(number))
            while not any(float(number) in points.values() for points in client.views["b"].series().values()):
                await client.receive()
            late.append((time.monotonic() - sent) * 1000)
            await asyncio.sleep(0.37)
    return spread(late)


def quiet(pid: int) -> dict[str, object]:
    """CPU and memory of every process over QUIET_S seconds, by program."""
    before, started = cpu_seconds(pid), time.monotonic()
    time.sleep(QUIET_S)
    after, took = cpu_seconds(pid), time.monotonic() - started
    by_program: dict[str, float] = defaultdict(float)
    for process, (name, seconds) in after.items():
        by_program[name] += (seconds - before.get(process, (name, 0.0))[1]) / took * 100
    memory = proportional_set_sizes(pid)
    return {
        "watched, s": took,
        "CPU of the whole stack, % of one core": sum(by_program.values()),
        "CPU by program, % of one core": dict(sorted(by_program.items(), key=lambda item: -item[1])),
        "memory of the whole stack, MiB (proportional)": sum(memory.values()),
        "memory by program, MiB (proportional)": dict(sorted(memory.items(), key=lambda item: -item[1])),
    }


def processes(pid: int) -> Iterator[psutil.Process]:
    """The process and all that came from it."""
    root = psutil.Process(pid)
    yield root
    yield from root.children(recursive=True)


def cpu_seconds(pid: int) -> dict[tuple[int, float], tuple[str, float]]:
    """(pid, start) -> (program, CPU seconds with those of its ended children)."""
    found = {}
    for process in processes(pid):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            spent = times.user + times.system + times.children_user + times.children_system
            found[process.pid, process.create_time()] = (program(process), spent)
    return found


def proportional_set_sizes(pid: int) -> dict[str, float]:
    """Program -> MiB; memory that processes share is counted once in all."""
    found: dict[str, float] = defaultdict(float)
    for process in processes(pid):
        with contextlib.suppress(psutil.Error):
            found[program(process)] += process.memory_full_info().pss / 2**20
    return found


def program(process: psutil.Process) -> str:
    """What people call it."""
    words = process.cmdline()
    text = " ".join(words)
    if "muninn.run.programs" in text:
        return words[words.index("muninn.run.programs") + 1]
    for mark, name in PROGRAMS:
        if mark in text:
            return name
    return "supervisor"


def send(environ: dict[str, str], metric: str, value: float = 1.0) -> float:
    """Send one sample; the monotonic second at which it was sent."""
    sent = time.monotonic()
    body = {"metric": metric, "timestamp": time.time_ns() // 1_000_000, "value": value}
    answer = httpx.post(f"http://127.0.0.1:{environ['MUNINN_GATEWAY_PORT']}/api/v1/metrics", json=body)
    answer.raise_for_status()
    return sent


def spread(values: list[float]) -> dict[str, float]:
    """Median and the worst."""
    return {"median": statistics.median(values), "worst": max(values)}
