"""Servers that take notifications, for tests: HTTP ones that can fail, hang or answer 429, and an SMTP one."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
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
    method: str = "POST"

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
                kept.got.append(Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body, self.command))
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

        do_PUT = do_POST  # noqa: N815 - the base class looks for this name

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
    """`answers` are given one a mail, "250 OK" after the last. recipients: what is said of an address instead of OK.

    mails: what was taken, with those whom it is for as X-RcptTo.
    """

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    recipients: dict[str, str] = field(default_factory=dict)

    async def handle_RCPT(  # noqa: N802
        self, server: object, session: object, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.recipients:
            return self.recipients[address]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            mail = BytesParser(EmailMessage, policy=default).parsebytes(envelope.content)
            mail["X-RcptTo"] = ", ".join(envelope.rcpt_tos)
            self.mails.append(mail)
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


@contextmanager
def lines(answers: dict[bytes, bytes], hangs_at: bytes | None = None) -> Iterator[int]:
    """The port of a server that speaks SMTP line by line: what it answers to a verb, "250 OK" to others.

    hangs_at: the verb after which it says nothing any more; b"": it does not even greet.
    """
    ended = threading.Event()

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            if hangs_at == b"":
                ended.wait(60)
                return
            self.wfile.write(b"220 here\r\n")
            body = False
            for line in self.rfile:
                if body and line != b".\r\n":
                    continue
                verb = line[:4].upper()
                body = verb == b"DATA"
                if verb == hangs_at:
                    ended.wait(60)
                    return
                self.wfile.write(answers.get(verb, b"250 OK") + b"\r\n")

    class Server(ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            ended.set()
            server.shutdown()
            thread.join()
