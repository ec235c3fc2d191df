"""Rules on scores and incidents over the past: what the detector said is kept, and replayed it fires as it did live."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest

from muninn.alerting.alert import Alert
from muninn.alerting.book import rule_of
from muninn.alerting.engine import Engine
from muninn.clock import HOUR_US, MINUTE_US, SECOND_US
from muninn.detection.incidents import Incident, Incidents, Member
from muninn.errors import Invalid
from muninn.model import SeriesKey, Window
from muninn.model.scores import ScoreBatch, ScoreHandle, decode, encode
from muninn.operations.alerts import history, recorded
from muninn.settings import Detection
from muninn.store import incidents, score_history
from muninn.store.database import Database

SINCE_US = 1_800_000_000 * SECOND_US
WINDOW = Window(SINCE_US, SINCE_US + HOUR_US)
MAIL, CPU, MODEL = (
    SeriesKey.of("queue_depth", {"queue": "mail"}, "agent"),
    SeriesKey.of("cpu_busy_pct", {"host": "a"}, "collector", "a"),
    SeriesKey.of("muninn_model_score", {"place": "a"}, "collector", "a"),
)
RULE = rule_of(
    {
        "name": "odd",
        "kind": "anomaly",
        "metric": "*",
        "match": {"metric": "!=muninn_model_score"},
        "window": "30s",
        "levels": [{"severity": "info", "above": 0.8, "recover": 0.6, "for": "40s"}],
        "recover_for": "1m",
    }
)


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    with Database(postgres_url, pool_size=2) as opened:
        yield opened


def said() -> list[ScoreHandle]:
    """An hour of steps: most say that nothing is odd; two episodes, one blip, one series that is still learned."""
    rng, handles = np.random.default_rng(7), []
    for number in range(1, 361):
        until_us = SINCE_US + number * 10 * SECOND_US
        rows = [(MODEL, 0.99)] if number % 6 == 0 else []
        if 30 <= number < 60 or number == 200:
            rows.append((MAIL, 0.85 + 0.1 * rng.random()))
        if 50 <= number < 90:
            rows.append((CPU, 0.95 if number < 70 else 0.5))
        batch = _batch(until_us, rows, learning=[False] * len(rows))
        if number == 5:
            batch = _batch(until_us, [(CPU, 0.99)], learning=[True])
        handles.append(ScoreHandle(f"{until_us // 1000}-0", decode(encode(batch))))
    return handles


def _batch(until_us: int, rows: list[tuple[SeriesKey, float]], learning: list[bool]) -> ScoreBatch:
    n, blank = len(rows), np.ones(len(rows))
    return ScoreBatch(
        until_us, np.full(n, until_us - 3 * SECOND_US), np.arange(n, dtype=np.int32), tuple(key for key, _ in rows),
        np.array([score for _, score in rows], float), blank, blank, blank, blank, blank, np.array(learning, bool),
        np.zeros((n, 2)), ("value", "change"),
    )  # fmt: skip


def live(handles: list[ScoreHandle]) -> dict[str, Alert]:
    """What an alerter that looks every five seconds makes of it."""
    engine, waiting, last = Engine([RULE], SINCE_US), list(handles), dict[str, Alert]()
    for step in range(1, 721):
        now_us = SINCE_US + step * 5 * SECOND_US
        while waiting and waiting[0].batch.until_us <= now_us:
            engine.take_scores(waiting.pop(0).batch)
        last |= {change.alert.alert_id: change.alert for change in engine.evaluate(now_us)}
    return {alert_id: alert for alert_id, alert in last.items() if alert.fired_us}


def test_a_replay_shows_what_fired(database: Database) -> None:
    handles = said()
    score_history.save(database, handles[:100])
    score_history.save(database, handles[90:])  # as after a restart: some are there already
    expected = live(handles)
    assert {dict(each.labels)["metric"] for each in expected.values()} == {"queue_depth", "cpu_busy_pct"}
    found, kind = history.over_store(database, [RULE], WINDOW)
    assert kind == "raw"
    assert {each.alert_id: each for each in found.fired} == expected
    assert found.scored == 360
    # Without scores nothing is known, and it is said that there were none.
    before, _ = history.over_store(database, [RULE], Window(SINCE_US - HOUR_US, SINCE_US))
    assert (before.fired, before.scored) == ((), 0)


def test_over_days_a_minute_is_a_step(database: Database) -> None:
    score_history.save(database, said())
    found, kind = history.over_store(database, [RULE], Window(SINCE_US - 7 * HOUR_US, SINCE_US + HOUR_US))
    assert (kind, found.scored) == ("1min", 60)
    expected = {dict(each.labels)["metric"]: each for each in live(said()).values()}
    fired = {dict(each.labels)["metric"]: each for each in found.fired}
    assert fired.keys() == expected.keys()
    for metric, alert in fired.items():
        assert abs((alert.fired_us or 0) - (expected[metric].fired_us or 0)) <= 2 * MINUTE_US


def test_what_is_old_is_forgotten(database: Database) -> None:
    score_history.save(database, said())
    assert score_history.prune(database, SINCE_US + HOUR_US // 2) == 179
    kept = [*score_history.read(database, WINDOW)]
    assert len(kept) == 180
    assert {key for batch in kept for key in batch.keys} == {MODEL, MAIL}


def test_series_of_which_nothing_is_kept_are_forgotten_too(database: Database, postgres_url: str) -> None:
    long_ago_us, lately_us = SINCE_US, SINCE_US + 30 * HOUR_US
    old, both = SeriesKey.of("gone", None, "agent", "host-1"), SeriesKey.of("stays", None, "agent", "host-1")

    def say(until_us: int, key: SeriesKey) -> None:
        score_history.save(database, [ScoreHandle(f"{until_us}-0", _batch(until_us, [(key, 0.9)], [False]))])

    def known() -> set[str]:
        with psycopg.connect(postgres_url) as connection:
            return {name for (name,) in connection.execute("select metric_name from scored_series").fetchall()}

    say(long_ago_us, old)
    say(long_ago_us + 1, both)
    for hour in range(1, 31):
        say(long_ago_us + hour * HOUR_US, both)
    assert score_history.prune(database, SINCE_US - HOUR_US) == 0
    assert known() == {"gone", "stays"}
    assert score_history.prune(database, lately_us) == 31
    assert known() == {"stays"}
    (batch,) = score_history.read(database, Window(SINCE_US, lately_us + 1))
    assert list(batch.keys) == [both]
    say(lately_us + HOUR_US, old)
    assert known() == {"gone", "stays"}, "one that comes again is known again"


def test_incidents_of_the_past_are_alerts_too(database: Database) -> None:
    opened_us, closed_us = SINCE_US + 10 * MINUTE_US, SINCE_US + 25 * MINUTE_US
    member = Member(MAIL, opened_us, closed_us, opened_us, 0.92, 50.0, 10.0, 9.0, 11.0, 0.9, {"value": 0.92})
    incident = Incident(Incidents()._new_id(), opened_us, closed_us, opened_us, {MAIL: member})
    incidents.save(database, [incident])
    rule = rule_of({"name": "incident", "kind": "incident", "levels": [{"severity": "warning", "above": 0.8}]})
    (alert,) = history.over_store(database, [rule], WINDOW)[0].fired
    assert dict(alert.labels) == {"incident": str(incident.incident_id)}
    assert alert.summary == incident.title
    assert abs((alert.fired_us or 0) - opened_us) <= 5 * SECOND_US
    assert abs((alert.resolved_us or 0) - closed_us) <= 5 * SECOND_US


def test_of_a_recorded_file_the_detector_says_anew(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    since_s = 1_700_000_000
    at = np.arange(1080) * 10 + since_s
    value = rng.normal(50, 1, len(at))
    value[900:940] = 95.0
    rows = [f"{second * 1000},queue_depth,{one:.3f}" for second, one in zip(at.tolist(), value.tolist(), strict=True)]
    file = tmp_path / "recorded.csv"
    file.write_text("timestamp,metric,value\n" + "\n".join(rows) + "\n")
    found, _ = recorded.over_file(file, [RULE], Detection(warm_up_s=3600))
    assert found.scored > 1000
    (alert,) = found.fired
    assert 0 <= (alert.fired_us or 0) - (since_s + 9000) * SECOND_US <= 2 * MINUTE_US
    assert not recorded.over_file(file, [RULE], Detection(warm_up_s=86_400))[0].fired


def test_a_recorded_file_with_a_column_that_would_be_lost_is_refused(tmp_path: Path) -> None:
    """Its series would become one, and rules be judged on a mixture."""
    file = tmp_path / "recorded.csv"
    file.write_text("timestamp,metric,value,host\n1700000000000,queue_depth,1,a\n1700000000000,queue_depth,9,b\n")
    with pytest.raises(Invalid, match="nothing is made of `host`"):
        recorded.over_file(file, [RULE], Detection())
    file.write_text("timestamp,metric,value,label.host\n1700000000000,queue_depth,1,a\n1700000000000,queue_depth,9,b\n")
    assert recorded.over_file(file, [RULE], Detection())[1].since_us < 1_700_000_000 * SECOND_US
