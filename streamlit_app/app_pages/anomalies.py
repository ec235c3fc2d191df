"""Anomalies: what is not normal, since when, why, and what to do.

Belongs here: the order of the page. Does not: figures and texts (widgets), data (muninn.reads).
"""

from collections.abc import Container

import streamlit as st

from muninn import names
from muninn.clock import DAY_US, HOUR_US, MINUTE_US
from muninn.errors import Invalid
from muninn.model import Window
from muninn.reads import AffectedSeries, IncidentDetail, IncidentInfo, ProbableCause, Trend, UnknownMetric
from streamlit_app import gateway, runbooks, shell
from streamlit_app.widgets import formats, incidents, words
from streamlit_app.widgets.charts import CONFIG, TimeAxis

RANGES = {"1h": HOUR_US, "6h": 6 * HOUR_US, "24h": DAY_US, "7d": 7 * DAY_US, "30d": 30 * DAY_US}
FIRST_RANGE = "24h"
REFRESH_S = 10
CHART_HEIGHT = 300
STATES: dict[str, words.Color] = {"open": "red", "over": "blue"}
AROUND_US = 15 * MINUTE_US
MOST_CAUSES = 3
MOST = 500


def render() -> None:
    """The whole page."""
    row = shell.head("Anomalies", help="Series that are not as they should be, those that belong together as one.")
    with row:
        chosen = st.segmented_control(
            "Range", list(RANGES), default=FIRST_RANGE, key="range", bind="query-params", label_visibility="collapsed"
        )
    if not shell.answer_or_wait(lambda ask: ask.catalogue()):
        shell.say_no_data()
        shell.stop_and_try_again()
    # What was chosen on the page stays chosen: widgets are known by their keys.
    shell.auto_refresh(lambda: _body(RANGES[chosen or FIRST_RANGE]), REFRESH_S)


def _body(span_us: int) -> None:
    """All below the head, as of now."""
    now_us = shell.now_us()
    window = Window(now_us - span_us, now_us)
    found = shell.current_reads().incidents(window, most=MOST)
    _figures(found)
    if len(found) == MOST:
        st.caption(f"The newest {MOST} of this time; a shorter range shows all of it.")
    linked = _linked({each.incident_id for each in found})
    if not found:
        st.info(
            "**Nothing odd in this time.** Each series is first learned for a day and says nothing until then; "
            "`muninn status` tells whether the detector runs, `muninn inject` makes a fault to look at.",
            icon=":material/check_circle:",
        )
        if linked is None:
            return
    by_id = {each.incident_id: each for each in ([linked] if linked else []) + found}
    _take_from_address(by_id)
    if found:
        with shell.panel("Time line", help="From start to end; what is open reaches to the right edge. Click to open."):
            _timeline(found, TimeAxis(window, shell.viewer_zone()))
            _table(found, now_us)
    _one(by_id, now_us)


def _linked(known: set[str]) -> IncidentInfo | None:
    """The incident that the address names, where it is not of this time: a link stays good for ever."""
    ident = st.query_params.get("incident") or st.session_state.get("incident")
    if not ident or ident in known:
        return None
    try:
        return shell.current_reads().incident(ident).incident
    except Invalid:
        return None


def _choose(ident: str) -> None:
    """This incident from now on, also for whoever is given the address."""
    st.session_state["incident"] = st.query_params["incident"] = ident


def _take_from_address(known: Container[str]) -> None:
    """The address names it by its id: a select box that is bound to it would look for what it shows."""
    ident = st.query_params.get("incident")
    if ident in known:
        st.session_state["incident"] = ident


def _figures(found: list[IncidentInfo]) -> None:
    with st.grid("auto", min_column_width=165, gap="small"):
        shell.figure("Open now", formats.count(sum(each.closed_ms is None for each in found)), "Not over yet.")
        shell.figure("In this time", formats.count(len(found)), "Open at some time in the range.")
        shell.figure("Series", formats.count(sum(each.series_count for each in found)), "Series in these incidents.")
        shell.figure("Useful", incidents.useful_share(found), "Of those that somebody marked.")


def _timeline(found: list[IncidentInfo], axis: TimeAxis) -> None:
    def choose() -> None:
        points = st.session_state["timeline"]["selection"]["points"]
        if points:
            _choose(points[0]["customdata"][0])

    st.plotly_chart(
        incidents.timeline_figure(found, axis, st.session_state.get("incident") or found[0].incident_id),
        config=CONFIG,
        key="timeline",
        on_select=choose,
        selection_mode="points",
        alt="Incidents over time, a row a probable cause",
    )


def _table(found: list[IncidentInfo], now_us: int) -> None:
    def choose() -> None:
        rows = st.session_state["incidents"]["selection"]["rows"]
        if rows and rows[0] < len(found):
            _choose(found[rows[0]].incident_id)

    st.dataframe(
        incidents.incident_table(found, shell.viewer_zone(), now_us),
        hide_index=True,
        height=250 if len(found) > 6 else "auto",
        key="incidents",
        on_select=choose,
        selection_mode="single-row",
        column_config={
            "State": st.column_config.MultiselectColumn(options=list(STATES), color=list(STATES.values()), width=70),
            "Began": st.column_config.TextColumn(width=150),
            "Lasted": st.column_config.TextColumn(width=105),
            "What": st.column_config.TextColumn(width=510),
            "Probable cause": st.column_config.TextColumn(width=135),
            "Score": st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="%.2f", width=105),
            "Series": st.column_config.NumberColumn(width=55),
            "Marked": st.column_config.TextColumn(width=85),
        },
    )


