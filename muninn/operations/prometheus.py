"""Heartbeats as Prometheus text (exposition format 0.0.4). Pure.

Belongs here: the format. Does not: where heartbeats come from, HTTP.
"""

import math
from collections.abc import Iterable

from muninn.cache.board import BoardEntry
from muninn.names import describe

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(entries: Iterable[BoardEntry]) -> str:
    """Every program's figures, grouped by metric, with the labels `program` and `instance`."""
    lines: dict[str, list[str]] = {}
    for entry in entries:
        mine = {"program": entry.program, "instance": entry.instance}
        for name, labels, value in entry.metrics:
            lines.setdefault(name, []).append(f"{name}{_labels({**labels, **mine})} {_number(value)}")
    return "".join(_family(name, samples) for name, samples in sorted(lines.items()))


def _family(name: str, samples: list[str]) -> str:
    known = describe(name)
    help_line = f"# HELP {name} {_escaped(known.help)}\n" if known.help else ""
    return f"{help_line}# TYPE {name} {known.kind}\n" + "".join(f"{sample}\n" for sample in samples)


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in sorted(labels.items())) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
