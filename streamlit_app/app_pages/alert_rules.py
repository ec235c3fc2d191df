"""The view of rules on the Alerts page: what there is, how noisy each is, an editor with a test against history.

Belongs here: this view. Does not: the other views (alerts).
"""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

import polars as pl
import streamlit as st
import yaml

from muninn.alerting.book import from_yaml
from muninn.alerting.noise import Record
from muninn.errors import Invalid, MuninnError
from muninn.model import Window
from streamlit_app import gateway, shell
from streamlit_app.widgets import alerts, formats
from streamlit_app.widgets.charts import CONFIG
from streamlit_app.widgets.words import escaped

SPANS = ("1h", "6h", "24h", "7d", "30d")
NEW = "(a new rule)"
TEMPLATE = {
    "name": "my_rule",
    "kind": "threshold",
    "metric": "cpu_busy_pct",
    "match": {"cpu": "total"},
    "by": ["host"],
    "over": "mean",
    "window": "1m",
    "levels": [{"severity": "warning", "above": 80, "recover": 70, "for": "5m"}],
    "summary": "CPU of {{ host }} is {{ value }} busy",
}
STATE_COLOURS = {"firing": "red", "pending": "orange", "off": "gray"}
_DRAFT, _TRIED = "rule-draft", "rule-tried"
_EDITOR = "rule-text"


def render() -> None:
    """The view."""
    try:
        said = gateway.ask("GET", "/api/v1/alert-rules")
    except MuninnError as error:
        shell.say_trouble(error)
        shell.stop_and_try_again()
    for fault in said["faults"]:
        st.warning(
            ": ".join(escaped(fault[part]) for part in ("file", "entry", "field", "problem") if fault[part]),
            icon=":material/rule:",
        )
    rules = {each["rule"]["name"]: each for each in said["rules"]}
    with shell.panel("Rules", help="Records are of the last 30 days."):
        st.dataframe(
            _table(said["rules"], Counter((each.rule, each.state) for each in shell.current_reads().alerts())),
            hide_index=True,
            height=300,
            column_config={
                "Rule": st.column_config.TextColumn(width=210),
                "State": st.column_config.MultiselectColumn(
                    options=list(STATE_COLOURS), color=list(STATE_COLOURS.values()), width=95
                ),
                "Kind": st.column_config.TextColumn(width=85),
                "Metric": st.column_config.TextColumn(width=215),
                "Levels": st.column_config.TextColumn(width=235),
                "Fired": st.column_config.NumberColumn(width=60),
                "Useful": st.column_config.TextColumn(width=75),
                "From": st.column_config.TextColumn(width=135),
            },
        )
    _noisy(said["rules"])
    with shell.panel("Editor", help="What is saved here wins over a rule of the same name in a file."):
        _editor(rules)


def _table(rules: list[dict[str, Any]], open_now: Mapping[tuple[str, str], int]) -> pl.DataFrame:
    blank = Record("", 0, 0, 0, 0, 0, 0)
    records = [each["record"] or vars(blank) for each in rules]
    return pl.DataFrame(
        {
            "Rule": [each["rule"]["name"] for each in rules],
            "State": [_states(each["rule"], open_now) for each in rules],
            "Kind": [each["rule"].get("kind", "threshold") for each in rules],
            "Metric": [each["rule"].get("metric", "") for each in rules],
            "Levels": [_levels(each["rule"]) for each in rules],
            "Fired": [record["fired"] for record in records],
            "Useful": [_share(record) for record in records],
            "From": [each["source"] for each in rules],
        },
        schema_overrides={"State": pl.List(pl.String)},
    )


def _states(rule: dict[str, Any], open_now: Mapping[tuple[str, str], int]) -> list[str]:
    if not rule.get("enabled", True):
        return ["off"]
    return [state for state in ("firing", "pending") if open_now.get((rule["name"], state))]


def _levels(rule: dict[str, Any]) -> str:
    texts = []
    for level in rule["levels"]:
        sign, limit = next(
            (sign, level[key]) for key, sign in (("above", ">"), ("below", "<"), ("burn", "burns")) if key in level
        )
        texts.append(f"{level['severity']} {sign} {limit:g}")
    return ", ".join(texts)


def _share(record: dict[str, Any]) -> str:
    judged = record["useful"] + record["not_useful"]
    return f"{record['useful']} of {judged}" if judged else formats.NOTHING


def _noisy(rules: list[dict[str, Any]]) -> None:
    for each in rules:
        hint = each["suggestion"]
        if hint is None:
            continue
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            name = escaped(each["rule"]["name"])
            st.markdown(f":material/campaign: **{name}** is noisy: {escaped(hint['why'])}. {escaped(hint['change'])}?")
            if st.button("Try this change", key=f"hint-{each['rule']['name']}"):
                st.session_state[_DRAFT] = hint["rule"]
                st.session_state.pop(_EDITOR, None)
                _try(hint["rule"], "30d", each["rule"])


