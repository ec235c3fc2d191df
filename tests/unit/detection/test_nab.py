"""The streaming detector of one series: instants as they come, one alert a fault, the same scores as the engine."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from made_series import instants, made, watch

from muninn.detection import ANOMALY
from muninn.detection.nab import HOLD_ROWS, TUNING, Detector
from muninn.errors import Invalid

ROWS = 400


def test_scores_are_the_engines_but_for_the_hold() -> None:
    value, detector = made("daily", ROWS, 1), Detector(hold_rows=0)
    value[300] = 500
    scores = [detector.update(at.astype("datetime64[us]"), v) for at, v in zip(instants(ROWS), value, strict=True)]
    assert np.abs(np.array(scores) - watch(value, tuning=TUNING).score).max() < 1e-9
    assert scores[300] > ANOMALY


def test_a_fault_is_one_alert() -> None:
    value, detector = made("normal", ROWS, 2), Detector()
    value[300:360] = 500
    scores = np.array(
        [detector.update(at.astype("datetime64[us]"), v) for at, v in zip(instants(ROWS), value, strict=True)]
    )
    alerts = np.flatnonzero(scores > ANOMALY)
    assert alerts[alerts >= 300][0] == 300
    assert np.diff(alerts).min() > HOLD_ROWS
    assert (scores[301 : 301 + HOLD_ROWS] == ANOMALY).all()


def test_instants_may_come_in_any_form() -> None:
    start = datetime(2026, 1, 5, 6, tzinfo=UTC)
    forms = [
        lambda at: at,
        lambda at: at.replace(tzinfo=None),
        lambda at: at.astimezone(timezone(timedelta(hours=5))),
        lambda at: np.datetime64(at.replace(tzinfo=None), "ns"),
        lambda at: at.replace(tzinfo=None).isoformat(),
    ]
    value = made("daily", 250, 2)
    value[240:] += 30
    scores = []
    for form in forms:
        detector = Detector()
        scores.append([detector.update(form(start + timedelta(minutes=5 * n)), v) for n, v in enumerate(value)])
    assert max(scores[0]) > ANOMALY
    assert all(other == scores[0] for other in scores[1:])


@pytest.mark.parametrize(
    ("at", "value"), [("2026-01-05T00:00:00", float("nan")), ("2026-01-05T00:00:00", float("inf")), ("soon", 1.0)]
)
def test_what_cannot_be_scored_is_refused(at: str, value: float) -> None:
    with pytest.raises(Invalid):
        Detector().update(at, value)
