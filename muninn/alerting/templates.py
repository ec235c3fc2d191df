"""Texts with places for figures: {{ host }}, {{ value }}, {{ limit }}, {{ severity }}, {{ labels }}, {{ rule }}.

Belongs here: filling them in. Does not: anything that could run code.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from muninn.alerting.rules import PLACE, Rule
from muninn.names import describe

_LONG = 200


def fill(template: str, rule: Rule, told: Mapping[str, Any]) -> str:
    """The template with the alert's figures and labels; a name that nobody knows becomes nothing."""
    labels: Mapping[str, str] = told["labels"]

    def found(match: "re.Match[str]") -> str:
        name = match[1].removeprefix("labels.")
        if name in ("value", "limit"):
            return figure(told[name], unit_of(rule))
        own = {"rule": rule.name, "severity": str(told["severity"]), "metric": rule.metric, "runbook": rule.runbook}
        own["title"] = str(told.get("title", ""))
        if name == "labels":
            return labels_text(labels) or "everything"
        return str(labels.get(name, own.get(name, "")))[:_LONG]

    return PLACE.sub(found, template)


def unit_of(rule: Rule) -> str:
    """The unit of a rule's figure."""
    if rule.kind in ("anomaly", "slo", "incident"):
        return ""
    if rule.kind == "absence":
        return "s"
    if rule.kind == "regression" and rule.baseline.unit == "percent":
        return "%"
    unit = "" if rule.over == "count" else describe(rule.metric).unit
    return f"{unit}/s" if rule.kind == "rate" and not unit.endswith("/s") else unit


def figure(value: float | None, unit: str = "") -> str:
    """A figure for people: three significant digits and its unit."""
    if value is None or math.isnan(value):
        return "unknown"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text}{'' if unit in ('%', '') else ' '}{unit}"


def labels_text(labels: Mapping[str, str]) -> str:
    """`host=a, disk=sda`."""
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "metric")
