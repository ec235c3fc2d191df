"""The view of silences on the Alerts page: silences with an end, and maintenance windows that come again.

Belongs here: this view. Does not: the other views (alerts), what a window is (muninn.alerting).
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import streamlit as st

from muninn.alerting.silence import DAYS
from muninn.clock import DAY_US, SECOND_US
from muninn.errors import MuninnError
from streamlit_app import entry, gateway, shell
from streamlit_app.widgets import alerts, formats
from streamlit_app.widgets.words import escaped

SILENCE_SPANS = ("1h", "2h", "8h", "1d", "7d")
UNTIL = "until…"
PAST_US = 7 * DAY_US
PREVIEWED = 6
WINDOW_SPANS = ("30m", "1h", "2h", "4h", "8h", "12h", "1d")
MATCH_HELP = "label=value, label!=value, label=~pattern, label!~pattern; comma-separated, all must match"


def render() -> None:
    """The view."""
    with st.grid(2, min_column_width=440, gap="small"):
        _silences()
        _make_silence()
        _windows()
        _make_window()


def _silences() -> None:
    zone, now_us = shell.viewer_zone(), shell.now_us()
    with shell.panel("Silences", help="Alerts that match are kept and shown, and told to nobody."):
        past = st.toggle("Those of the last 7 days too", key="silence-past")
        found = shell.current_reads().silences(now_us - PAST_US if past else now_us)
        if not found:
            st.caption("None holds. *Make a silence* makes one; so does a button of each alert that fires.")
            return
        held = Counter(each.muted_which for each in shell.current_reads().alerts() if each.muted_by == "silence")
        st.dataframe(
            alerts.silence_table(found, held, zone, now_us),
            hide_index=True,
            column_config={
                "Of": st.column_config.TextColumn(width=165),
                "State": st.column_config.MultiselectColumn(
                    options=["holds", "to come", "over"], color=["green", "blue", "gray"], width=75
                ),
                "Holds back": st.column_config.NumberColumn(width=80),
            },
        )
        names = {
            each.silence_id: f"{each.matchers} until {formats.clock_time(each.ends_us, zone)}"
            for each in found
            if each.ends_us > now_us
        }
        if names:
            with st.container(horizontal=True, vertical_alignment="bottom"):
                ident = st.selectbox("End", list(names), format_func=lambda each: names[each], key="end-which")
                if st.button("End it now", key="end", icon=":material/volume_up:"):
                    gateway.change("DELETE", f"/api/v1/silences/{ident}")


def _make_silence() -> None:
    """Not a form: what it would hold back is shown while it is typed."""
    with shell.panel("Make a silence"):
        text = st.text_input(
            "Alerts that match", key="silence-match", placeholder="host=web1, rule=~disk_.*", help=MATCH_HELP
        )
        with st.container(horizontal=True):
            span = st.selectbox("For", (*SILENCE_SPANS, UNTIL), index=1, key="silence-span", width=110)
            until = _until() if span == UNTIL else f"+{span}"
            comment = st.text_input("Why", key="silence-why", placeholder="for those who wonder why it is quiet")
        if text:
            _preview(text)
        if st.button("Silence", key="silence-make", type="primary", icon=":material/volume_off:"):
            body = {"match": alerts.parse_match(text), "until": until, "by": entry.who(), "comment": comment}
            gateway.change("POST", "/api/v1/silences", body)


def _until() -> str:
    """An instant, chosen by the clock of the viewer's zone."""
    zone = shell.viewer_zone()
    in_a_day = datetime.fromtimestamp((shell.now_us() + DAY_US) / SECOND_US, zone).replace(second=0, microsecond=0)
    chosen = st.datetime_input("Until", in_a_day.replace(tzinfo=None), key="silence-until", format="YYYY-MM-DD")
    return chosen.replace(tzinfo=zone).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _preview(text: str) -> None:
    """What is open now and would be held back."""
    open_now = shell.current_reads().alerts()
    matching = alerts.filtered(open_now, text)
    if not matching:
        st.caption(f"None of the {len(open_now)} open alerts matches; those to come that match will be held back.")
        return
    lines = [f"- {escaped(each.summary or each.rule)}" for each in matching[:PREVIEWED]]
    more = f"\n- and {len(matching) - PREVIEWED} more" if len(matching) > PREVIEWED else ""
    st.caption(f"Holds back **{len(matching)}** of {len(open_now)} open alerts:\n" + "\n".join(lines) + more)


def _windows() -> None:
    with shell.panel(
        "Maintenance windows", help="They come again by the clock; one in a rules file is changed in that file."
    ):
        try:
            found: Sequence[dict[str, Any]] = gateway.ask("GET", "/api/v1/maintenance")["maintenance"]
        except MuninnError as error:
            shell.say_trouble(error)
            return
        if not found:
            st.caption("There is none. *Make a maintenance window* makes one; those of rules files stand here too.")
            return
        st.dataframe(
            alerts.window_table(found, shell.viewer_zone()),
            hide_index=True,
            column_config={"Of": st.column_config.TextColumn(width="medium")},
        )
        own = [each["name"] for each in found if each["source"] == "API"]
        if own:
            with st.container(horizontal=True, vertical_alignment="bottom"):
                name = st.selectbox("Delete", own, key="window-which")
                if st.button("Delete it", key="window-end", icon=":material/delete:"):
                    gateway.change("DELETE", f"/api/v1/maintenance/{quote(name, safe='')}?by={quote(entry.who())}")


def _make_window() -> None:
    with shell.panel("Make a maintenance window"), st.form("window", border=False):
        with st.container(horizontal=True):
            name = st.text_input("Name", key="window-name", placeholder="nightly backup")
            text = st.text_input("Alerts that match", key="window-match", placeholder="host=db1", help=MATCH_HELP)
        with st.container(horizontal=True):
            at = st.time_input("Begins at", value="02:00", key="window-at")
            span = st.selectbox("For", WINDOW_SPANS, index=1, key="window-span")
            zone = st.text_input("Time zone", value=st.context.timezone or "UTC", key="window-zone")
        days = st.pills("On these days (none: every day)", DAYS, selection_mode="multi", key="window-days")
        with st.container(horizontal=True):
            since = st.date_input("First day", value=None, key="window-since", help="Empty: from today on.")
            until = st.date_input("Not any more on", value=None, key="window-until", help="Empty: for ever.")
        if st.form_submit_button("Save the window", type="primary", icon=":material/event_repeat:"):
            body = {
                "name": name.strip(),
                "match": alerts.parse_match(text),
                "at": f"{at:%H:%M}",
                "duration": span,
                "timezone": zone.strip(),
                "days": list(days),
                "by": entry.who(),
                **({"since": since.isoformat()} if since else {}),
                **({"until": until.isoformat()} if until else {}),
            }
            gateway.change("POST", "/api/v1/maintenance", body)
