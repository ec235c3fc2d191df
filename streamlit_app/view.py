"""What Explore shows: the view as a value, and its controls, all of which live in the page's address.

Belongs here: controls -> View, and back from the address. Does not: reading samples, drawing them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import islice, product
from math import prod
from zoneinfo import available_timezones

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from muninn.clock import DAY_US, HOUR_US, MINUTE_US
from muninn.errors import Invalid
from muninn.model import Window
from muninn.model.window import as_us
from muninn.reads import MetricInfo
from streamlit_app import shell
from streamlit_app.widgets import formats, tables, words
from streamlit_app.widgets.lines import AGGREGATES, Aggregate
from streamlit_app.widgets.panels import BY_METRIC, BY_UNIT

CUSTOM = "custom"
RANGES = {
    "15m": 15 * MINUTE_US,
    "1h": HOUR_US,
    "6h": 6 * HOUR_US,
    "24h": DAY_US,
    "7d": 7 * DAY_US,
    "30d": 30 * DAY_US,
}
# What a first visit shows: something that every host sends.
FIRST_CHOICE = ("cpu_busy_pct", "memory_used_pct", "load_1m")
MAX_METRICS = 8
# A metric is asked once for each combination of chosen label values.
MAX_QUESTIONS = 24
# What the course is drawn beside, by how long before.
COMPARISONS = {"nothing": None, "a day before": DAY_US, "a week before": 7 * DAY_US}
BY_RANGE = "by range"
STEPS = {BY_RANGE: None, "days": "day", "weeks": "week", "months": "month"}
LABEL = "label."
MINUTE_S = 60
_LAST_US = as_us(datetime(9000, 1, 1, tzinfo=UTC))
BROWSER = "all-metrics"


@dataclass(frozen=True)
class View:
    """What to show: metrics, filters (label name -> accepted values), span, and how.

    range_us: the span that ends now; None where `window` is fixed.
    offset_us: how long before the same is drawn beside it, or None. period: local "day", "week" or "month" as steps,
    or None, where the range chooses the step.
    """

    metrics: tuple[MetricInfo, ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    range_us: int | None
    window: Window | None
    tz: tzinfo
    aggregate: Aggregate
    by: str
    band: bool
    follow: bool
    offset_us: int | None = None
    period: str | None = None

    def window_at(self, now_us: int) -> Window:
        """The span to show now."""
        return self.window or Window(now_us - (self.range_us or HOUR_US), now_us)

    def questions(self, metric: MetricInfo) -> list[dict[str, str]]:
        """The exact labels to ask this metric for, one after the other; a filter on a label it lacks is left out."""
        asked = self._asked(metric)
        combinations = product(*(values for _, values in asked))
        return [
            dict(zip([name for name, _ in asked], chosen, strict=True))
            for chosen in islice(combinations, MAX_QUESTIONS)
        ]

    def unasked(self, metric: MetricInfo) -> int:
        """How many combinations of chosen values are not asked for, because they are too many."""
        return max(0, prod(len(values) for _, values in self._asked(metric)) - MAX_QUESTIONS)

    def _asked(self, metric: MetricInfo) -> list[tuple[str, tuple[str, ...]]]:
        return [(name, values) for name, values in self.filters if name in metric.label_names and values]


def controls(catalogue: Sequence[MetricInfo], head: DeltaGenerator) -> View | None:
    """Draw the controls and return what they say; None while no metric is picked or the span is not one.

    The switches stand in `head`, the row of the page's title.
    """
    with head:
        with st.popover("All metrics", icon=":material/list_alt:"):
            _browse(catalogue)
        st.space("stretch")
        follow = st.toggle("Follow", key="follow", bind="query-params", help="Draw anew every few seconds, up to now.")
        band = st.toggle("Min to max", key="band", bind="query-params", help="A band from the least to the greatest.")
    with st.container(border=True, gap="small"):
        metrics = _metrics(catalogue)
        with st.container(horizontal=True, gap="small", vertical_alignment="top"):
            chosen_range = _range()
            aggregate = _aggregate()
            by = _by(metrics)
            offset_us = _comparison()
            period = _steps()
            tz = _zone()
        window = _custom_window(tz) if chosen_range == CUSTOM else None
        filters = _filters(metrics) if metrics else ()
    if chosen_range != CUSTOM:
        for name in ("since", "until"):
            st.query_params.pop(name, None)
    if not metrics or (chosen_range == CUSTOM and window is None):
        return None
    following = follow and window is None
    range_us = RANGES.get(chosen_range)
    return View(metrics, filters, range_us, window, tz, aggregate, by, band, following, offset_us, period)


def _metrics(catalogue: Sequence[MetricInfo]) -> tuple[MetricInfo, ...]:
    by_name = {info.metric_name: info for info in catalogue}
    first = next((name for name in FIRST_CHOICE if name in by_name), next(iter(by_name)))
    names = st.multiselect(
        "Metrics",
        list(by_name),
        default=[first],
        max_selections=MAX_METRICS,
        placeholder="Type a part of a name",
        key="metric",
        bind="query-params",
    )
    chosen = tuple(by_name[name] for name in names)
    for info in chosen:
        st.caption(f"`{info.metric_name}`: {words.metric_text(info)}", wrap=False)
    return chosen


def _browse(catalogue: Sequence[MetricInfo]) -> None:
    """Every metric with its unit and meaning; ticking rows picks them."""
    names = [info.metric_name for info in catalogue]

    def pick() -> None:
        rows = st.session_state[BROWSER]["selection"]["rows"]
        st.session_state["metric"] = [names[row] for row in rows[:MAX_METRICS]]

    st.caption(f"Tick up to {MAX_METRICS}; the magnifier of the table searches names and meanings.")
    st.dataframe(
        tables.metrics(catalogue, shell.now_us()),
        hide_index=True,
        height=380,
        width=820,
        key=BROWSER,
        on_select=pick,
        selection_mode="multi-row",
    )


def _range() -> str:
    chosen = st.segmented_control(
        "Range",
        [*RANGES, CUSTOM],
        default="1h",
        required=True,
        key="range",
        bind="query-params",
    )
    return str(chosen)


def _comparison() -> int | None:
    chosen = st.selectbox(
        "Compare with",
        list(COMPARISONS),
        key="compare",
        bind="query-params",
        width=145,
        help="The same series some time before, dotted, on the same axis.",
    )
    return COMPARISONS[chosen]


def _steps() -> str | None:
    chosen = st.selectbox(
        "Steps",
        list(STEPS),
        key="steps",
        bind="query-params",
        width=110,
        help="Days, weeks and months are those of the time zone, exact also where its clock changes.",
    )
    return STEPS[chosen]


def _zone() -> tzinfo:
    own = getattr(shell.viewer_zone(), "key", "UTC")
    others = sorted(available_timezones() - {own, "UTC"})
    names = [own, *(["UTC"] if own != "UTC" else []), *others]
    chosen = st.selectbox("Time zone", names, key="tz", bind="query-params", width=150)
    return formats.zone(chosen)


def _custom_window(tz: tzinfo) -> Window | None:
    """A fixed span; in the address its ends are UTC, so that it is the same one in every time zone."""
    now_us = shell.now_us()
    with st.container(horizontal=True, gap="medium"):
        since = _end("From", "since", now_us - HOUR_US, tz)
        until = _end("Until", "until", now_us, tz)
    if since >= until:
        st.warning("The range must end after it begins.", icon=":material/error:")
        return None
    return Window(since, until)


def _end(label: str, name: str, otherwise_us: int, tz: tzinfo) -> int:
    at_us = _from_address(name, otherwise_us)
    zone_name = getattr(tz, "key", "UTC")
    shown = datetime.fromtimestamp(at_us // MINUTE_US * MINUTE_S, tz).replace(tzinfo=None)
    # A key of its own for each zone: another zone shows the same instant, not the same digits.
    chosen = st.datetime_input(label, shown, key=f"{name}@{zone_name}", step=MINUTE_S, format="YYYY-MM-DD", width=240)
    chosen_us = as_us(chosen.replace(tzinfo=tz))
    st.query_params[name] = datetime.fromtimestamp(chosen_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%MZ")
    return chosen_us


def _from_address(name: str, otherwise_us: int) -> int:
    try:
        at = datetime.fromisoformat(st.query_params[name])
        at_us = as_us(at if at.tzinfo else at.replace(tzinfo=UTC))
        # Nothing was measured before, and no clock of any zone can show the ends of the calendar.
        return at_us if 0 <= at_us < _LAST_US else otherwise_us
    except (KeyError, ValueError, OverflowError):
        return otherwise_us


def _aggregate() -> Aggregate:
    return st.segmented_control(
        "Aggregate",
        AGGREGATES,
        default="avg",
        required=True,
        key="agg",
        bind="query-params",
        help="Of the samples of each step. The average of a counter is its growth per second.",
    )


def _by(metrics: Sequence[MetricInfo]) -> str:
    labels = sorted({name for info in metrics for name in info.label_names})
    chosen = st.selectbox(
        "One chart per",
        [BY_UNIT, BY_METRIC, *labels],
        key="by",
        bind="query-params",
        width=130,
    )
    return str(chosen)


def _filters(metrics: Sequence[MetricInfo]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Accepted values by label; a label without a choice is not filtered by."""
    names = sorted({name for info in metrics for name in info.label_names})
    chosen = []
    with st.grid("auto", min_column_width=240, gap="small"):
        for name in names:
            values = st.multiselect(
                name,
                _values_of(metrics, name),
                placeholder=f"any {name}",
                key=f"{LABEL}{name}",
                bind="query-params",
                wrap=True,
            )
            chosen.append((name, tuple(values)))
    return tuple((name, values) for name, values in chosen if values)


def _values_of(metrics: Sequence[MetricInfo], name: str) -> list[str]:
    ask = shell.current_reads()
    found: set[str] = set()
    for info in metrics:
        if name in info.label_names:
            try:
                found.update(ask.label_values(info.metric_name, name))
            except Invalid:
                continue
    return sorted(found, key=_natural)


def _natural(text: str) -> tuple[int, float, str]:
    """Numbers in order of size, before words."""
    return (0, float(text), text) if text.isdecimal() else (1, 0.0, text)
