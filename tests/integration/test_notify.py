"""Notifications to real servers that answer, fail, hang and say "too much": HTTP, SMTP, a file, an Alertmanager."""

import hmac
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import receivers
from servers import eventually, free_port

from muninn.alerting import payloads
from muninn.alerting.alert import Alert
from muninn.alerting.book import Book
from muninn.alerting.dispatch import Notification
from muninn.alerting.outbox import Outcome, Waiting
from muninn.alerting.receivers import TYPES, Receiver
from muninn.clock import SECOND_US, ManualClock, SystemClock
from muninn.meter import Meter
from muninn.operations.alerts.outbox import Outbox
from muninn.operations.alerts.senders import send

NOW_US = SystemClock().now_us()
ALERT = Alert(
    "0190aaaa-0000-4000-8000-000000000001", "disk_full", "00112233aabbccdd", (("host", "web1"),), "critical", "firing",
    97.5, 95.0, NOW_US - 60 * SECOND_US, NOW_US, fired_us=NOW_US - 30 * SECOND_US, summary="/ of web1 is 97.5% full",
    runbook="https://wiki.example/disk",
)  # fmt: skip
OVER = replace(ALERT, state="resolved", resolved_us=NOW_US)


def receiver(kind: str, **given: Any) -> Receiver:
    return TYPES[kind].model_validate({"name": "it", "type": kind, **given})


def news(*alerts: Alert, key: str = "k1") -> Notification:
    return Notification(key, "it", "g1", {"rule": "disk_full"}, "new", alerts, NOW_US)


@pytest.fixture
def hook() -> Iterator[receivers.Http]:
    with receivers.http() as server:
        yield server


def test_a_webhook_is_signed_and_a_repetition_is_the_same(hook: receivers.Http) -> None:
    to = receiver("webhook", url=f"{hook.url}/in", secret="s3cret", headers={"X-Team": "ops"})
    assert send(to, news(ALERT), "http://here/alerts").ok
    assert send(to, news(ALERT), "http://here/alerts").ok
    first, second = hook.got
    assert (first.body, first.headers) == (second.body, second.headers)
    signed = first.headers["x-muninn-timestamp"].encode() + b"." + first.body
    expected = hmac.new(b"s3cret", signed, "sha256").hexdigest()
    assert first.headers["x-muninn-signature"] == f"v1={expected}"
    assert first.headers["x-team"] == "ops"
    assert first.json["alerts"][0]["labels"] == {"host": "web1", "rule": "disk_full", "severity": "critical"}


def test_slack_pagerduty_opsgenie(hook: receivers.Http) -> None:
    assert send(receiver("slack", url=f"{hook.url}/slack"), news(ALERT), "").ok
    assert "97.5% full" in hook.got[-1].json["text"]
    pager = receiver("pagerduty", routing_key="r0uting", url=f"{hook.url}/v2/enqueue")
    assert send(pager, news(ALERT), "").ok
    assert send(pager, news(OVER), "").ok
    begun, ended = (got.json for got in hook.got[-2:])
    assert (begun["event_action"], ended["event_action"]) == ("trigger", "resolve")
    assert begun["dedup_key"] == ended["dedup_key"] == ALERT.fingerprint
    genie = receiver("opsgenie", api_key="g3nie", url=hook.url)
    assert send(genie, news(ALERT), "").ok
    assert hook.got[-1].headers["authorization"] == "GenieKey g3nie"
    assert hook.got[-1].json["alias"] == ALERT.fingerprint
    hook.answer = lambda number: (404, {})  # it was closed by hand
    assert send(genie, news(OVER), "").ok
    assert hook.got[-1].path == f"/v2/alerts/{ALERT.fingerprint}/close?identifierType=alias"


def test_mail_and_what_the_server_thinks_of_it() -> None:
    with receivers.smtp() as server:
        to = receiver(
            "email", host="127.0.0.1", port=server.port, tls="none", **{"from": "muninn@a.b", "to": ["c@d.e"]}
        )
        server.answers = ["451 later", "550 never"]
        later, never = send(to, news(ALERT), ""), send(to, news(ALERT), "")
        assert (later.ok, later.permanent) == (False, False)
        assert (never.ok, never.permanent) == (False, True)
        assert send(to, news(ALERT), "http://here").ok
        (mail,) = server.mails
    assert mail["Subject"] == "[FIRING 1, critical] / of web1 is 97.5% full"
    assert mail["Message-ID"] == "<k1@muninn.invalid>"
    assert "runbook: https://wiki.example/disk" in mail.get_content()
    gone = send(to, news(ALERT), "")
    assert (gone.ok, gone.permanent) == (False, False)


