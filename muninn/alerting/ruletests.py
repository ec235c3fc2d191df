"""Unit tests of rules, in files: series given in short, alerts expected at instants.

Belongs here: the file's shape, running a test, what differs. Does not: finding files, printing.

    tests:
      - name: a short peak is no alert
        interval: 10s
        input:
          - {series: 'cpu_busy_pct{host="a",cpu="total"}', values: "50x30 97x6 50x30"}
        expect:
          - {at: 6m, alerts: []}
          - {at: 20m, alerts: [{rule: host_cpu_saturated, severity: warning, labels: {host: a}}]}
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from muninn.alerting.alert import Alert
from muninn.alerting.replay import Replay
from muninn.alerting.rolled import Rolled
from muninn.alerting.rules import Part, Rule
from muninn.alerting.spans import Seconds, text
from muninn.alerting.standing import Standing
from muninn.clock import SECOND_US
from muninn.errors import Invalid
from muninn.model import SampleBatch, SeriesKey
from muninn.model.scores import ScoreBatch

# A Wednesday, 12:00 UTC.
START_US = 1_700_049_600 * SECOND_US
_SERIES = re.compile(r"([A-Za-z_][\w:.]*)\s*(?:\{(.*)\})?")
_LABEL = re.compile(r'\s*([A-Za-z_][\w.]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_VALUES = re.compile(r"(_|[+-]?[\d.]+(?:e[+-]?\d+)?)(?:([+-][\d.]+))?(?:x(\d+))?")


class Input(Part):
    """A series and its values, one an interval: "50x30" thirty times, "0+5x10" rising, "_x6" none.

    Of kind score: what the detector says of it. Of kind incident: of one with this head, its score while it is open.
    """

    series: str
    values: str
    kind: Literal["sample", "score", "incident"] = "sample"


class Wanted(Part):
    """An alert that is open at the instant; labels that are not named may be anything."""

    rule: str
    severity: str | None = None
    state: Literal["pending", "firing"] = "firing"
    labels: dict[str, str] = Field(default_factory=dict)


class Expectation(Part):
    """What is open `at` an instant after the start: exactly these (pending ones only where one is asked for)."""

    at_s: Seconds = Field(alias="at")
    alerts: tuple[Wanted, ...]


class RuleTest(Part):
    """One test. rules: only these take part; empty: all."""

    name: str
    interval_s: Seconds = Field(10.0, alias="interval", gt=0)
    evaluate_s: Seconds = Field(5.0, alias="evaluate", gt=0)
    rules: tuple[str, ...] = ()
    input: tuple[Input, ...]
    expect: tuple[Expectation, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Verdict:
    """How a test went: what differs, in sentences."""

    name: str
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether all was as expected."""
        return not self.differences


def run(test: RuleTest, rules: Sequence[Rule]) -> Verdict:
    """Run one test against rules."""
    chosen = [rule for rule in rules if not test.rules or rule.name in test.rules]
    unknown = sorted(set(test.rules) - {rule.name for rule in chosen})
    if unknown:
        return Verdict(test.name, (f"there is no rule {', '.join(unknown)}",))
    samples, scores = _samples(test), list(_scores(test))
    begins_us = START_US - round(test.evaluate_s * SECOND_US)
    replay = Replay(chosen, begins_us, test.evaluate_s, Rolled(samples, chosen).at, _incidents(test))
    differences: list[str] = []
    for expectation in sorted(test.expect, key=lambda each: each.at_s):
        until_us = START_US + round(expectation.at_s * SECOND_US)
        fresh = (samples.at_us > replay.now_us) & (samples.at_us <= until_us)
        due = [score for score in scores if replay.now_us < score.until_us <= until_us]
        replay.advance(samples.take(fresh), until_us, due)
        differences += _compare(expectation, replay.engine.alerts())
    return Verdict(test.name, tuple(differences))


