"""What each service documents of its messages, held against what is sent; and mail and web hooks over TLS."""

import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import receivers
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from servers import free_port

from muninn.alerting import payloads
from muninn.alerting.alert import Alert
from muninn.alerting.dispatch import Notification
from muninn.alerting.outbox import Waiting, after
from muninn.alerting.receivers import TYPES, Receiver
from muninn.clock import SECOND_US
from muninn.operations.alerts.senders import send

# 2026-11-25 12:00:00 UTC
NOW_US = 1_795_608_000 * SECOND_US
ALERT = Alert(
    "0190aaaa-0000-4000-8000-000000000001", "disk_full", "00112233aabbccdd", (("host", "web1"),), "critical", "firing",
    97.5, 95.0, NOW_US - 60 * SECOND_US, NOW_US, fired_us=NOW_US - 30 * SECOND_US, summary="/ of web1 is 97.5% full",
    runbook="https://wiki.example/disk",
)  # fmt: skip
OVER = replace(ALERT, state="resolved", resolved_us=NOW_US)
LONG = replace(ALERT, rule="r" * 80, summary="s" * 3000, labels=tuple((f"l{n:02}", "v" * 900) for n in range(20)))


def receiver(kind: str, **given: Any) -> Receiver:
    return TYPES[kind].model_validate({"name": "it", "type": kind, **given})


def news(*alerts: Alert, why: str = "new") -> Notification:
    return Notification("k1", "it", "g1", {"rule": "disk_full"}, why, alerts, NOW_US)


@pytest.fixture
def hook() -> Iterator[receivers.Http]:
    with receivers.http() as server:
        yield server


def test_pagerduty_events_api_v2(hook: receivers.Http) -> None:
    """https://developer.pagerduty.com/docs/events-api-v2/trigger-events/"""
    to = receiver("pagerduty", routing_key="r0uting", url=f"{hook.url}/v2/enqueue")
    hook.answer = lambda number: (202, {})
    assert send(to, news(ALERT), "http://here/alerts").ok
    said = hook.got[-1].json
    details = said["payload"].pop("custom_details")
    assert said == {
        "routing_key": "r0uting",
        "event_action": "trigger",
        "dedup_key": "00112233aabbccdd",
        "payload": {
            "summary": "/ of web1 is 97.5% full",
            "source": "host=web1",
            "severity": "critical",
            "timestamp": "2026-11-25T11:59:30.000Z",
            "group": "g1",
            "class": "disk_full",
        },
        "links": [
            {"href": "https://wiki.example/disk", "text": "runbook"},
            {"href": "http://here/alerts", "text": "Muninn"},
        ],
    }
    assert (details["value"], details["limit"]) == (97.5, 95.0)
    assert send(to, news(OVER), "http://here/alerts").ok
    end = {"routing_key": "r0uting", "event_action": "resolve", "dedup_key": "00112233aabbccdd"}
    assert hook.got[-1].json == end
    assert send(to, news(LONG, replace(ALERT, summary="")), "").ok
    long, nameless = (got.json["payload"]["summary"] for got in hook.got[-2:])
    assert (len(long), nameless) == (1024, "disk_full")
    for severity in ("info", "warning", "critical"):
        assert send(to, news(replace(ALERT, severity=severity)), "").ok
        assert hook.got[-1].json["payload"]["severity"] in ("critical", "error", "warning", "info")


def test_opsgenie_alert_api(hook: receivers.Http) -> None:
    """https://docs.opsgenie.com/docs/alert-api"""
    team = {"type": "team", "name": "ops"}
    to = receiver("opsgenie", api_key="g3nie", url=hook.url, responders=[team])
    hook.answer = lambda number: (202, {})
    assert send(to, news(ALERT), "http://here/alerts").ok
    (got,) = hook.got
    assert (got.path, got.headers["authorization"]) == ("/v2/alerts", "GenieKey g3nie")
    assert got.json == {
        "message": "/ of web1 is 97.5% full",
        "alias": "00112233aabbccdd",
        "description": "https://wiki.example/disk\nhttp://here/alerts",
        "priority": "P1",
        "source": "Muninn",
        "entity": "disk_full",
        "tags": ["disk_full", "critical"],
        "details": {"host": "web1", "rule": "disk_full", "severity": "critical"},
        "responders": [team],
    }
    assert send(to, news(LONG, replace(ALERT, summary="")), "").ok
    long, nameless = (got.json for got in hook.got[-2:])
    assert (len(long["message"]), len(long["tags"][0]), len(long["tags"])) == (130, 50, 2)
    assert 7_000 < sum(len(name) + len(value) for name, value in long["details"].items()) <= 8_000
    assert nameless["message"] == "disk_full"


