"""Sending one notification: HTTP, SMTP, a file. Says how it went; never raises, never shows a secret.

Belongs here: one attempt. Does not: whether there is another (alerting.outbox), what is said (alerting.payloads).
"""

import logging
import os
import smtplib
import ssl
from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import orjson

from muninn.alerting import payloads
from muninn.alerting.dispatch import Notification
from muninn.alerting.outbox import Result
from muninn.alerting.receivers import Email, LogFile, Receiver

log = logging.getLogger(__name__)

# It would write every address into the log, and addresses of web hooks are secrets.
logging.getLogger("httpx").setLevel(logging.WARNING)

_LONGEST_WAIT_S = 3600.0


def send(receiver: Receiver, due: Notification, page_url: str = "") -> Result:
    """One attempt."""
    try:
        if isinstance(receiver, Email):
            return _mail(receiver, due, page_url)
        if isinstance(receiver, LogFile):
            return _log(receiver, due, page_url)
        return _post(receiver, due, page_url)
    except Exception as error:
        # Its text might quote an address with a key in it.
        return Result(False, f"{type(error).__name__} while it was made")


def _post(receiver: Receiver, due: Notification, page_url: str) -> Result:
    with httpx.Client(timeout=receiver.timeout_s, follow_redirects=False) as client:
        for request in payloads.requests(receiver, due, page_url):
            try:
                answer = _answer(client, request)
            except httpx.HTTPError as error:
                return Result(False, _no_answer(error))
            if not (answer.is_success or answer.status_code in request.accepts):
                return _refused(answer)
    return Result(True)


def _answer(client: httpx.Client, request: payloads.Request) -> httpx.Response:
    """Its head alone: what else it says, however long and however slowly, is of no interest."""
    said = client.stream(request.method, request.url, content=request.body, headers=dict(request.headers))
    with said as answer:
        return answer


def _refused(answer: httpx.Response) -> Result:
    code = answer.status_code
    # What is too much or too early may go later; what is wrong with the request stays wrong.
    permanent = 300 <= code < 500 and code not in (408, 425, 429)
    return Result(False, f"HTTP {code}", permanent, _retry_after(answer.headers.get("retry-after")))


def _retry_after(header: str | None) -> float | None:
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return min(float(header), _LONGEST_WAIT_S)
    try:
        wait_s = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S)


def _mail(receiver: Email, due: Notification, page_url: str) -> Result:
    message = payloads.mail(receiver, due, page_url)
    try:
        with closing(_smtp(receiver)) as server:
            if receiver.tls == "starttls":
                server.starttls(context=ssl.create_default_context())
            if receiver.password is not None:
                server.login(receiver.user, receiver.password.get_secret_value())
            refused = server.send_message(message)
            # It has the mail: what it says to a farewell makes no difference.
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
    except smtplib.SMTPAuthenticationError as error:
        wrong = error.smtp_code >= 500
        why = "user or password is wrong" if wrong else "the server cannot tell who we are now"
        return Result(False, f"SMTP {error.smtp_code}: {why}", permanent=wrong)
    except smtplib.SMTPResponseException as error:
        return Result(False, f"SMTP {error.smtp_code}", permanent=500 <= error.smtp_code < 600)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        return Result(False, f"SMTP {codes[0]}: no recipient was taken", permanent=all(code >= 500 for code in codes))
    except smtplib.SMTPNotSupportedError as error:
        what = "STARTTLS" if receiver.tls == "starttls" else "what was asked of it"
        return Result(False, f"{type(error).__name__}: the server cannot do {what}, see `tls`, `user` and `password`")
    except (smtplib.SMTPException, OSError) as error:
        return Result(False, _no_answer(error))
    return _taken(refused)


def _no_answer(error: BaseException) -> str:
    """Why, as far as it says nothing of addresses."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return f"{type(error).__name__}: its certificate is not trusted ({cause.verify_message}); see SSL_CERT_FILE"
    return f"{type(error).__name__}: no answer"


def _taken(refused: Mapping[str, tuple[int, bytes]]) -> Result:
    """A mail that some of its recipients got. One that is put off (greylisting) has to get it later: the others get
    it again under the same Message-ID."""
    later = [code for code, _ in refused.values() if code < 500]
    if later:
        return Result(False, f"SMTP {later[0]}: put off for {len(later)} of the recipients")
    if refused:
        log.warning("a mail was refused for %d of its recipients", len(refused))
    return Result(True)


def _smtp(receiver: Email) -> smtplib.SMTP:
    if receiver.tls == "implicit":
        # Without a context of ours smtplib trusts any certificate.
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(receiver.host, receiver.port, timeout=receiver.timeout_s, context=context)
    return smtplib.SMTP(receiver.host, receiver.port, timeout=receiver.timeout_s)


def _log(receiver: LogFile, due: Notification, page_url: str) -> Result:
    line = orjson.dumps(payloads.as_json(due, page_url), option=orjson.OPT_APPEND_NEWLINE)
    try:
        receiver.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(receiver.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return Result(False, f"{receiver.path}: {error.strerror}")
    return Result(True)
