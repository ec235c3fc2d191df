"""Servers that take notifications, for tests: HTTP ones that can fail, hang or answer 429, and an SMTP one."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
from aiosmtpd.controller import Controller
from servers import free_port


@dataclass(frozen=True)
class Got:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Http:
    """`answer` says how each request ends: (status, headers), or None to hang until the end."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    answer: Callable[[int], tuple[int, dict[str, str]] | None] = lambda number: (200, {})
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def keys(self) -> list[str]:
        return [got.headers["idempotency-key"] for got in self.got]


@contextmanager
def http() -> Iterator[Http]:
    """A server on loopback."""
    kept = Http()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with lock:
                number = len(kept.got)
                kept.got.append(Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            found = kept.answer(number)
            if found is None:
                kept.ended.wait(60)
                self.close_connection = True
                return
            status, headers = found
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "2"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield kept
    finally:
        kept.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Smtp:
    """`answers` are given one a mail, "250 OK" after the last."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            self.mails.append(BytesParser(EmailMessage, policy=default).parsebytes(envelope.content))
        return answer


@contextmanager
def smtp() -> Iterator[Smtp]:
    """A mail server on loopback."""
    kept = Smtp(free_port())
    controller = Controller(kept, hostname="127.0.0.1", port=kept.port)
    controller.start()
    try:
        yield kept
    finally:
        controller.stop()
