"""Alerts as texts, tables and figures. Pure.

Belongs here: values -> what is shown. Does not: reading, Streamlit.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from html import escape
from typing import Any

import plotly.graph_objects as go
import polars as pl

from muninn.alerting.matchers import Matchers
from muninn.alerting.noise import Record
from muninn.alerting.silence import Silence
from muninn.errors import Invalid
from muninn.model import Window
from muninn.reads.alerts import AlertRow, NotificationRow
from streamlit_app.widgets import formats
from streamlit_app.widgets.bars import Bar, bars_figure
from streamlit_app.widgets.charts import TimeAxis
from streamlit_app.widgets.words import Look

SEVERITIES = {
    "critical": Look("critical", ":material/error:", "red"),
    "warning": Look("warning", ":material/warning:", "orange"),
    "info": Look("info", ":material/info:", "blue"),
}
COLOURS = {"critical": "#d9485f", "warning": "#e08a2c", "info": "#4a86d8"}
# Rows of the history and of the notify log at once.
PAGE, LOG_PAGE = 1_000, 200
_OWN = ("rule", "severity", "metric")
# Between commas, except those within double quotes.
_PARTS = re.compile(r'(?:"[^"]*"|[^,"])+')
_QUOTED = re.compile(r'^[\s~"]|,|\s$')
_OPS = ("=~", "!~", "!=", "=")
_MATCHER = re.compile(r"([^=!~\"]*[^=!~\"\s])\s*(=~|!~|!=|=)\s*(.*)", re.DOTALL)


def labels_text(alert: AlertRow) -> str:
    """The labels that tell it from others, `host=a, disk=sda`."""
    return ", ".join(f"{name}={value}" for name, value in sorted(alert.labels.items()) if name not in _OWN and value)


def since_text(alert: AlertRow, now_us: int) -> str:
    """For how long it has fired or been pending, or lasted."""
    begin_ms = alert.fired_ms or alert.started_ms
    end_ms = alert.resolved_ms or now_us // 1000
    return formats.duration(max(0, end_ms - begin_ms) / 1000)


def explore_query(alert: AlertRow) -> dict[str, str]:
    """What Explore shows of the alert's series; {} where it is not of one metric."""
    metric = alert.labels.get("metric")
    if not metric or alert.origin != "rule":
        return {}
    # Not those that the rule adds: no series has them.
    labels = {f"label.{name}": value for name, value in alert.series_labels.items() if name not in _OWN and value}
    return {"metric": metric, **labels}


def history_table(found: Sequence[AlertRow], tz: tzinfo, now_us: int) -> pl.DataFrame:
    """One row an alert, newest first."""
    return pl.DataFrame(
        {
            "Fired": [formats.clock_time((each.fired_ms or each.started_ms) * 1000, tz) for each in found],
            "Lasted": [since_text(each, now_us) + ("" if each.resolved_ms else ", still") for each in found],
            "Severity": [[each.severity] for each in found],
            "Rule": [each.rule for each in found],
            "Labels": [labels_text(each) for each in found],
            "What": [each.summary for each in found],
            "Useful": [{True: "yes", False: "no", None: ""}[each.useful] for each in found],
        },
        schema_overrides={"Severity": pl.List(pl.String)},
    )


def parse_match(text: str) -> dict[str, str | list[str]]:
    """What people type, `host=web1, rule=~disk_.*, team="a, b"`, as the API takes it; Invalid if it is none."""
    found: dict[str, list[str]] = {}
    for part in filter(None, (piece.strip() for piece in _PARTS.findall(text))):
        matcher = _MATCHER.fullmatch(part)
        if matcher is None:
            raise Invalid(f"{part!r} is no matcher: write label=value, label!=value, label=~pattern or label!~pattern")
        name, op, value = matcher.groups()
        value = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
        said = value if op == "=" and not value.startswith(_OPS) else f"{op}{value}"
        found.setdefault(name, []).append(said)
    return {name: said[0] if len(said) == 1 else said for name, said in found.items()}


def silence_table(found: Sequence[Silence], held: Mapping[str, int], tz: tzinfo, now_us: int) -> pl.DataFrame:
    """Silences that hold, will, or did. held: how many open alerts each holds back now, by its id."""
    return pl.DataFrame(
        {
            "Of": [str(each.matchers) for each in found],
            "State": [[_silence_state(each, now_us)] for each in found],
            "Holds back": [held.get(each.silence_id, 0) for each in found],
            "Until": [formats.clock_time(each.ends_us, tz) for each in found],
            "By": [each.created_by for each in found],
            "Why": [each.comment for each in found],
            "From": [formats.clock_time(each.starts_us, tz) for each in found],
        },
        schema_overrides={"State": pl.List(pl.String)},
    )


def _silence_state(silence: Silence, now_us: int) -> str:
    if silence.is_on(now_us):
        return "holds"
    return "to come" if silence.starts_us > now_us else "over"


def window_table(found: Sequence[Mapping[str, Any]], tz: tzinfo) -> pl.DataFrame:
    """Maintenance windows as the API tells of them."""
    return pl.DataFrame(
        {
            "Name": [each["name"] for each in found],
            "State": [_window_state(each, tz) for each in found],
            "Of": [str(Matchers.of(each.get("match", {}))) for each in found],
            "When": [_recurrence(each) for each in found],
            "By": [each.get("by") or each["source"] for each in found],
        }
    )


def _window_state(window: Mapping[str, Any], tz: tzinfo) -> str:
    for name, words in (("ends_at", "holds until"), ("begins_at", "from")):
        if window.get(name):
            at_us = round(datetime.fromisoformat(window[name]).timestamp() * 1e6)
            return f"{words} {formats.clock_time(at_us, tz)}"
    return str(window["state"])