def test_mail_to_many_of_whom_one_is_put_off_or_refused() -> None:
    with receivers.smtp() as server:
        to = receiver(
            "email", host="127.0.0.1", port=server.port, tls="none",
            **{"from": "muninn@a.b", "to": ["c@d.e", "grey@d.e"]},
        )  # fmt: skip
        server.recipients = {"grey@d.e": "450 come again"}
        first = send(to, news(ALERT), "")
        assert (first.ok, first.permanent, first.error) == (False, False, "SMTP 450: put off for 1 of the recipients")
        server.recipients = {}
        assert send(to, news(ALERT), "").ok
        server.recipients = {"grey@d.e": "550 nobody here"}
        assert send(to, news(ALERT), "").ok, "the others have it; again would be no better"
        server.recipients = {"c@d.e": "452 full", "grey@d.e": "550 nobody here"}
        none = send(to, news(ALERT), "")
        assert (none.ok, none.permanent) == (False, False)
        assert {mail["Message-ID"] for mail in server.mails} == {"<k1@muninn.invalid>"}
        assert [mail["X-RcptTo"] for mail in server.mails] == ["c@d.e", "c@d.e, grey@d.e", "c@d.e"]


@pytest.mark.parametrize(("answer", "permanent"), [("535 no", True), ("454 later", False)])
def test_a_mail_server_that_does_not_let_us_in(answer: str, permanent: bool) -> None:
    with receivers.lines({b"EHLO": b"250-here\r\n250 AUTH PLAIN", b"AUTH": answer.encode()}) as port:
        to = receiver(
            "email", host="127.0.0.1", port=port, tls="none", user="u", password="s3cret",
            **{"from": "muninn@a.b", "to": ["c@d.e"]},
        )  # fmt: skip
        found = send(to, news(ALERT), "")
    assert (found.ok, found.permanent) == (False, permanent), found.error
    assert found.error.startswith(f"SMTP {answer[:3]}: ")


@pytest.mark.parametrize("hangs_at", [b"", b"MAIL"], ids=["before its greeting", "in the middle"])
def test_a_mail_server_that_hangs_costs_its_timeout_and_is_tried_again(hangs_at: bytes) -> None:
    with receivers.lines({b"EHLO": b"250 here"}, hangs_at) as port:
        to = receiver(
            "email", host="127.0.0.1", port=port, tls="none", timeout="1s",
            **{"from": "muninn@a.b", "to": ["c@d.e"]},
        )  # fmt: skip
        found = send(to, news(ALERT), "")
    assert (found.ok, found.permanent) == (False, False)
    assert found.error.endswith(": no answer")


def test_a_mail_that_was_taken_is_told_although_the_farewell_is_not_answered() -> None:
    with receivers.lines({b"EHLO": b"250 here", b"DATA": b"354 go on"}, b"QUIT") as port:
        to = receiver(
            "email", host="127.0.0.1", port=port, tls="none", timeout="1s", **{"from": "muninn@a.b", "to": ["c@d.e"]}
        )
        assert send(to, news(ALERT), "").ok


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_mail_server_without_the_tls_that_was_asked_for_is_told_nothing(tls: str) -> None:
    with receivers.smtp() as server:
        to = receiver(
            "email", host="127.0.0.1", port=server.port, tls=tls, timeout="2s",
            **{"from": "muninn@a.b", "to": ["c@d.e"]},
        )  # fmt: skip
        assert not send(to, news(ALERT), "").ok
        assert server.mails == []


def test_a_log_file(tmp_path: Path) -> None:
    to = receiver("log", path=str(tmp_path / "sub" / "alerts.ndjson"))
    assert send(to, news(ALERT), "").ok
    assert send(to, news(OVER, key="k2"), "").ok
    lines = [orjson.loads(line) for line in (tmp_path / "sub" / "alerts.ndjson").read_bytes().splitlines()]
    assert [(line["key"], line["status"]) for line in lines] == [("k1", "firing"), ("k2", "resolved")]
    assert not send(receiver("log", path=str(tmp_path)), news(ALERT), "").ok


