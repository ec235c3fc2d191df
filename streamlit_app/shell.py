"""What every page stands on: this process's Reads, the guard round a panel, what to say when nothing is there.

Belongs here: what pages share with each other and Streamlit. Does not: figures and texts of values (widgets), data.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import NoReturn, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from muninn import reads, settings
from muninn.errors import Misconfigured, MuninnError, Unavailable
from muninn.settings import Settings
from streamlit_app.widgets import formats

log = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_S = 5
# Shorter than a retry, so that each retry really asks.
AWAY_S = 3.0
ASKING = "Asking the database ..."
PAGES = Path(__file__).parent / "app_pages"
ANOMALIES_PAGE = str(PAGES / "anomalies.py")
EXPLORE_PAGE = str(PAGES / "explore.py")


@st.cache_resource(show_spinner=False)
def current_settings() -> Settings:
    """The settings of this process, read once."""
    return settings.load()


@st.cache_resource(show_spinner=False)
def _connected() -> reads.Reads:
    return reads.connect(current_settings())


@dataclass
class _Absence:
    """Until when (clock.monotonic) the database counts as away, and how it said so."""

    until: float = 0.0
    error: MuninnError | None = None


@st.cache_resource(show_spinner=False)
def _absence() -> _Absence:
    return _Absence()


def current_reads() -> reads.Reads:
    """The one Reads of this process; its connections come back by themselves after the database was away.

    Unavailable at once where the database was found away a moment ago: the parts of a page ask one after
    the other, and each would wait for the same silence.
    """
    absence = _absence()
    if absence.error is not None and time.monotonic() < absence.until:
        raise absence.error
    return _connected()


def now_us() -> int:
    """The time by the clock that reads use."""
    return current_reads().clock.now_us()


def viewer_zone() -> tzinfo:
    """The time zone of the browser that looks; UTC where it does not say."""
    return formats.zone(st.context.timezone)


def auto_refresh(body: Callable[[], None], seconds: float | None) -> None:
    """Draw `body` now and again every `seconds` by itself, without the rest of the page; None: once.

    Trouble inside is said in its place, and tried again by itself. Until it is there for the first time, it says that
    it is asked for: a database that is away is known to be so only after some seconds.
    """
    drawn = False

    def guarded() -> None:
        nonlocal drawn
        place = st.empty()  # always there, so that what follows has the same place in each run
        with guard(again=seconds is None), nullcontext() if drawn else asking(place):
            drawn = True
            body()

    st.fragment(guarded, run_every=seconds)()


@contextmanager
def asking(place: DeltaGenerator | None = None) -> Iterator[None]:
    """Say that the database is asked, where that takes longer than a blink; what is drawn meanwhile stands below it."""
    with ExitStack() as waiting:
        with place or st.empty():
            waiting.enter_context(st.spinner(ASKING))
        yield


def run_again_later() -> None:
    """Run the whole page anew in a few seconds."""
    drawn = False

    def again() -> None:
        nonlocal drawn
        if drawn:
            st.rerun()
        drawn = True

    st.fragment(again, run_every=RETRY_S)()


def stop_and_try_again() -> NoReturn:
    """End the page here, and run it anew in a few seconds."""
    run_again_later()
    st.stop()


def answer_or_wait(ask: Callable[[reads.Reads], T]) -> T:
    """What `ask` answers. In trouble: say so, stop here, and run the page anew until it answers."""
    try:
        with asking():
            return ask(current_reads())
    except MuninnError as error:
        say_trouble(error)
    stop_and_try_again()


@contextmanager
def guard(what: str = "This part", *, again: bool = False) -> Iterator[None]:
    """Keep trouble inside from blanking what is outside: say it in place; the trace goes to the log.

    again: run the page anew in a few seconds where trouble may pass by itself.
    """
    try:
        yield
    except MuninnError as error:
        say_trouble(error)
        if again:
            run_again_later()
    except Exception:
        log.exception("%s failed", what)
        st.error(f"{what} failed to draw; the rest of the page is not affected. The log of `streamlit` says why.")


@contextmanager
def panel(title: str, help: str | None = None) -> Iterator[None]:
    """A bordered, titled part of a page that guards itself."""
    with st.container(border=True, gap="small", height="stretch"):
        st.subheader(title, help=help, anchor=False)
        with guard(title):
            yield


def say_trouble(error: MuninnError) -> None:
    """One sentence on what is wrong and one on what to do."""
    log.warning("%s", error)
    _note(error)
    if isinstance(error, Misconfigured):
        st.error(f"A setting is wrong: {error}", icon=":material/tune:")
    elif _is_away(error):
        st.error(
            "The database does not answer. `muninn status` names the part that is down; "
            f"this page tries again every {RETRY_S} seconds.",
            icon=":material/cloud_off:",
        )
    elif isinstance(error, Unavailable):
        st.warning(f"No answer yet: {error}. This part tries again by itself.", icon=":material/hourglass:")
    else:
        st.warning(str(error), icon=":material/error:")


def _is_away(error: MuninnError) -> bool:
    """Whether no question at all would be answered now; a slow question alone is no reason to ask no other."""
    return isinstance(error, Unavailable) and "is away" in str(error)


def _note(error: MuninnError) -> None:
    absence = _absence()
    if _is_away(error) and error is not absence.error:
        absence.until, absence.error = time.monotonic() + AWAY_S, error


def say_no_data() -> None:
    """No sample has come yet: how to send the first one."""
    address = current_settings().gateway_url
    st.info("**No samples yet.** Send one, and it shows here within seconds:", icon=":material/input:")
    st.code(
        f"curl -X POST {address}/api/v1/metrics \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        """  -d '{"metric": "room_temperature_celsius", "timestamp": '$(date +%s000)', """
        """"value": 21.5, "labels": {"room": "hall"}}'""",
        language="bash",
    )
    st.caption("The host collector sends this machine's own metrics while MUNINN_COLLECTOR_ENABLED is not false.")


def figure(
    label: str,
    value: str,
    help: str,
    course: list[float] | None = None,
    note: str | None = None,
    *,
    bars: bool = False,
) -> None:
    """A key figure on a card; with the course of it as a small chart and a note on that, where there is one."""
    st.metric(
        label,
        value,
        delta=note,
        delta_arrow="off",
        delta_color="primary",
        help=help,
        border=True,
        height="stretch",
        chart_data=course,
        chart_type="bar" if bars else "area",
    )


def head(title: str, help: str | None = None) -> DeltaGenerator:
    """The title of a page; in the row that is returned, more may stand at its right."""
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    row.title(title, anchor=False, width="content", help=help)
    return row
