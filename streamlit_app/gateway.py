"""What a page changes goes through the gateway's API, as anyone's changes do: one door, one check of rights.

Belongs here: asking the gateway, its errors as ours. Does not: which buttons there are (pages), reading (muninn.reads).
"""

from typing import Any

import httpx
import streamlit as st

from muninn.errors import Invalid, MuninnError, Rejected, Unavailable
from muninn.sources.client import trusting
from streamlit_app import entry, shell

TIMEOUT_S = 60.0


def ask(method: str, path: str, body: object = None) -> Any:
    """The answer's JSON; Invalid where the gateway refuses, Unavailable where it does not answer.

    Changing anything asks for a viewer who may: the page's own token must not lend its rights to everyone.
    """
    if method != "GET" and path != "/api/v1/alert-rules/test" and not entry.may_change():
        raise Invalid("your token may look but not change: it needs the scope admin")
    settings = shell.current_settings()
    token = settings.access.token
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    verify = trusting(settings.access.tls_certificate) if settings.http == "https" else True
    try:
        with httpx.Client(verify=verify, timeout=TIMEOUT_S, trust_env=False) as client:
            answer = client.request(method, f"{settings.gateway_url}{path}", json=body, headers=headers)
    except httpx.HTTPError as error:
        raise Unavailable(f"the gateway at {settings.gateway_url} does not answer ({type(error).__name__})") from None
    if answer.is_success:
        return answer.json() if answer.content else None
    detail = _detail(answer)
    if answer.status_code == 429:
        raise Rejected(detail)
    if answer.status_code >= 500:
        raise Unavailable(detail)
    raise Invalid(detail)


def change(method: str, path: str, body: object = None) -> None:
    """Change something and show the page anew; trouble is said in place."""
    try:
        ask(method, path, body)
    except MuninnError as error:
        shell.say_trouble(error)
    else:
        st.rerun()


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {answer.status_code}"