def test_opsgenie_is_told_that_it_got_worse(hook: receivers.Http) -> None:
    """An alias that is open there is only counted when it is created again."""
    to = receiver("opsgenie", api_key="g3nie", url=hook.url)
    assert send(to, news(replace(ALERT, severity="warning")), "").ok
    assert send(to, news(ALERT, why="change"), "").ok
    assert [(got.method, got.path) for got in hook.got] == [
        ("POST", "/v2/alerts"), ("POST", "/v2/alerts"),
        ("PUT", "/v2/alerts/00112233aabbccdd/priority?identifierType=alias"),
    ]  # fmt: skip
    assert hook.got[-1].json == {"priority": "P1"}


def test_slack_incoming_webhook(hook: receivers.Http) -> None:
    """https://api.slack.com/docs/message-formatting: three characters are Slack's own in every text."""
    to = receiver("slack", url=f"{hook.url}/services/T/B/x", channel="#ops")
    sly = replace(ALERT, summary="a < b & c <!channel> <http://evil|ours>")
    assert send(to, news(sly), "http://here/alerts?a=1&b=2").ok
    said = hook.got[-1].json
    head = "[FIRING 1, critical] a &lt; b &amp; c &lt;!channel&gt; &lt;http://evil|ours&gt;"
    assert (said["text"], said["channel"]) == (head, "#ops")
    (one,) = said["attachments"]
    assert (one["color"], one["fallback"]) == ("#c62828", head)
    assert one["text"].splitlines() == [
        "critical: a &lt; b &amp; c &lt;!channel&gt; &lt;http://evil|ours&gt; since 2026-11-25T11:59:00.000Z",
        "runbook: https://wiki.example/disk",
        "http://here/alerts?a=1&amp;b=2",
    ]
    # What the receiver itself says is meant as it stands: calling people is what some templates are for.
    own = receiver("slack", url=hook.url, title="<!here> {{ summary }}", text="{{ labels.host }}")
    assert send(own, news(replace(sly, labels=(("host", "<x>"),))), "").ok
    assert hook.got[-1].json["text"].startswith("<!here> a &lt; b &amp; c &lt;!channel&gt;")
    assert hook.got[-1].json["attachments"][0]["text"] == "&lt;x&gt;"


def test_a_mail_has_the_headers_of_a_machine_and_of_a_thread() -> None:
    with receivers.smtp() as server:
        to = receiver(
            "email", host="127.0.0.1", port=server.port, tls="none", **{"from": "muninn@a.b", "to": ["c@d.e", "f@g.h"]}
        )
        assert send(to, news(replace(ALERT, summary="Übung\r\nBcc: all@d.e")), "").ok
        (mail,) = server.mails
    assert mail["Subject"] == "[FIRING 1, critical] Übung Bcc: all@d.e"
    assert mail["Bcc"] is None
    assert (mail["From"], mail["To"], mail["X-RcptTo"]) == ("muninn@a.b", "c@d.e, f@g.h", "c@d.e, f@g.h")
    assert (mail["References"], mail["Auto-Submitted"]) == ("<g1@muninn.invalid>", "auto-generated")
    assert mail["Date"].datetime.timestamp() * SECOND_US == NOW_US


def test_an_alertmanager_gets_the_severity_that_came_from_one() -> None:
    theirs = replace(ALERT, severity="warning", extra=(("original_severity", "page"),))
    (said,) = payloads.alertmanager_alerts((theirs,), "", keep_s=60.0)
    assert said["labels"] == {"alertname": "disk_full", "host": "web1", "severity": "page"}


