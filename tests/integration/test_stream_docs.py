"""What docs/stream-protocol.md shows really runs, and its tables name what there is."""

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import get_args

from streaming import running

from muninn.clock import SystemClock
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.model import SampleBatch, SeriesKey
from muninn.stream import protocol

TEXT = (Path(__file__).parents[2] / "docs" / "stream-protocol.md").read_text(encoding="utf-8")


def test_the_python_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    broker = MemoryBroker()
    key, ended = SeriesKey.of("cpu_busy_pct", {"cpu": "total"}), threading.Event()

    def send() -> None:
        while not ended.wait(0.2):
            broker.append(SampleBatch.of([(key, SystemClock().now_us(), 12.5)]))

    host = threading.Thread(target=send)
    with running(broker) as sidecar:
        host.start()
        try:
            command = [sys.executable, "-c", example, sidecar.url]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        finally:
            ended.set()
            host.join()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["hello", "subscribed", "snapshot"]
    assert "12.5" in lines[-1]


def test_every_example_message_is_understood() -> None:
    said = re.findall(r'`(\{"op":"(?:subscribe|unsubscribe|ping|authenticate)".*?\})`', TEXT)
    assert len(said) == 7
    for text in said:
        protocol.parse(text.replace('":…', '":"overview"').encode())


def test_every_error_code_is_listed() -> None:
    listed = re.search(r"`code` of an error is one of (.*?)\.\n", TEXT)
    assert listed is not None
    assert re.findall(r"`(\w+)`", listed.group(1)) == list(get_args(protocol.ErrorCode))
