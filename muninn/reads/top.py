"""Who is first: series or groups of a metric by one figure over a window.

Belongs here: the ranking. Does not: which rows are read (spans).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from muninn import names
from muninn.clock import MINUTE_US
from muninn.errors import Invalid
from muninn.model import Window
from muninn.reads import growth, spans
from muninn.reads.asking import Asker
from muninn.reads.points import Floats, Merged, Sketches
from muninn.reads.rankings import FIGURES, Figure, Ranked, Top
from muninn.reads.series import MAX_MERGED, Wanted, choose_points, grouped_by
from muninn.reads.steps import Kept

MAX_TOP = 1000


@dataclass(frozen=True)
class Question:
    """See Reads.top."""

    metric: str
    window: Window
    figure: str
    limit: int
    labels: Mapping[str, str] | None
    by: str | None
    least: bool


def figure_of(name: str) -> Figure:
    """The figure of this name; Invalid names `figure`."""
    if name not in FIGURES:
        raise Invalid(f"figure: {name!r} is none of {', '.join(FIGURES)}", "figure")
    return name  # type: ignore[return-value]


def top(ask: Asker, question: Question, now_us: int, kept: Kept) -> Top:
    """Answer it; UnknownMetric, Invalid, Unavailable. The window is whole minutes."""
    figure = figure_of(question.figure)
    if not 1 <= question.limit <= MAX_TOP:
        raise Invalid(f"limit: must be from 1 to {MAX_TOP}", "limit")
    window = question.window.aligned(MINUTE_US)
    bounds = (window.since_us, window.until_us)
    planned = spans.plan(bounds, now_us, kept)
    sketches: Sketches = "all" if figure == "p95" else "none"
    most = spans.most_series(planned, bounds) if figure == "p95" else MAX_MERGED
    wanted = Wanted((question.metric,), question.labels, window, MAX_MERGED, MAX_MERGED)
    every, found = choose_points(ask, wanted, spans.pieces(planned, bounds), sketches, most)
    chosen = every[question.metric]
    spans.check_size(len(chosen.keys), planned, bounds, sketches)
    groups = grouped_by(chosen, question.metric, question.by)
    merged = spans.merged(found, groups.of, bounds)
    if figure == "rate":
        value = growth.rates(ask, groups.of, bounds, now_us, kept, len(groups.keys))[merged.group, 0]
    else:
        value = _figure(merged, figure)
    # Of distributions alone there is no growth: they come last, and are left out.
    order = np.argsort(value if question.least else -value, kind="stable")[: question.limit]
    order = order[np.isfinite(value[order])]
    mean, unit = merged.mean, names.describe(question.metric).unit
    return Top(
        metric=question.metric,
        unit=f"{unit}/s" if figure == "rate" else "" if figure == "count" else unit,
        figure=figure,
        since_ms=window.since_us // 1000,
        until_ms=window.until_us // 1000,
        ranked=tuple(
            Ranked(
                key=groups.keys[int(merged.group[place])],
                value=float(value[place]),
                avg=float(mean[place]),
                min=float(merged.low[place]),
                max=float(merged.high[place]),
                p95=float(merged.p95[place]) if figure == "p95" else None,
                count=int(merged.count[place]),
            )
            for place in order
        ),
        of=len(merged.group),
    )


def _figure(merged: Merged, figure: Figure) -> Floats:
    columns = {"avg": merged.mean, "min": merged.low, "max": merged.high, "p95": merged.p95, "sum": merged.total}
    return columns[figure] if figure in columns else merged.count.astype(np.float64)