def _editor(rules: dict[str, dict[str, Any]]) -> None:
    chosen = st.selectbox("Rule", [NEW, *rules], key="rule-which", on_change=_forget_draft)
    start = st.session_state.get(_DRAFT) or (TEMPLATE if chosen == NEW else rules[chosen]["rule"])
    text = st.text_area(
        "YAML, as in a rules file",
        yaml.safe_dump(start, sort_keys=False, allow_unicode=True),
        height=330,
        key=_EDITOR,
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        span = st.selectbox("Over the last", SPANS, index=2, key="rule-span")
        test = st.button("Test against history", key="rule-test", icon=":material/history:")
        save = st.button("Save", key="rule-save", type="primary", icon=":material/save:")
        own = chosen != NEW and rules[chosen]["source"] == "API"
        delete = own and st.button("Delete", key="rule-delete", icon=":material/delete:")
    if test or save:
        rule = _parsed(text)
        if rule is not None and test:
            _try(rule, span, rules[chosen]["rule"] if chosen != NEW else None)
        elif rule is not None:
            _change("POST", "/api/v1/alert-rules", rule)
    if delete:
        _change("DELETE", f"/api/v1/alert-rules/{chosen}")
    if _TRIED in st.session_state:
        _tried(st.session_state[_TRIED])


def _forget_draft() -> None:
    for name in (_DRAFT, _TRIED, _EDITOR):
        st.session_state.pop(name, None)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = from_yaml(text)
    except Invalid as error:
        where = f"{error.parameter}: " if error.parameter else ""
        st.error(f"{where}{error}", icon=":material/error:")
        return None
    if isinstance(found, dict):
        try:
            json.dumps(found, allow_nan=False)
        except (TypeError, ValueError) as error:
            # YAML has dates and infinities, which no rule has, and JSON cannot say.
            st.error(f"Put dates and the like in quotes: {error}", icon=":material/error:")
            return None
        return found
    st.error("A rule is a mapping with name, metric and levels.", icon=":material/error:")
    return None


def _try(rule: dict[str, Any], span: str, as_it_is: dict[str, Any] | None = None) -> None:
    """Run it over the past; beside it the rule as it is, where that is another."""
    try:
        found = gateway.ask("POST", "/api/v1/alert-rules/test", {"rule": rule, "since": f"-{span}"})
        if as_it_is is not None and as_it_is != rule:
            before = gateway.ask("POST", "/api/v1/alert-rules/test", {"rule": as_it_is, "since": f"-{span}"})
            found["before"] = len(before["fired"])
    except MuninnError as error:
        st.session_state.pop(_TRIED, None)
        shell.say_trouble(error)
    else:
        st.session_state[_TRIED] = {**found, "span": span}


def _change(method: str, path: str, body: object = None) -> None:
    try:
        gateway.ask(method, path, body)
    except MuninnError as error:
        shell.say_trouble(error)
    else:
        _forget_draft()
        st.rerun()


def _times(number: int) -> str:
    return f"**{number}** time{'' if number == 1 else 's'}"


def _tried(found: dict[str, Any]) -> None:
    fired, zone = found["fired"], shell.viewer_zone()
    before = f" (as it is now: {_times(found['before'])})" if "before" in found else ""
    st.markdown(
        f"In the last {found['span']} **{escaped(found['rule'])}** would have fired {_times(len(fired))}{before}"
        f" and been only pending {_times(found['pending_only'])}, on {found['series']} series, by"
        f" {found['samples']:,} {'samples' if found['read_from'] == 'raw' else 'means of minutes'}."
    )
    if fired:
        window = Window(_instant_us(found["since"]), _instant_us(found["until"]))
        figure = alerts.tried_figure(fired, window, zone)
        st.plotly_chart(figure, config=CONFIG, key="tried", alt="What would have fired, over time")
    if fired:
        st.dataframe(
            pl.DataFrame(
                {
                    "Fired": [_time(each["fired_at"], zone) for each in fired],
                    "Over": [_time(each["resolved_at"], zone) if each["resolved_at"] else "still" for each in fired],
                    "Severity": [[each["severity"]] for each in fired],
                    "What": [each["summary"] for each in fired],
                },
                schema_overrides={"Severity": pl.List(pl.String)},
            ),
            hide_index=True,
            height=320 if len(fired) > 8 else "auto",
            column_config={
                "Severity": st.column_config.MultiselectColumn(
                    options=["critical", "warning", "info"], color=["red", "orange", "blue"], width=90
                ),
                "What": st.column_config.TextColumn(width=560),
            },
        )


def _time(text: str, zone: tzinfo) -> str:
    return formats.clock_time(_instant_us(text), zone)


def _instant_us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1e6)