def parse_series(given: str) -> SeriesKey:
    """`metric{label="value"}`; source_agent_id and instance_id may stand among the labels."""
    match = _SERIES.fullmatch(given.strip())
    if match is None:
        raise Invalid(f'{given!r} is no series; write metric{{label="value"}}', "series")
    labels, rest = {}, match[2] or ""
    while rest.strip():
        label = _LABEL.match(rest)
        if label is None:
            raise Invalid(f"{given!r}: {rest!r} is no label", "series")
        labels[label[1]] = label[2].replace('\\"', '"').replace("\\\\", "\\")
        rest = rest[label.end() :]
    return SeriesKey.of(match[1], labels, labels.pop("source_agent_id", ""), labels.pop("instance_id", ""))


def parse_values(given: str) -> list[float | None]:
    """ "1 2x3 0+10x5 _x2": single values, repeated, rising (the first counts too), none."""
    found: list[float | None] = []
    for word in given.split():
        match = _VALUES.fullmatch(word)
        if match is None:
            raise Invalid(f"{word!r} is no value; write 5, 5x10, 0+2x10 or _x3", "values")
        times = int(match[3] or 1)
        if match[1] == "_":
            found += [None] * times
        else:
            found += [float(match[1]) + number * float(match[2] or 0) for number in range(times)]
    return found


def _rows(test: RuleTest, kind: str) -> Iterator[tuple[SeriesKey, int, float]]:
    for given in test.input:
        if given.kind == kind:
            key = parse_series(given.series)
            for number, value in enumerate(parse_values(given.values)):
                if value is not None:
                    yield key, START_US + round(number * test.interval_s * SECOND_US), value


def _incidents(test: RuleTest) -> list[Standing]:
    """Each from its first value to the interval after its last."""
    found = []
    for number, given in enumerate(each for each in test.input if each.kind == "incident"):
        at = [(place, value) for place, value in enumerate(parse_values(given.values)) if value is not None]
        if at:
            opens_us, ends_us = (
                START_US + round(place * test.interval_s * SECOND_US) for place in (at[0][0], at[-1][0] + 1)
            )
            head, score = parse_series(given.series), max(value for _, value in at)
            title = f"{head.metric} is not as expected"
            found.append(Standing(f"incident-{number}", opens_us, ends_us, title, score, 1, head, (head,)))
    return sorted(found, key=lambda each: each.opened_us)


def _samples(test: RuleTest) -> SampleBatch:
    return SampleBatch.of(list(_rows(test, "sample")))


def _scores(test: RuleTest) -> Iterator[ScoreBatch]:
    """One batch an instant; without any, the detector has said nothing."""
    rows = list(_rows(test, "score"))
    for at_us in sorted({at_us for _, at_us, _ in rows}):
        batch = SampleBatch.of([row for row in rows if row[1] == at_us])
        blank, none = np.zeros(len(batch)), np.zeros((len(batch), 0))
        yield ScoreBatch(
            at_us, batch.at_us, batch.key_index, tuple(batch.keys), batch.value, blank, blank, blank, blank,
            blank, blank > 0, none, (),
        )  # fmt: skip


def _compare(expectation: Expectation, alerts: Sequence[Alert]) -> Iterator[str]:
    at = f"at {text(expectation.at_s)}"
    with_pending = any(wanted.state == "pending" for wanted in expectation.alerts)
    left = [alert for alert in alerts if alert.state == "firing" or with_pending]
    for wanted in expectation.alerts:
        found = next((alert for alert in left if _fits(wanted, alert)), None)
        if found is None:
            what = " ".join(filter(None, (wanted.rule, wanted.severity, wanted.state, str(wanted.labels or ""))))
            yield f"{at}: expected and not there: {what}"
        else:
            left.remove(found)
    for alert in left:
        yield f"{at}: not expected: {alert.rule} {alert.severity} {alert.state} {dict(alert.labels)}"


def _fits(wanted: Wanted, alert: Alert) -> bool:
    return (
        (wanted.rule, wanted.state) == (alert.rule, alert.state)
        and wanted.severity in (None, alert.severity)
        and wanted.labels.items() <= alert.all_labels.items()
    )
