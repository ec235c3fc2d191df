"""A whole Muninn for a measurement: `muninn up` on a temporary state folder and free ports."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

SERVICES = ("GATEWAY_PORT", "SIDECAR_PORT", "STREAMLIT_PORT", "DAGSTER_PORT", "DAGSTER_CODE_PORT")
MUNINN = str(Path(sys.executable).with_name("muninn"))


@dataclass(frozen=True)
class Running:
    """pid: of `muninn up`. environ: what its commands need. started: monotonic seconds."""

    pid: int
    environ: dict[str, str]
    started: float


@contextlib.contextmanager
def running(**settings: str) -> Iterator[Running]:
    """Muninn with these further settings (without MUNINN_), once its dashboards answer; ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="muninn-bench-") as home:
        ours = {"HOME": home, **{name: str(free_port()) for name in SERVICES}, **settings}
        environ = {**os.environ, **{f"MUNINN_{name}": value for name, value in ours.items()}}
        started = time.monotonic()
        with subprocess.Popen([MUNINN, "up"], env=environ, stdout=subprocess.DEVNULL) as stack:
            try:
                wait_until(lambda: stack.poll() is not None or answers(f"{dashboard(environ)}/_stcore/health"), 120)
                if stack.poll() is not None:
                    raise SystemExit("muninn up ended; see above")
                yield Running(stack.pid, environ, started)
            finally:
                stack.send_signal(signal.SIGINT)
                stack.wait(60)


def status(environ: dict[str, str]) -> dict[str, Any]:
    """What `muninn status --json` says."""
    done = subprocess.run([MUNINN, "status", "--json"], env=environ, capture_output=True, check=False)
    return orjson.loads(done.stdout)  # type: ignore[no-any-return]


def dashboard(environ: dict[str, str]) -> str:
    """The address of the pages."""
    return f"http://127.0.0.1:{environ['MUNINN_STREAMLIT_PORT']}"


def answers(url: str) -> bool:
    """Whether a GET succeeds."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url).is_success
    return False


def wait_until(condition: Callable[[], object], seconds: float, step_s: float = 0.1) -> None:
    """Wait for a condition; TimeoutError when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(step_s)


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
