"""States and changes in words, with the sign and the colour that go with them.

Belongs here: values -> sentences. Does not: numbers as text (formats), Streamlit.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from muninn.model import SeriesKey
from muninn.reads import Change, MetricInfo, PartHealth
from streamlit_app.widgets import formats

Color = Literal["green", "orange", "red", "gray", "blue"]


@dataclass(frozen=True)
class Look:
    """How a state is shown: never by colour alone."""

    text: str
    icon: str
    color: Color


STATES = {
    "ok": Look("All well", ":material/check_circle:", "green"),
    "degraded": Look("Degraded", ":material/warning:", "orange"),
    "down": Look("Down", ":material/error:", "red"),
}
# Dagster's own words, as the table of runs shows them.
RUN_COLORS: dict[str, Color] = {
    "Success": "green",
    "Failure": "red",
    "Started": "blue",
    "Starting": "blue",
    "Queued": "gray",
    "Not started": "gray",
    "Canceling": "gray",
    "Canceled": "gray",
    "Managed": "gray",
}
# A mark of Markdown in a name (a label's value may hold any) would be drawn as formatting.
_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+!|$~:])")


def escaped(text: str) -> str:
    """The text so that Markdown shows it as it is."""
    return _MARKS.sub(r"\\\1", text)


# What to do about a part that is not well; any other part is a program.
_ADVICE = {
    "store": "See that PostgreSQL runs and, where nothing new comes, that something sends.",
    "buffer": "See that the loaders run; if they do, run more of them: MUNINN_LOADER_COUNT.",
    "rollups": "The refresher catches up by itself once it runs; its log says what holds it.",
    "cache": "See that Valkey runs; samples cannot be taken in without it.",
}
_PROGRAM_ADVICE = "`muninn up` starts it again by itself; if it does not stay, `muninn status` says where its log is."


def trouble_text(parts: Sequence[PartHealth]) -> str:
    """The parts that are not ok with their reasons, then what to do about them, as Markdown; "" when all are ok."""
    troubled = [part for part in parts if part.state != "ok"]
    lines = [f"- **{escaped(part.part)}** is {part.state}: {escaped(_reasons(part))}" for part in troubled]
    advice = dict.fromkeys(_ADVICE.get(part.part, _PROGRAM_ADVICE) for part in troubled)
    return "\n".join([*lines, "", *(f"- {text}" for text in advice)]) if troubled else ""


def _reasons(part: PartHealth) -> str:
    return " ".join(_sentence(reason) for reason in part.reasons) or "No reason is known."


def metric_text(info: MetricInfo) -> str:
    """What a metric is, in one line of Markdown: meaning, kind, unit, how many series."""
    unit = f" in {info.unit}" if info.unit else ""
    series = f"{formats.count(info.series_count)} series"
    return "; ".join(filter(None, (info.help, f"{info.kind}{unit}, {series}")))


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def change_delta(change: Change) -> str:
    """The change as a text, `+41 %`, `×3.2`; the signed difference where it began at zero."""
    if change.change_pct is None:
        sign = "+" if change.now >= change.before else "-"
        return sign + formats.quantity(abs(change.now - change.before), change.unit)
    return formats.percent_change(change.before, change.now)


def explore_params(key: SeriesKey) -> dict[str, str]:
    """The query parameters under which Explore shows this series."""
    return {"metric": key.metric, **{f"label.{name}": value for name, value in key.labels}}