def test_no_secret_in_what_is_said(caplog: pytest.LogCaptureFixture, hook: receivers.Http) -> None:
    caplog.set_level("INFO")
    assert send(receiver("slack", url=f"{hook.url}/T0K3N"), news(ALERT), "").ok
    to = receiver("webhook", url=f"http://127.0.0.1:{free_port()}/T0K3N", secret="s3cret")
    failed = send(to, news(ALERT), "")
    said = f"{failed} {to!r} {payloads.requests(to, news(ALERT))!r} {caplog.text}"
    assert not failed.ok
    assert "T0K3N" not in said
    assert "s3cret" not in said


def outbox_of(*to: Receiver) -> tuple[Outbox, Meter]:
    meter = Meter()
    outbox = Outbox(partial(send, page_url=""), SystemClock(), meter)
    outbox.use(Book(receivers=to))
    return outbox, meter


def test_it_tries_again_until_it_is_taken_and_waits_as_asked(hook: receivers.Http) -> None:
    script = [(500, {}), (429, {"Retry-After": "0"}), (200, {})]
    hook.answer = lambda number: script[number]
    outbox, _ = outbox_of(receiver("webhook", url=hook.url))
    outbox.add([Waiting(news(ALERT)), Waiting(news(ALERT))])
    try:
        eventually(lambda: outbox.waiting() == 0 and len(hook.got) == 3, 20, "the third attempt is taken")
        assert hook.keys == ["k1"] * 3
        found = [(each.state, each.attempts, each.last_error) for each in outbox.take_outcomes()]
        assert found == [("waiting", 1, "HTTP 500"), ("waiting", 2, "HTTP 429"), ("sent", 3, "")]
    finally:
        outbox.stop()


@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
def test_too_much_is_said_again_when_the_receiver_asked_for_it(hook: receivers.Http, as_date: bool) -> None:
    """Of a clock that stands still until it is moved: not a moment sooner, and not later."""
    clock = ManualClock(SystemClock().now_us())
    asked = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True) if as_date else "40"
    hook.answer = lambda number: (429, {"Retry-After": asked}) if number == 0 else (200, {})
    outbox = Outbox(partial(send, page_url=""), clock, Meter())
    outbox.use(Book(receivers=(receiver("webhook", url=hook.url),)))
    outbox.add([Waiting(replace(news(ALERT), created_us=clock.now_us()))])
    found: list[Outcome] = []
    try:
        eventually(lambda: bool(found.extend(outbox.take_outcomes()) or found), 20, "it is refused")
        wait_s = (found[0].next_us - clock.now_us()) / SECOND_US
        assert (found[0].state, found[0].last_error) == ("waiting", "HTTP 429")
        assert 20 < wait_s <= 40, "a date has whole seconds, and the answer took its time"
        clock.advance(wait_s - 1)
        assert not hook.got[1:]
        clock.advance(1)
        eventually(lambda: bool(found.extend(outbox.take_outcomes()) or found[1:]), 20, "it is taken")
        assert [(each.state, each.attempts) for each in found] == [("waiting", 1), ("sent", 2)]
    finally:
        outbox.stop()


def test_an_end_does_not_overtake_the_beginning_that_has_to_be_said_again(hook: receivers.Http) -> None:
    """A pager that hears of the end first would be opened by the beginning, and never closed."""
    hook.answer = lambda number: (503, {}) if number == 0 else (200, {})
    pager = receiver("pagerduty", routing_key="r0uting", url=hook.url)
    outbox, _ = outbox_of(pager)
    other = replace(news(replace(ALERT, fingerprint="ffff"), key="other"), group_key="g2")
    outbox.add([Waiting(news(ALERT, key="begins")), Waiting(news(OVER, key="ends")), Waiting(other)])
    try:
        eventually(lambda: outbox.waiting() == 0, 30, "all are taken")
        said = [(got.json["dedup_key"], got.json["event_action"]) for got in hook.got]
        assert said == [
            (ALERT.fingerprint, "trigger"), ("ffff", "trigger"), (ALERT.fingerprint, "trigger"),
            (ALERT.fingerprint, "resolve"),
        ]  # fmt: skip
    finally:
        outbox.stop()


