"""The Cardinality page's tables.

Belongs here: values -> polars frames. Does not: reading, Streamlit.
"""

from collections.abc import Sequence

import polars as pl

from muninn.reads.cardinality import Group, LabelValues, Refused

NONE = "(none)"


def groups(found: Sequence[Group], title: str) -> pl.DataFrame:
    """Metrics or sources."""
    return pl.DataFrame(
        {
            title: [group.name or NONE for group in found],
            "Series": [group.series for group in found],
            "New, 1 h": [group.new_hour for group in found],
            "New, 24 h": [group.new_day for group in found],
        }
    )


def labels(found: Sequence[LabelValues]) -> pl.DataFrame:
    """Labels with their distinct values."""
    return pl.DataFrame(
        {
            "Label": [label.name for label in found],
            "Distinct values": [label.distinct_values for label in found],
            "Series that have it": [label.series for label in found],
            "Most values in": [label.metric_name for label in found],
            "Values there": [label.in_metric for label in found],
        }
    )


def refused(found: Sequence[Refused]) -> pl.DataFrame:
    """What was refused, by limit."""
    return pl.DataFrame(
        {
            "Limit": [each.limit for each in found],
            "Of": [each.subject or NONE for each in found],
            "Label to blame": [each.label or "-" for each in found],
            "Times refused": [each.times for each in found],
        }
    )
