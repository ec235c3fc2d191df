"""Who looks at the dashboards: this machine is not asked, others give a token once.

Belongs here: asking for a token, remembering who gave it, tickets for the stream. Does not: the verdict (guard).
"""

import streamlit as st

from muninn.clock import SECOND_US, SystemClock
from muninn.errors import Unavailable
from muninn.guard import peers, tickets
from muninn.guard.judge import Judge, Refusal
from muninn.guard.roll import Roll
from muninn.operations import access
from streamlit_app import shell

COOKIE = "muninn_session"
REMEMBER_S = 12 * 3600
_VIEWER = "muninn_viewer"

# A browser sends its cookies with the next page load; until then the session remembers.
_remember = st.components.v2.component(
    "muninn_entry",
    js="""export default ({ data }) => {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${data.name}=${data.value}; Max-Age=${data.max_age_s}; Path=/; SameSite=Strict${secure}`;
};""",
)


@st.cache_resource(show_spinner=False)
def _roll() -> Roll:
    """The tokens, as this process knows them; read for the first time when somebody has to give one."""
    roll, _ = access.roll(shell.current_settings(), SystemClock())
    return roll.start()


def is_let_in() -> bool:
    """Whether the viewer may look; who may not is asked for a token here."""
    if _trusted() or _viewer() is not None:
        _remember_viewer()
        return True
    _, middle, _ = st.columns([1, 2, 1])
    with middle, st.form("entry", border=True):
        st.subheader("Who are you?", anchor=False)
        st.caption("These dashboards are for holders of a token: `muninn token create NAME --scope read` makes one.")
        secret = st.text_input("Token", type="password", autocomplete="current-password")
        if st.form_submit_button("Open", type="primary"):
            _try(secret.strip())
    return False


def may_change() -> bool:
    """Whether the viewer may change things: this machine, a closed network, or the holder of an admin token."""
    if _trusted():
        return True
    token_id = _viewer()
    return token_id == 0 or (token_id is not None and _known_roll().holds(token_id, "admin"))


def who() -> str:
    """Who looks: the name of the token that the viewer came in with; "dashboard" where none is asked for."""
    token_id = None if _trusted() else _viewer()
    return (token_id and _known_roll().name_of(token_id)) or "dashboard"


def ticket() -> str:
    """What the viewer's browser shows to the sidecar; empty where that asks for nothing."""
    if _trusted():
        return ""
    token_id = _viewer()
    roll = _known_roll()
    until_us = SystemClock().now_us() + round(tickets.LIFE_S * SECOND_US)
    return tickets.issue(roll.key, token_id or 0, until_us)


def _trusted() -> bool:
    """Whether the viewer is this machine itself, and that is enough."""
    if not access.policy(shell.current_settings(), "streamlit").trust_loopback:
        return False
    # None: loopback, as Streamlit puts it.
    return peers.is_this_machine(
        st.context.ip_address, {name.lower(): value for name, value in st.context.headers.items()}
    )


def _viewer() -> int | None:
    """The token id that the viewer came in with, 0 where none is asked for; None where it has to be asked for."""
    if not access.policy(shell.current_settings(), "streamlit").required:
        return 0
    token_id = st.session_state.get(_VIEWER)
    if token_id is None:
        cookie = st.context.cookies.to_dict().get(COOKIE)
        if isinstance(cookie, str):
            token_id = tickets.read(_known_roll().key, cookie, SystemClock().now_us(), tickets.SESSION)
    if token_id is None or not _roll().valid(token_id):
        st.session_state.pop(_VIEWER, None)
        return None
    st.session_state[_VIEWER] = token_id
    return int(token_id)


def _try(secret: str) -> None:
    judge = Judge(access.policy(shell.current_settings(), "streamlit"), _roll())
    found = judge.ticket(secret)
    if isinstance(found, Refusal):
        st.error(found.detail, icon=":material/lock:")
        return
    st.session_state[_VIEWER] = found
    until_us = SystemClock().now_us() + REMEMBER_S * SECOND_US
    cookie = tickets.issue(_roll().key, found, until_us, tickets.SESSION)
    st.session_state[COOKIE] = cookie
    st.rerun()


def _remember_viewer() -> None:
    """Leave a cookie with who has just come in, so that a page load does not ask again."""
    cookie = st.session_state.pop(COOKIE, None)
    if cookie is not None:
        _remember(data={"name": COOKIE, "value": cookie, "max_age_s": REMEMBER_S}, key="entry-cookie")


def _known_roll() -> Roll:
    roll = _roll()
    if not roll.known:
        raise Unavailable("the database does not answer, so nobody new can be let in")
    return roll
