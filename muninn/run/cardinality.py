"""What `muninn cardinality` and `muninn door` print.

Belongs here: words and tables. Does not: the answer (reads.cardinality), rules (ingest.gate).
"""

from pathlib import Path

import orjson
from rich.table import Table

from muninn import reads
from muninn.errors import Invalid
from muninn.ingest.gate.rules import load
from muninn.model import SeriesKey
from muninn.reads.cardinality import Cardinality, Group
from muninn.run.paper import paper
from muninn.settings import Settings


def show(settings: Settings, metric: str | None, limit: int, as_json: bool) -> None:
    """Print the answer."""
    with reads.connect(settings) as asked:
        found = asked.cardinality(metric, limit)
    if as_json:
        option = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
        print(orjson.dumps(found, option=option).decode())
        return
    console = paper()
    active = "" if found.active is None else f", {found.active:,} active within the hour"
    console.print(f"{found.series:,} series{active}; new: {found.new_hour:,} in an hour, {found.new_day:,} in a day")
    for title, groups in (("metric", found.metrics), ("source", found.sources)):
        console.print(_groups(title, groups))
    console.print(_labels(found, metric))
    if found.refused:
        console.print(_refused(found))


def check(path: Path) -> None:
    """Read the rules and say how many there are."""
    found = load(path)
    print(f"{path}: {len(found.rules)} rules and {len(found.limits)} limits are good.")


def try_out(path: Path, metric: str, labels: list[str], source: str) -> None:
    """Print what becomes of one series."""
    pairs = dict(_pair(text) for text in labels)
    key = SeriesKey.of(metric, pairs, source)
    found, rule = load(path).apply(key)
    print(f"left out by {rule!r}" if found is None else _shown(found))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Invalid(f"{text!r} is not name=value")
    return name, value


def _shown(key: SeriesKey) -> str:
    labels = ", ".join(f'{name}="{value}"' for name, value in key.labels)
    return f"{key.metric}{{{labels}}}" + (f" of {key.source_agent_id}" if key.source_agent_id else "")


def _groups(title: str, groups: tuple[Group, ...]) -> Table:
    table = Table(title, "series", "new in an hour", "new in a day")
    for group in groups:
        table.add_row(group.name or "(none)", *(f"{n:,}" for n in (group.series, group.new_hour, group.new_day)))
    return table


def _labels(found: Cardinality, metric: str | None) -> Table:
    of = f"label of {metric}" if metric else "label"
    table = Table(of, "distinct values", "series", "most in", caption=f"of the {found.sampled:,} youngest series")
    for label in found.labels:
        most = f"{label.metric_name} ({label.in_metric:,})"
        table.add_row(label.name, f"{label.distinct_values:,}", f"{label.series:,}", most)
    return table


def _refused(found: Cardinality) -> Table:
    table = Table("limit", "of", "label to blame", "refused")
    for each in found.refused:
        table.add_row(each.limit, each.subject or "(none)", each.label or "-", f"{each.times:,}")
    return table
