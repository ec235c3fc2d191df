"""The life of alerts is the same whether the alerter runs through or is killed at any step."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from muninn.alerting.alert import Alert
from muninn.alerting.book import rule_of
from muninn.alerting.engine import Engine
from muninn.clock import SECOND_US
from muninn.model import SampleBatch, SeriesKey

T0 = 1_700_000_000 * SECOND_US
STEP_US = 5 * SECOND_US
HOSTS = [SeriesKey.of("cpu_busy_pct", {"host": host}) for host in ("a", "b")]
FLAPPING = {"changes": 3, "within": "20m", "hold": "40s"}
WARN = {"severity": "warning", "above": 80, "recover": 60, "for": "15s"}
CRIT = {"severity": "critical", "above": 95, "recover": 85, "for": "10s"}
RULES: list[dict[str, Any]] = [
    {"name": "two_levels", "levels": [WARN, CRIT], "recover_for": "20s", "flapping": FLAPPING},
    {"name": "at_once", "levels": [{"severity": "warning", "above": 80}], "flapping": FLAPPING},
    {"name": "no_data", "levels": [WARN], "no_data": "alert", "no_data_after": "20s"},
    {"name": "no_data_ok", "levels": [WARN], "no_data": "ok", "no_data_after": "20s", "recover_for": "20s"},
    {"name": "given_up", "levels": [WARN], "no_data": "ignore", "no_data_after": "20s", "recover_for": "10m"},
]
BOOK = [rule_of({"metric": "cpu_busy_pct", "by": ["host"], "window": "10s", **rule}) for rule in RULES]


class Life:
    """An engine whose changes are kept as the store keeps them, so that another can go on with them."""

    def __init__(self) -> None:
        self.engine = Engine(BOOK, T0)
        self.samples: list[SampleBatch] = []
        self.kept: dict[str, Alert] = {}
        self.told: list[tuple[int, str, str, str]] = []

    def step(self, number: int, values: Sequence[float | None]) -> None:
        now_us = T0 + number * STEP_US
        rows = [(key, now_us, value) for key, value in zip(HOSTS, values, strict=True) if value is not None]
        if rows:
            self.samples.append(SampleBatch.of(rows))
            self.engine.take(self.samples[-1])
        for change in self.engine.evaluate(now_us):
            self.kept[change.alert.alert_id] = change.alert
            if change.what != "moved":
                self.told.append((number, change.what, change.alert.alert_id, change.alert.severity))

    def die(self) -> None:
        """A new engine goes on with what was kept."""
        self.engine = Engine(BOOK, T0)
        changes: dict[str, list[int]] = {}
        for alert in self.kept.values():
            if alert.fired_us is not None:
                instants = [at for at in (alert.fired_us, alert.resolved_us) if at is not None]
                changes.setdefault(alert.fingerprint, []).extend(instants)
        still = [alert for alert in self.kept.values() if alert.is_open]
        assert self.engine.restore(still, {key: sorted(at) for key, at in changes.items()}) == []
        self.engine.take(SampleBatch.concat(self.samples))


VALUES = st.sampled_from([50.0, 70.0, 83.0, 90.0, 99.0, None])
# Values that last: otherwise nothing is ever bad for long enough.
STRETCHES = st.lists(st.tuples(VALUES, VALUES, st.integers(1, 8)), min_size=3, max_size=14)


@settings(max_examples=settings.default.max_examples // 2)
@given(STRETCHES, st.sets(st.integers(1, 60), max_size=6))
def test_killed_at_any_step_it_goes_on_as_if_it_had_not_been(
    stretches: list[tuple[float | None, float | None, int]], deaths: set[int]
) -> None:
    through, killed = Life(), Life()
    values = [(a, b) for a, b, times in stretches for _ in range(times)]
    for number, pair in enumerate(values):
        if number in deaths and killed.samples:
            killed.die()
        through.step(number, pair)
        killed.step(number, pair)
    assert sorted(killed.told) == sorted(through.told)


def test_one_that_flapped_and_is_fine_when_it_is_killed_still_flaps_afterwards() -> None:
    through, killed = Life(), Life()
    for number, value in enumerate([99.0, 50.0, 50.0, 50.0] * 6):
        if number == 3:
            assert not [alert for alert in killed.engine.alerts() if alert.rule == "at_once"]
            killed.die()
        through.step(number, (value, None))
        killed.step(number, (value, None))
    assert sorted(killed.told) == sorted(through.told)
    assert any(alert.flapping for alert in killed.kept.values() if alert.rule == "at_once")
