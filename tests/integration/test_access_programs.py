"""Gateway and sidecar as programs, with TLS and tokens: what their own clients need, and how they refuse to start."""

import asyncio
import http.client
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from picows import WSListener, WSTransport, ws_connect
from servers import eventually, free_port

from muninn.clock import SystemClock
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey
from muninn.sources.client import GatewayClient, trusting
from muninn.store.database import Database
from muninn.store.tokens import StoredTokens


@contextmanager
def program(name: str, **environ: str) -> Iterator["subprocess.Popen[str]"]:
    """One of Muninn's programs as a child process."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MUNINN_")}
    child = subprocess.Popen(
        [sys.executable, "-m", "muninn.run.programs", name],
        env={**kept, **environ},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.terminate()
        child.communicate(timeout=20)


def certificate(folder: Path) -> Path:
    pem = folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=metrics.example", "-days", "2",
         "-keyout", folder / "key.pem", "-out", pem],
        check=True, capture_output=True,
    )  # fmt: skip
    return pem


def answers(port: int, context: ssl.SSLContext) -> bool:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_with_tls_and_tokens_own_clients_get_in_and_others_do_not(
    postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    pem = certificate(tmp_path)
    with Database(postgres_url, pool_size=1) as database:
        ingest = StoredTokens(database).create("collector", ["ingest"])
        viewer = StoredTokens(database).create("viewer", ["read"])
    port, stream = free_port(), free_port()
    environ = {
        "MUNINN_DATABASE_URL": postgres_url,
        "MUNINN_REDIS_URL": redis_url,
        "MUNINN_GATEWAY_PORT": str(port),
        "MUNINN_SIDECAR_PORT": str(stream),
        "MUNINN_ACCESS_LOOPBACK": "token",
        "MUNINN_ACCESS_TLS_CERTIFICATE": str(pem),
        "MUNINN_ACCESS_TLS_KEY": str(tmp_path / "key.pem"),
    }
    context = trusting(pem)
    now_us = SystemClock().now_us()
    batch = SampleBatch.of([(SeriesKey.of("m"), now_us, 1.0)])
    with program("gateway", **environ), program("sidecar", **environ):
        eventually(lambda: answers(port, context), 60, "the gateway answers over TLS")
        assert not answers(port, ssl.create_default_context()), "nobody else trusts this certificate"
        for token, sent in ((ingest, 1), (None, 0), (viewer, 0)):
            meter = Meter()
            client = GatewayClient(f"https://127.0.0.1:{port}", token=token, certificate=pem, meter=meter)
            client.send(batch)
            assert client.flush(30)
            client.close()
            counted = {name: value for name, _, value in meter.snapshot()}
            assert counted.get("muninn_client_sent_total", 0) == sent
        eventually(lambda: answers(stream, context), 60, "the sidecar answers over TLS")
        asyncio.run(greet(f"wss://127.0.0.1:{stream}/stream", context, viewer))


class Listener(WSListener):
    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes] = asyncio.Queue()

    def on_ws_frame(self, transport: WSTransport, frame: object) -> None:
        self.said.put_nowait(frame.get_payload_as_bytes())  # type: ignore[attr-defined]


async def greet(url: str, context: ssl.SSLContext, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    transport, listener = await ws_connect(Listener, url, extra_headers=headers, ssl_context=context)
    assert isinstance(listener, Listener)
    assert b'"op":"hello"' in await asyncio.wait_for(listener.said.get(), 20)
    transport.disconnect()


@pytest.mark.parametrize(
    ("name", "variables", "says"),
    [
        ("gateway", {"MUNINN_GATEWAY_HOST": "0.0.0.0"}, "muninn token create NAME --scope ingest"),
        ("sidecar", {"MUNINN_SIDECAR_HOST": "0.0.0.0"}, "muninn token create NAME --scope read"),
        ("statsd", {"MUNINN_STATSD_HOST": "0.0.0.0", "MUNINN_STATSD_PORT": "8125"}, "MUNINN_ACCESS_OPEN=statsd"),
    ],
)
def test_a_program_that_would_let_anybody_in_does_not_start(
    postgres_url: str, redis_url: str, name: str, variables: dict[str, str], says: str
) -> None:
    environ = {"MUNINN_DATABASE_URL": postgres_url, "MUNINN_REDIS_URL": redis_url, **variables}
    with program(name, **environ) as child:
        _, told = child.communicate(timeout=60)
    assert child.returncode == 2
    assert says in told