def _one(by_id: dict[str, IncidentInfo], now_us: int) -> None:
    zone = shell.viewer_zone()
    ident = st.selectbox(
        "Incident",
        list(by_id),
        format_func=lambda each: f"{formats.clock_time(by_id[each].opened_ms * 1000, zone)}  {by_id[each].title}",
        key="incident",
        on_change=lambda: _choose(st.session_state["incident"]),
    )
    detail = shell.current_reads().incident(ident)
    _head(detail.incident, now_us)
    with st.grid(2, min_column_width=440, gap="small"):
        with shell.panel("What was seen, and what was expected"):
            _series(detail)
        with shell.panel("Why", help="From the table of causes: what speaks for each, and what to do."):
            _causes(detail.incident.causes)
            _feedback(detail.incident)
    with shell.panel("Related series", help="All series of this incident at their peak, its head first."):
        st.dataframe(
            incidents.series_table(detail.series, zone),
            hide_index=True,
            height=320 if len(detail.series) > 8 else "auto",
            column_config={
                "Series": st.column_config.TextColumn(width=420),
                **{
                    name: st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="%.2f", width=110)
                    for name in ("Score", "Confidence")
                },
            },
        )


def _head(incident: IncidentInfo, now_us: int) -> None:
    state = incidents.state_of(incident)
    with st.container(border=True, gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(state, icon=":material/error:" if state == "open" else ":material/check:", color=STATES[state])
            st.markdown(f"**{words.escaped(incident.title)}**", width="stretch")
        st.caption(words.escaped(incidents.story(incident, shell.viewer_zone(), now_us)))


def _series(detail: IncidentDetail) -> None:
    names_of = [incidents.series_name(each.key) for each in detail.series]
    place = st.selectbox("Series", range(len(names_of)), format_func=lambda each: names_of[each], key="series")
    chosen = detail.series[place]
    until_us = (chosen.closed_ms or shell.now_us() // 1000) * 1000
    window = Window(chosen.opened_ms * 1000 - AROUND_US, min(shell.now_us(), until_us + AROUND_US // 3))
    axis = TimeAxis(window, shell.viewer_zone())
    figure = incidents.band_figure(chosen, _trend(chosen, window), axis, CHART_HEIGHT)
    st.plotly_chart(figure, config=CONFIG, key="band", alt="The series, what was expected, and the band it has kept to")
    st.caption(f"Score {chosen.score:.2f} at its peak, by the views that contributed:")
    shares = incidents.contributions_figure(chosen.contributions)
    st.plotly_chart(shares, config=CONFIG, key="shares", alt="Signed share of the score by view")
    query = words.explore_params(chosen.key)
    st.page_link(shell.EXPLORE_PAGE, label="Explore this series", icon=":material/query_stats:", query_params=query)


def _trend(series: AffectedSeries, window: Window) -> Trend | None:
    if series.key.metric == names.MODEL_SCORE:
        return None
    labels = {**dict(series.key.labels), "source_agent_id": series.key.source_agent_id}
    labels["instance_id"] = series.key.instance_id
    try:
        return shell.current_reads().trend(series.key.metric, window, labels=labels, max_series=1)
    except UnknownMetric:
        return None


def _causes(causes: tuple[ProbableCause, ...]) -> None:
    if not causes:
        st.caption("No cause of the table fits. The related series below show what changed together.")
    for place, cause in enumerate(causes[:MOST_CAUSES]):
        label = f"{words.escaped(cause.title)} · {cause.confidence:.0%}"
        with st.expander(label, expanded=place == 0, icon=":material/lightbulb:"):
            evidence = "\n".join(f"- {words.escaped(says)}: {words.escaped(series)}" for says, series in cause.evidence)
            st.markdown(evidence)
            st.markdown("**What to do**\n" + "\n".join(f"1. {words.escaped(action)}" for action in cause.actions))
            runbooks.show(cause.runbook)


def _feedback(incident: IncidentInfo) -> None:
    said = {True: "It was marked as useful.", False: "It was marked as not useful.", None: "Nobody has marked it yet."}
    note = f" “{words.escaped(incident.note)}”" if incident.note else ""
    st.caption(said[incident.useful] + note)
    st.text_input("Note", key=f"note-{incident.incident_id}", placeholder="what it was, for those who come after")
    with st.container(horizontal=True, gap="small"):
        for label, icon, useful in (
            ("Useful", ":material/thumb_up:", True),
            ("Not useful", ":material/thumb_down:", False),
        ):
            chosen = incident.useful is useful
            if st.button(label, icon=icon, key=f"mark-{useful}", type="primary" if chosen else "secondary"):
                _mark(incident.incident_id, None if chosen else useful)


def _mark(incident_id: str, useful: bool | None) -> None:
    """Say so; what is chosen already is taken back."""
    body = {"useful": useful, "note": st.session_state.get(f"note-{incident_id}") or ""}
    gateway.change("POST", f"/api/v1/incidents/{incident_id}/feedback", body)


if __name__ == "__main__":
    render()