@pytest.mark.parametrize("asked", ["nan", "inf", "-5", "soon", "9" * 400, "Wed, 25 Nov 99999 12:00:00 GMT"])
def test_a_retry_after_that_is_none_stops_nobody(hook: receivers.Http, asked: str) -> None:
    hook.answer = lambda number: (429, {"Retry-After": asked})
    to = receiver("webhook", url=hook.url)
    found = send(to, news(ALERT))
    assert (found.ok, found.permanent) == (False, False)
    waiting = Waiting(news(ALERT))
    outcome, again = after(waiting, found, NOW_US, to.give_up_s)
    assert again is not None
    assert NOW_US < outcome.next_us <= NOW_US + 3600 * SECOND_US


def test_what_a_receiver_says_besides_is_not_waited_for() -> None:
    """An answer whose body never ends."""
    ended = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000000000")
            self.end_headers()
            ended.wait(60)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        assert send(
            receiver("webhook", url=f"http://127.0.0.1:{server.server_address[1]}", timeout="60s"), news(ALERT)
        ).ok
        assert not ended.is_set()
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 that nobody trusts who is not told to, and a server's context with it."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mail", "-days", "2"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return folder / "cert", context


class Mailbox:
    """Takes mail from whoever logs in as u with s3cret, and notes whether it came over TLS."""

    def __init__(self) -> None:
        self.mails: list[tuple[bool, bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append((server.transport.get_extra_info("cipher") is not None, envelope.content))
        return "250 OK"

    def let_in(self, _: object, __: object, ___: object, mechanism: str, given: Any) -> AuthResult:
        good = isinstance(given, LoginPassword) and (given.login, given.password) == (b"u", b"s3cret")
        return AuthResult(success=good, handled=False)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_mail_goes_over_tls_to_a_server_that_is_trusted_and_to_no_other(
    tls: str, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, context = certificate
    box, port = Mailbox(), free_port()
    how: dict[str, Any] = {"ssl_context": context} if tls == "implicit" else {"tls_context": context}
    controller = Controller(
        box, hostname="127.0.0.1", port=port, authenticator=box.let_in, auth_required=tls == "starttls",
        auth_require_tls=tls == "starttls", **how,
    )  # fmt: skip
    to = receiver(
        "email", host="127.0.0.1", port=port, tls=tls, user="u", password="s3cret", timeout="10s",
        **{"from": "muninn@a.b", "to": ["c@d.e"]},
    )  # fmt: skip
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with monkeypatch.context() as trusting:
        trusting.setenv("SSL_CERT_FILE", str(path))  # the controller looks whether it is there itself
        controller.start()
    try:
        stranger = send(to, news(ALERT), "")
        assert (stranger.ok, stranger.permanent) == (False, False)
        assert "its certificate is not trusted" in stranger.error
        assert box.mails == [], "not a word, and no password, to one that may be anybody"
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert send(to, news(ALERT), "").ok
        wrong = send(to.model_copy(update={"user": "v"}), news(ALERT), "")
        assert (wrong.permanent, wrong.error) == (True, "SMTP 535: user or password is wrong")
    finally:
        controller.stop()
    ((encrypted, mail),) = box.mails
    assert encrypted
    assert b"97.5% full" in mail


def test_a_server_that_cannot_do_starttls_is_named_and_told_nothing() -> None:
    with receivers.smtp() as server:
        to = receiver(
            "email", host="127.0.0.1", port=server.port, tls="starttls", **{"from": "muninn@a.b", "to": ["c@d.e"]}
        )
        found = send(to, news(ALERT), "")
    assert (found.ok, found.permanent) == (False, False)
    assert "the server cannot do STARTTLS" in found.error


def test_a_web_hook_over_tls_has_to_be_trusted(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, context = certificate
    took: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            took.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        to = receiver("webhook", url=f"https://127.0.0.1:{server.server_address[1]}/T0K3N", timeout="10s")
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        stranger = send(to, news(ALERT), "")
        assert not stranger.ok
        assert "its certificate is not trusted" in stranger.error
        assert "T0K3N" not in stranger.error
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert send(to, news(ALERT), "").ok
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert len(took) == 1