def test_templates_of_a_receiver(hook: receivers.Http) -> None:
    title = "{{status}}: {{ rule }} of {{ labels.host }} {{ group.rule }} {{ nothing }}"
    to = receiver("slack", url=hook.url, title=title, text="{{ alerts }}")
    sly = replace(ALERT, labels=(("host", "{{ title }}"),))
    assert send(to, news(sly), "").ok
    assert hook.got[0].json["text"] == "firing: disk_full of {{ title }} disk_full "
    assert hook.got[0].json["attachments"][0]["text"].startswith("critical: / of web1 is 97.5% full since ")


def test_a_wrong_request_is_given_up_and_one_that_hangs_holds_up_nobody(hook: receivers.Http) -> None:
    with receivers.http() as hanging, receivers.http() as wrong:
        hanging.answer = lambda number: None
        wrong.answer = lambda number: (400, {})
        to = [
            receiver("webhook", url=server.url, timeout="1s").model_copy(update={"name": name})
            for name, server in (("hanging", hanging), ("wrong", wrong), ("good", hook))
        ]
        outbox, meter = outbox_of(*to)
        outbox.add(Waiting(replace(news(ALERT, key=name), receiver=name)) for name in ("hanging", "wrong", "good", "?"))
        try:
            eventually(lambda: bool(hook.got and wrong.got), 20, "the others are told")
            done: dict[str, str] = {}

            def over() -> bool:
                done.update(
                    {each.notification_key: f"{each.state} {each.last_error}" for each in outbox.take_outcomes()}
                )
                return set(done) == {"hanging", "wrong", "good", "?"}

            eventually(over, 20, "all have come out")
            assert done["good"] == "sent "
            assert done["wrong"] == "failed HTTP 400"
            assert done["hanging"] == "waiting ReadTimeout: no answer"
            assert done["?"].startswith("failed the receiver is in no rules file")
            latency = [name for name, *_ in meter.snapshot() if name == "muninn_alert_notify_latency_s"]
            assert latency
        finally:
            hanging.ended.set()
            outbox.stop()


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """A real Alertmanager: installed, or unpacked from Debian's package into a temporary folder."""
    folder = tmp_path_factory.mktemp("alertmanager")
    binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    wrapped: list[str] = []
    if binary is None:
        package = request.getfixturevalue("alertmanager_package")
        binary = str(package / "usr/bin/prometheus-alertmanager")
        # Debian's binary wants its templates below /usr/share: it gets a view of the file system in which they are.
        mounted = f"mount --bind '{package}/usr/share' /usr/share"
        wrapped = ["unshare", "-rm", "sh", "-c", f'{mounted} && exec "$@"', "sh"]
        if subprocess.run([*wrapped, "true"], capture_output=True, check=False).returncode:
            pytest.skip("an unpacked Alertmanager needs a mount namespace, which this machine does not allow")
    (folder / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    address = f"127.0.0.1:{free_port()}"
    command = [*wrapped, binary, f"--config.file={folder / 'am.yml'}", f"--storage.path={folder / 'data'}"]
    command += [f"--web.listen-address={address}", "--cluster.listen-address="]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            eventually(lambda: answers(f"http://{address}/-/ready"), 60, "Alertmanager answers")
            yield f"http://{address}"
        finally:
            process.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def test_a_real_alertmanager_takes_what_fires_and_what_is_over(alertmanager: str) -> None:
    to = receiver("alertmanager", url=alertmanager)
    assert send(to, news(ALERT), "http://here/alerts").ok
    (found,) = httpx.get(f"{alertmanager}/api/v2/alerts").json()
    assert found["labels"] == {"alertname": "disk_full", "host": "web1", "severity": "critical"}
    assert found["annotations"]["runbook_url"] == "https://wiki.example/disk"
    left = datetime.fromisoformat(found["endsAt"]) - datetime.now(UTC)
    assert left > timedelta(days=6), "one that is acknowledged is not repeated, and does not expire there meanwhile"
    assert send(to, news(OVER), "").ok
    assert httpx.get(f"{alertmanager}/api/v2/alerts").json() == []