def _recurrence(window: Mapping[str, Any]) -> str:
    """`every day 02:00 for 90m`, in the zone that it is in."""
    days = ", ".join(window.get("days") or []) or "every day"
    span = [f"{word} {window[name]}" for name, word in (("since", "from"), ("until", "until")) if window.get(name)]
    zone = window.get("timezone", "UTC")
    return " ".join([days, f"{window['at'][:5]} {zone} for {window['duration']}", *span])


def notification_table(found: Sequence[NotificationRow], tz: tzinfo) -> pl.DataFrame:
    """The notify log."""
    return pl.DataFrame(
        {
            "Decided": [formats.clock_time(each.created_ms * 1000, tz) for each in found],
            "Receiver": [each.receiver for each in found],
            "State": [[each.state] for each in found],
            "After": [
                formats.duration((each.sent_ms - each.created_ms) / 1000) if each.sent_ms else formats.NOTHING
                for each in found
            ],
            "Attempts": [each.attempts for each in found],
            "Why": [each.why for each in found],
            "Alerts": [each.alert_count for each in found],
            "First": [each.summary for each in found],
            "Last error": [each.last_error for each in found],
        },
        schema_overrides={"State": pl.List(pl.String)},
    )


def precision(found: Sequence[Record]) -> float | None:
    """Share of judged alerts that were useful; None where nobody judged any."""
    useful, judged = sum(each.useful for each in found), sum(each.useful + each.not_useful for each in found)
    return useful / judged if judged else None


def timeline_figure(found: Sequence[AlertRow], window: Window, tz: tzinfo) -> go.Figure:
    """A row a rule and labels (the busiest), a bar an alert from firing to end."""
    rows = Counter(_row_name(alert) for alert in found)
    order = sorted(found, key=lambda alert: (-rows[_row_name(alert)], _row_name(alert)))
    bars = [
        Bar(
            _row_name(alert), alert.fired_ms or alert.started_ms, alert.resolved_ms or window.until_us // 1000,
            alert.severity, _hint(alert, window, tz), alert.alert_id,
        )
        for alert in order
    ]  # fmt: skip
    return bars_figure(bars, TimeAxis(window, tz), COLOURS, "Rule and labels")


def tried_figure(fired: Sequence[Mapping[str, Any]], window: Window, tz: tzinfo) -> go.Figure:
    """What a rule would have fired, as the API tells it: a row for each set of labels, the busiest first."""
    named = [(words_of_labels(each["labels"]) or each["rule"], each) for each in fired]
    rows = Counter(name for name, _ in named)
    bars = [
        Bar(
            name, _ms(each["fired_at"]), _ms(each["resolved_at"]) if each["resolved_at"] else window.until_us // 1000,
            each["severity"],
            f"{escape(each['summary'])}<br>{formats.clock_time(_ms(each['fired_at']) * 1000, tz)}", each["id"],
        )
        for name, each in sorted(named, key=lambda one: (-rows[one[0]], one[0]))
    ]  # fmt: skip
    return bars_figure(bars, TimeAxis(window, tz), COLOURS, "Labels")


def words_of_labels(labels: Mapping[str, str]) -> str:
    """`host=web1, disk=sda`, without what the rule says of all its alerts."""
    own = ((name, value) for name, value in sorted(labels.items()) if name not in ("rule", "severity", "metric"))
    return ", ".join(f"{name}={value}" for name, value in own)


def _ms(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


def _hint(alert: AlertRow, window: Window, tz: tzinfo) -> str:
    begin = formats.clock_time((alert.fired_ms or alert.started_ms) * 1000, tz)
    lasted = since_text(alert, window.until_us) + ("" if alert.resolved_ms else " so far")
    return f"{escape(alert.summary)}<br>{begin}, {lasted}"


def _row_name(alert: AlertRow) -> str:
    labels = labels_text(alert)
    return f"{alert.rule} · {labels}" if labels else alert.rule


def filtered(found: Sequence[AlertRow], text: str) -> list[AlertRow]:
    """Those that match what people typed (see parse_match); Invalid where it is no matcher."""
    matchers = Matchers.of(parse_match(text))
    return [alert for alert in found if matchers.holds(alert.all_labels)]


def match_text(labels: Mapping[str, str]) -> str:
    """Labels as people type them, so that parse_match gives them back."""
    return ", ".join(
        f'{name}="{value}"' if _QUOTED.search(value) else f"{name}={value}" for name, value in labels.items()
    )


def silence_labels(alert: AlertRow) -> dict[str, str]:
    """What a silence of this alert alone matches: it holds also once the alert gets worse or better."""
    return {name: value for name, value in alert.all_labels.items() if value and name != "severity"}


def incident_of(alert: AlertRow) -> str:
    """The incident that it is, or belongs to; "" where it is of none."""
    return alert.labels.get("incident", "") if alert.origin == "rule" else ""


def known_lines(alert: AlertRow) -> list[str]:
    """What is known beyond the summary: its description, and what else came with an alert from outside."""
    shown = ("summary", "message", "description", "runbook_url")
    more = [f"{name}: {text}" for name, text in sorted(alert.annotations.items()) if name not in shown]
    return [*alert.description.splitlines(), *more]


def source_of(alert: AlertRow) -> str:
    """Where an alert from outside was made, to look at; "" where it is no web address."""
    return alert.source_url if alert.source_url.startswith(("http://", "https://")) else ""
