"""Texts of alerts: figures with their units, labels, and nothing that a label could smuggle in."""

import math
from typing import Any

import pytest

from muninn.alerting.book import rule_of
from muninn.alerting.templates import fill

RULE = {"name": "disk_full", "metric": "filesystem_used_pct", "levels": [{"severity": "warning", "above": 90}]}


def filled(template: str, labels: dict[str, str] | None = None, **given: Any) -> str:
    told = {"value": 97.531, "limit": 90.0, "severity": "warning", "labels": labels or {}, **given}
    return fill(template, rule_of({**RULE, "runbook": "docs/disk.md"}), told)


def test_figures_have_their_unit_and_three_digits() -> None:
    assert filled("{{ value }} of {{limit}}") == "97.5% of 90%"
    assert filled("{{ value }}", value=12_345.6) == "12,346%"
    assert filled("{{ value }}", value=math.nan) == filled("{{ value }}", value=None) == "unknown"


def test_labels_by_name_with_or_without_their_prefix_and_all_of_them() -> None:
    labels = {"host": "web1", "mount": "/", "metric": "filesystem_used_pct"}
    assert filled("{{ host }}{{ labels.mount }} ({{ labels }})", labels) == "web1/ (host=web1, mount=/)"
    assert filled("{{ labels }}") == "everything"
    assert filled("{{ rule }} {{ severity }} {{ metric }} {{ runbook }}") == (
        "disk_full warning filesystem_used_pct docs/disk.md"
    )


def test_what_nobody_knows_is_nothing_and_braces_alone_are_text() -> None:
    assert filled("[{{ no.such }}] {{ }} {value} {{ a b }}") == "[] {{ }} {value} {{ a b }}"


@pytest.mark.parametrize("value", ["{{ rule }}", "{% for x in y %}", "x" * 10_000])
def test_a_label_is_text_and_is_not_endless(value: str) -> None:
    assert filled("{{ host }}", {"host": value}) == value[:200]
