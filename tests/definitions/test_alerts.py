"""The history of alert rules by day, and the weekly noise report with what a change would have done."""

from pathlib import Path

from dagster_world import World, hour

from muninn.alerting.alert import Alert, alert_id_of, fingerprint_of
from muninn.alerting.evaluate import Change
from muninn.clock import HOUR_US, MINUTE_US, SECOND_US
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.store.alerts import AlertStore, Evaluated
from muninn.store.writer import StoreWriter

TEN = "2025-02-03-10:00"
RULE = {"name": "queue_long", "metric": "queue_depth", "levels": [{"severity": "warning", "above": 10}]}


def fired(number: int) -> Alert:
    at_us = hour(TEN) + number * 10 * MINUTE_US
    fingerprint = fingerprint_of("queue_long", {"queue": str(number)})
    return Alert(
        alert_id_of(fingerprint, at_us), "queue_long", fingerprint, (("queue", str(number)),), "warning", "resolved",
        20.0, 10.0, at_us, at_us, fired_us=at_us, resolved_us=at_us + MINUTE_US, summary="long",
    )  # fmt: skip


def test_a_day_of_rules(world: World) -> None:
    store = AlertStore(world.database)
    for _ in range(2):
        store.evaluated([Evaluated("queue_long", hour(TEN) + MINUTE_US, 10, 3, 1, 0, 0.002)])
    world.go_to(hour("2025-02-04-00:30"))
    assert world.materialise(["alert_rule_history"], "2025-02-03").success
    (event,) = world.events("alert_rule_history")["2025-02-03"]
    assert (event["rules"], event["judgements"], event["fired"], event["hours_with_judgements"]) == (1, 20, 2, 1)
    assert "| queue_long | 20 | 3 | 2 | 0 | 200 |" in event["by_rule"]


def test_a_noise_report_proposes_and_says_what_it_would_have_done(world: World) -> None:
    store = AlertStore(world.database)
    store.save_rule("queue_long", RULE, "ada")
    alerts = [fired(number) for number in range(4)]
    store.commit([Change("fired", alert) for alert in alerts], [], [])
    for alert in alerts[:3]:
        store.feedback(alert.alert_id, False, "ada", "")
    key = SeriesKey.of("queue_depth", {"queue": "mail"})
    peaks = [(key, hour(TEN) + n * 10 * SECOND_US, 50.0 if n % 60 < 6 else 1.0) for n in range(360)]
    StoreWriter(world.database, clock=world.clock).load([BatchHandle("s", "1-1", SampleBatch.of(peaks))])
    world.refresh(hour(TEN) + 2 * HOUR_US)
    assert world.materialise(["alert_noise_report"]).success
    (event,) = world.events("alert_noise_report")[None]
    assert (event["alerts"], event["over_within_5_min"], event["judged"], event["useful_share"]) == (4, 4, 3, 0.0)
    assert "| queue_long | 4 | 4 | 0 | 3 | 0 |" in event["report"]
    assert (
        "Try `warning for: 2m`: 3 alerts as it is, 0 with the change (from 1min)" in event["report"]
    )  # six peaks, damped
    assert event["time_line"].startswith("![time line](data:image/svg+xml;base64,")
    assert Path(event["file"]).read_text() == event["report"]
