"""Alerts: what fires, what is silenced, what was; rules and their noise; silences; who was told.

Belongs here: the order of the page and its buttons. Does not: texts and tables (widgets), reading (muninn.reads),
changing (gateway).
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from muninn.alerting.rules import SEVERITIES
from muninn.clock import DAY_US
from muninn.model import Window
from muninn.reads.alerts import AlertRow
from streamlit_app import entry, gateway, runbooks, shell
from streamlit_app.app_pages import alert_rules, alert_silences
from streamlit_app.widgets import alerts, formats
from streamlit_app.widgets.charts import CONFIG
from streamlit_app.widgets.words import escaped

REFRESH_S = 5
MAX_CARDS = 40
RANGES = {"24h": DAY_US, "7d": 7 * DAY_US, "30d": 30 * DAY_US}
VIEWS = ("Firing", "Silenced", "History", "Rules", "Silences", "Notify log")
BADGES = {"critical": "red", "warning": "orange", "info": "blue", "sent": "green", "waiting": "orange", "failed": "red"}
ORDER: dict[str, int] = {name: place for place, name in enumerate(SEVERITIES)}
_TABLE_HEIGHT = 320


def render() -> None:
    """The whole page."""
    row = shell.head("Alerts", help="From rules on samples, scores and rollups: docs/alerting.md.")
    with row:
        view = st.segmented_control(
            "View", VIEWS, default=VIEWS[0], key="view", bind="query-params", label_visibility="collapsed"
        )
        if view in (None, "Firing", "Silenced"):
            _filter()
    bodies: dict[str, Callable[[], None]] = {
        "Silenced": lambda: shell.auto_refresh(silenced, REFRESH_S),
        "History": history,
        "Rules": alert_rules.render,
        "Silences": alert_silences.render,
        "Notify log": lambda: shell.auto_refresh(log, REFRESH_S),
    }
    bodies.get(view or "", lambda: shell.auto_refresh(firing, REFRESH_S))()


def firing() -> None:
    """Figures, and a card an alert."""
    found = shell.current_reads().alerts()
    told = [each for each in found if each.state == "firing" and not each.muted_by]
    told.sort(key=lambda each: ORDER[each.severity], reverse=True)
    now_us = shell.now_us()
    records = shell.current_reads().alert_records(Window(now_us - 30 * DAY_US, now_us))
    with st.grid("auto", min_column_width=165, gap="small"):
        shell.figure("Firing", formats.count(len(told)), "Alerts that are told to somebody, or would be.")
        critical = sum(each.severity == "critical" for each in told)
        shell.figure("Critical", formats.count(critical), "Of those that fire.")
        shell.figure("Pending", formats.count(sum(each.state == "pending" for each in found)), "Bad, not long enough.")
        shell.figure("Silenced", formats.count(sum(bool(each.muted_by) for each in found)), "Firing, not told.")
        shell.figure("Flapping", formats.count(sum(each.flapping for each in found)), "Came and went so often.")
        share = alerts.precision(records)
        text = formats.NOTHING if share is None else f"{share:.0%}"
        shell.figure("Useful", text, "Of the alerts of 30 days that somebody judged.")
    if not told:
        st.info(
            "**Nothing fires.** Rules come with Muninn and from HOME/rules; *Rules* shows them.",
            icon=":material/check_circle:",
        )
    _filtered_cards(told, now_us)
    pending = [each for each in found if each.state == "pending"]
    if pending:
        st.caption("Pending: bad, not long enough yet")
        _filtered_cards(pending, now_us)


def silenced() -> None:
    """What fires and is not told, with the reason."""
    found = [each for each in shell.current_reads().alerts() if each.muted_by]
    if not found:
        st.info("**Nothing that fires is held back.** *Silences* makes one.", icon=":material/volume_up:")
    _filtered_cards(found, shell.now_us())


def _filter() -> None:
    st.text_input(
        "Filter",
        key="filter",
        bind="query-params",
        placeholder="host=web1, severity=critical",
        help=alert_silences.MATCH_HELP,
        label_visibility="collapsed",
        icon=":material/filter_alt:",
        width=340,
    )


def _filtered_cards(found: Sequence[AlertRow], now_us: int) -> None:
    text = st.session_state.get("filter") or ""
    shown = alerts.filtered(found, text) if text else found
    if found and not shown:
        st.caption(f"None of {len(found)} matches `{text}`.")
    _cards(shown, now_us)


def _cards(found: Sequence[AlertRow], now_us: int) -> None:
    for alert in found[:MAX_CARDS]:
        with st.container(border=True, gap="xxsmall"):
            _card(alert, now_us)
    if len(found) > MAX_CARDS:
        st.caption(f"{len(found) - MAX_CARDS} more. The filter above brings those that you look for up here.")
        table = alerts.history_table(found[MAX_CARDS:], shell.viewer_zone(), now_us)
        st.dataframe(table, hide_index=True, column_config=_columns())


def _columns() -> dict[str, Any]:
    """How alerts look in a table."""
    return {
        "Severity": st.column_config.MultiselectColumn(
            options=list(alerts.SEVERITIES), color=[BADGES[name] for name in alerts.SEVERITIES]
        ),
        "Fired": st.column_config.TextColumn(width=150),
        "Lasted": st.column_config.TextColumn(width=115),
        "Rule": st.column_config.TextColumn(width=170),
        "What": st.column_config.TextColumn(width=430),
        "Useful": st.column_config.TextColumn(width=65),
    }


def _card(alert: AlertRow, now_us: int) -> None:
    look = alerts.SEVERITIES[alert.severity]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(look.text, icon=look.icon, color=look.color)
        st.markdown(f"**{escaped(alert.summary)}**", width="stretch")
        for text, shown in (
            ("no data", alert.no_data),
            ("flapping", alert.flapping),
            ("from outside", _outside(alert)),
        ):
            if shown:
                st.badge(text, color="gray")
    since = alerts.since_text(alert, now_us)
    notes = [escaped(alert.rule), escaped(alerts.labels_text(alert)), f"for {since}"]
    if alert.acknowledged_ms:
        notes.append(f"acknowledged by {escaped(alert.acknowledged_by or 'somebody')}")
    if alert.muted_by:
        until = formats.clock_time(alert.muted_until_ms * 1000, shell.viewer_zone()) if alert.muted_until_ms else ""
        notes.append(f"held back by {alert.muted_by}{f' until {until}' if until else ''}")
    st.caption(" · ".join(filter(None, notes)))
    _buttons(alert)


def _outside(alert: AlertRow) -> bool:
    return alert.origin != "rule"


def _buttons(alert: AlertRow) -> None:
    ident = alert.alert_id
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if alert.state != "resolved":
            _acknowledge(alert)
            if not alert.muted_by:
                _silence(alert)
        if alert.fired_ms:
            _judge(alert)
        st.space("stretch")
        if incident := alerts.incident_of(alert):
            st.page_link(
                shell.ANOMALIES_PAGE, label="Incident", icon=":material/troubleshoot:",
                query_params={"incident": incident, "range": "24h"},
            )  # fmt: skip
        if query := alerts.explore_query(alert):
            st.page_link(shell.EXPLORE_PAGE, label="Explore", icon=":material/query_stats:", query_params=query)
        if source := alerts.source_of(alert):
            st.link_button("Source", source, icon=":material/open_in_new:", type="tertiary")
        runbooks.show(alert.runbook, kind="tertiary")
    if lines := alerts.known_lines(alert):
        with st.expander("What is known", icon=":material/subject:", key=f"known-{ident}"):
            st.markdown("  \n".join(map(escaped, lines)))


def _acknowledge(alert: AlertRow) -> None:
    on = not alert.acknowledged_ms
    if st.button("Acknowledge" if on else "Take back", key=f"ack-{alert.alert_id}", icon=":material/visibility:"):
        body = {"on": on, "by": entry.who()}
        gateway.change("POST", f"/api/v1/alerts/{alert.alert_id}/acknowledge", body)


def _silence(alert: AlertRow) -> None:
    """At once for two hours, or by the form, which is filled in."""
    labels = alerts.silence_labels(alert)
    if st.button("Silence 2 h", key=f"mute-{alert.alert_id}", icon=":material/volume_off:"):
        exactly = {name: f"={value}" for name, value in labels.items()}
        body = {"match": exactly, "until": "+2h", "by": entry.who(), "comment": alert.summary}
        gateway.change("POST", "/api/v1/silences", body)
    if st.button(
        "Silence…", key=f"form-{alert.alert_id}", type="tertiary", on_click=_fill_in, args=(labels, alert.summary),
        help="Choose what it matches and for how long.",
    ):  # fmt: skip
        st.rerun()


def _fill_in(labels: dict[str, str], why: str) -> None:
    st.session_state["view"] = "Silences"
    st.session_state["silence-match"], st.session_state["silence-why"] = alerts.match_text(labels), why


def _judge(alert: AlertRow) -> None:
    given = {True: 1, False: 0, None: None}[alert.useful]
    chosen = st.feedback("thumbs", default=given, key=f"useful-{alert.alert_id}-{given}")
    if chosen != given:
        useful = None if chosen is None else bool(chosen)
        gateway.change("POST", f"/api/v1/alerts/{alert.alert_id}/feedback", {"useful": useful, "by": entry.who()})


def history() -> None:
    """What was: a time line, a table, and one to judge."""
    chosen = st.segmented_control(
        "Range",
        list(RANGES),
        default="24h",
        key="range",
        bind="query-params",
        on_change=_turn,
        args=("history-pages", []),
    )
    now_us = shell.now_us()
    window = Window(now_us - RANGES[chosen or "24h"], now_us)
    turned = _turned("history-pages")
    page = shell.answer_or_wait(
        lambda ask: ask.alert_page(
            ("firing", "resolved"), window.since_us, None, alerts.PAGE, turned[-1] if turned else None
        )
    )
    found = page.alerts
    _pager("history-pages", page.older, found[0].fired_ms if found else None, found[-1].fired_ms if found else None)
    if not found:
        st.info("**No alert in this time.**", icon=":material/check_circle:")
        return
    zone = shell.viewer_zone()
    with shell.panel("Time line", help="A bar from firing to end; the busiest rules first, at most 40 rows."):
        figure = alerts.timeline_figure(found, window, zone)
        st.plotly_chart(figure, config=CONFIG, key="timeline", alt="Alerts over time, a row a rule and labels")
    with shell.panel("Alerts", help="Choose a row to judge it."):
        picked = st.dataframe(
            alerts.history_table(found, zone, now_us),
            hide_index=True,
            height=_TABLE_HEIGHT if len(found) > 7 else "auto",
            on_select="rerun",
            selection_mode="single-row",
            key=f"history-{len(turned)}",
            column_config=_columns(),
        )
        rows = picked["selection"]["rows"]
        if rows and rows[0] < len(found):
            with st.container(border=True, gap="xxsmall"):
                _card(found[rows[0]], now_us)


def _turned(key: str) -> list[str]:
    """Where each page that was turned to begins; none: the newest is shown."""
    return st.session_state.get(key) or []


def _turn(key: str, to: list[str]) -> None:
    st.session_state[key] = to


def _pager(key: str, older: str | None, newest_ms: int | None, oldest_ms: int | None) -> None:
    """Which part of many is shown, and the way to the others; nothing where it is all."""
    turned = _turned(key)
    if not turned and older is None:
        return
    zone = shell.viewer_zone()
    span = " to ".join(formats.clock_time(at_ms * 1000, zone) for at_ms in (oldest_ms, newest_ms) if at_ms)
    more = "older ones follow" if older else "these are the oldest"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"Page {len(turned) + 1}, {span}: {more}.", width="content")
        st.button(
            "Newer", key=f"{key}-newer", disabled=not turned, on_click=_turn, args=(key, turned[:-1]),
            icon=":material/chevron_left:",
        )  # fmt: skip
        st.button(
            "Older", key=f"{key}-older", disabled=older is None, on_click=_turn, args=(key, [*turned, older]),
            icon=":material/chevron_right:",
        )  # fmt: skip


def log() -> None:
    """Who was told what, and whom it did not reach."""
    turned, since_us = _turned("log-pages"), shell.now_us() - 7 * DAY_US
    page = shell.current_reads().notifications(since_us, alerts.LOG_PAGE, turned[-1] if turned else None)
    found = page.notifications
    _pager("log-pages", page.older, found[0].created_ms if found else None, found[-1].created_ms if found else None)
    if not found:
        st.info(
            "**Nobody was told anything in 7 days.** Receivers and routes are in HOME/rules: docs/alerting.md.",
            icon=":material/outgoing_mail:",
        )
        return
    st.dataframe(
        alerts.notification_table(found, shell.viewer_zone()),
        hide_index=True,
        height=_TABLE_HEIGHT + 200 if len(found) > 12 else "auto",
        column_config={
            "State": st.column_config.MultiselectColumn(
                options=["sent", "waiting", "failed"], color=["green", "orange", "red"]
            ),
            "First": st.column_config.TextColumn(width="large"),
        },
    )


if __name__ == "__main__":
    render()
