"""What a series is called beside others: only the parts that differ.

Belongs here: SeriesKey -> legend text. Does not: figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from muninn.model import SeriesKey

ABSENT = "–"
_METRIC, _AGENT, _INSTANCE = "metric", "source", "instance"


@dataclass(frozen=True)
class Legend:
    """`names[i]` is what series i is called; `title` names the parts that the names are made of."""

    title: str
    names: tuple[str, ...]


def legend(keys: Sequence[SeriesKey]) -> Legend:
    """Names that tell these series apart, by as few parts as are needed.

    Metric and labels that differ come first; source and instance only where those leave two series alike.
    One series, or none that differ, is called by its metric.
    """
    columns = [_METRIC, *sorted({name for key in keys for name, _ in key.labels})]
    parts = [part_of(key, columns) for key in keys]
    shown = [index for index in range(len(columns)) if len({row[index] for row in parts}) > 1]
    chosen = _without_echoes(parts, shown)
    rows = [[row[index] for index in chosen] for row in parts]
    titles = [columns[index] for index in chosen]
    for title, values in ((_AGENT, [k.source_agent_id for k in keys]), (_INSTANCE, [k.instance_id for k in keys])):
        if len(set(map(tuple, rows))) < len(keys) and len(set(values)) > 1:
            rows = [[*row, value or ABSENT] for row, value in zip(rows, values, strict=True)]
            titles.append(title)
    if not titles:
        return Legend("", tuple(key.metric for key in keys))
    return Legend(" · ".join(titles), tuple(" · ".join(row) for row in rows))


def part_of(key: SeriesKey, columns: Sequence[str]) -> list[str]:
    """The series' value in each column: its metric first, then its labels by name; `–` where it has none."""
    labels = dict(key.labels)
    return [key.metric if column == _METRIC else labels.get(column, ABSENT) for column in columns]


def _without_echoes(parts: Sequence[Sequence[str]], shown: Sequence[int]) -> list[int]:
    """`shown` without the columns that only repeat what another one says (cpu=0 beside core=0)."""
    kept: list[int] = []
    for index in shown:
        repeats = any([row[index] for row in parts] == [row[other] for row in parts] for other in kept)
        if not repeats:
            kept.append(index)
    return kept


def labels_text(labels: Sequence[tuple[str, str]]) -> str:
    """Labels in one line: `cpu=0, mode=user`; "" for none."""
    return ", ".join(f"{name}={value}" for name, value in labels)
