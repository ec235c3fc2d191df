"""Receivers: to whom notifications go, each kind with its settings; secrets are typed as secrets.

Belongs here: what a receiver needs to know. Does not: messages (payloads), sending (operations.alerts).
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr

from muninn.alerting.rules import Part, Template
from muninn.alerting.spans import Seconds


def _secret(given: object) -> object:
    """A secret as it stands, or {env: NAME} or {file: PATH}, so that rules files need not hold any."""
    if not isinstance(given, dict):
        return given
    if set(given) == {"env"}:
        found = os.environ.get(str(given["env"]))
        if found is None:
            raise ValueError(f"the environment has no {given['env']}")
        return found
    if set(given) == {"file"}:
        try:
            return Path(str(given["file"])).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"{given['file']} cannot be read: {error.strerror}") from None
    raise ValueError("a secret is a text, {env: NAME} or {file: PATH}")


Secret = Annotated[SecretStr, BeforeValidator(_secret)]


class _Common(Part):
    """title, text: templates; empty: Muninn's own. timeout_s: of one attempt. give_up_s: no attempt after it."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,80}$")
    title: Template = ""
    text: Template = ""
    timeout_s: Seconds = Field(10.0, alias="timeout", gt=0, le=120)
    give_up_s: Seconds = Field(86_400.0, alias="give_up", gt=0)


class Webhook(_Common):
    """JSON by POST, signed with HMAC-SHA256 where there is a secret."""

    type: Literal["webhook"]
    url: Secret
    secret: Secret | None = None
    headers: dict[str, str] = Field(default_factory=dict)


class Slack(_Common):
    """Slack's incoming webhook (also Mattermost, and others that speak it)."""

    type: Literal["slack"]
    url: Secret
    channel: str = ""


class Email(_Common):
    """SMTP. tls: "starttls", "implicit" or "none"."""

    type: Literal["email"]
    host: str
    port: int = Field(587, ge=1, le=65535)
    sender: str = Field(alias="from", min_length=3)
    to: tuple[str, ...] = Field(min_length=1)
    user: str = ""
    password: Secret | None = None
    tls: Literal["starttls", "implicit", "none"] = "starttls"


class PagerDuty(_Common):
    """PagerDuty's Events API v2: one incident per alert, ended with it."""

    type: Literal["pagerduty"]
    routing_key: Secret
    url: str = "https://events.pagerduty.com/v2/enqueue"


class Opsgenie(_Common):
    """Opsgenie's Alert API: one alert per alert, closed with it."""

    type: Literal["opsgenie"]
    api_key: Secret
    url: str = "https://api.opsgenie.com"
    responders: tuple[dict[str, str], ...] = ()


class Alertmanager(_Common):
    """An Alertmanager (API v2), sent what fires and what is over, again before it would expire there."""

    type: Literal["alertmanager"]
    url: Secret
    user: str = ""
    password: Secret | None = None


class LogFile(_Common):
    """A file with a line of JSON a notification."""

    type: Literal["log"]
    path: Path


Receiver = Webhook | Slack | Email | PagerDuty | Opsgenie | Alertmanager | LogFile
TYPES: dict[str, type[Receiver]] = {
    "webhook": Webhook,
    "slack": Slack,
    "email": Email,
    "pagerduty": PagerDuty,
    "opsgenie": Opsgenie,
    "alertmanager": Alertmanager,
    "log": LogFile,
}


def receiver_type(given: Any) -> type[Receiver] | str:
    """The kind of receiver that is described, or what is wrong with its `type`."""
    name = given.get("type") if isinstance(given, dict) else None
    return TYPES.get(str(name)) or f"is one of {', '.join(TYPES)}, not {name!r}"
