"""The alert API and Alertmanager's on a gateway's door, with a real Prometheus that sends its alerts."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from alert_world import Api, fired
from known_incidents import OPEN, OVER, load_incidents

from muninn.alerting.alert import Alert, alert_id_of, fingerprint_of
from muninn.alerting.dispatch import Notification
from muninn.alerting.evaluate import Change
from muninn.clock import HOUR_US, SECOND_US, SystemClock
from muninn.model import BatchHandle, SampleBatch, SeriesKey, Window
from muninn.reads.facade import Reads
from muninn.store.alerts import AlertStore, Evaluated
from muninn.store.writer import StoreWriter

RULE = {"name": "queue_long", "metric": "queue_depth", "levels": [{"severity": "warning", "above": 10}]}


def test_alerts_are_listed_acknowledged_and_judged(api: Api) -> None:
    alert = fired(api)
    (found,) = api.get("/api/v1/alerts", state="firing")["alerts"]
    assert (found["alert_id"], found["labels"]) == (alert.alert_id, {"queue": "mail"})
    api.post(f"/api/v1/alerts/{alert.alert_id}/acknowledge", {"by": "ada"})
    api.post(f"/api/v1/alerts/{alert.alert_id}/feedback", {"useful": False, "by": "ada", "note": "it always is"})
    (found,) = api.get("/api/v1/alerts")["alerts"]
    assert (found["acknowledged_by"], found["useful"]) == ("ada", False)
    missing = api.post("/api/v1/alerts/0190aaaa-0000-4000-8000-000000000001/acknowledge", {}, 404)
    assert missing["status"] == 404
    assert api.client.post("/api/v1/alerts/nonsense/acknowledge", json={}).json()["parameter"] == "id"
    assert api.client.get("/api/v1/alerts", params={"state": "odd"}).status_code == 400


def test_many_alerts_are_paged_through_and_none_is_lost_or_doubled(api: Api) -> None:
    """Several fire in the same microsecond: the way on is by instant and id."""
    now_us = SystemClock().now_us()
    made = []
    for number in range(25):
        fingerprint, fired_us = fingerprint_of("queue_long", {"queue": str(number)}), now_us - number // 5 * SECOND_US
        made.append(
            Alert(
                alert_id_of(fingerprint, fired_us), "queue_long", fingerprint, (("queue", str(number)),), "warning",
                "firing", 20.0, 10.0, fired_us, now_us, fired_us=fired_us, summary="long",
            )
        )  # fmt: skip
    due = [
        Notification(f"n{number:02}", "chat", "g", {}, "new", (alert,), now_us - number // 5 * SECOND_US)
        for number, alert in enumerate(made)
    ]
    AlertStore(api.database).commit([Change("fired", each) for each in made], [], due)
    for path, what, ident in (("alerts", "alerts", "alert_id"), ("notifications", "notifications", "key")):
        pages: list[list[str]] = []
        query = {"limit": "7"}
        while True:
            said = api.get(f"/api/v1/{path}", **query)
            pages.append([each[ident] for each in said[what]])
            if said["older"] is None:
                break
            query["before"] = said["older"]
        assert [len(page) for page in pages] == [7, 7, 7, 4]
        assert len({ident for page in pages for ident in page}) == 25
        assert api.get(f"/api/v1/{path}", limit="25")["older"] is None
        for wrong in ("x", "5:", "1:nonsense'", "99999999999999999999:a"):
            answer = api.client.get(f"/api/v1/{path}", params={"before": wrong})
            assert answer.status_code == 400 or (path == "notifications" and wrong.startswith("1:"))


def test_rules_are_checked_kept_tried_on_the_past_and_deleted(api: Api) -> None:
    wrong = api.post("/api/v1/alert-rules", {**RULE, "levels": [{"severity": "warning"}]}, 400)
    assert "above, below" in wrong["detail"]
    api.post("/api/v1/alert-rules", RULE)
    names = {each["rule"]["name"]: each["source"] for each in api.get("/api/v1/alert-rules")["rules"]}
    assert names["queue_long"] == "API"
    assert names["host_disk_full"] == "shipped/host.yaml"
    now_us = SystemClock().now_us()
    key = SeriesKey.of("queue_depth", {"queue": "mail"})
    rows = [(key, now_us - (600 - n) * SECOND_US, 50.0 if 200 <= n < 300 else 1.0) for n in range(0, 600, 5)]
    StoreWriter(api.database).load([BatchHandle("s", "1-1", SampleBatch.of(rows))])
    tried = api.post("/api/v1/alert-rules/test", {"rule": RULE, "since": "-11m"})
    (episode,) = tried["fired"]
    assert episode["labels"]["queue"] == "mail"
    assert episode["resolved_at"] is not None
    assert (tried["read_from"], tried["series"]) == ("raw", 1)
    assert "<svg" in tried["picture"]
    assert api.client.delete("/api/v1/alert-rules/queue_long").status_code == 200
    assert api.client.delete("/api/v1/alert-rules/queue_long").status_code == 404


def test_incidents_are_listed_opened_and_marked(api: Api, postgres_url: str) -> None:
    load_incidents(postgres_url)
    found = api.get("/api/v1/incidents")["incidents"]
    assert [(each["incident_id"], each["state"]) for each in found] == [(str(OPEN), "open"), (str(OVER), "closed")]
    assert [each["incident_id"] for each in api.get("/api/v1/incidents", state="open")["incidents"]] == [str(OPEN)]
    assert api.get("/api/v1/incidents", since="-30m", state="closed")["incidents"] == []
    one = api.get(f"/api/v1/incidents/{OPEN}")
    assert {each["says"] for cause in one["causes"] for each in cause["evidence"]}
    head, other = one["series"]
    assert (head["metric"], head["is_head"], other["is_head"]) == ("queue_depth", True, False)
    assert head["low"] < head["expected"] < head["high"] < head["value"]
    assert len(head["track"]["at_ms"]) == len(head["track"]["value"]) == 60
    api.post(f"/api/v1/incidents/{OPEN}/feedback", {"useful": True, "note": "the mailer hung"})
    assert (api.get(f"/api/v1/incidents/{OPEN}")["useful"], api.get("/api/v1/incidents")["incidents"][0]["note"]) == (
        True, "the mailer hung",
    )  # fmt: skip
    unknown = "/api/v1/incidents/0190aaaa-0000-4000-8000-000000000001"
    assert api.client.get(unknown).status_code == 404
    api.post(f"{unknown}/feedback", {"useful": None}, 404)
    assert api.post(f"/api/v1/incidents/{OPEN}/feedback", {}, 400)["parameter"] == "useful"
    assert api.client.get("/api/v1/incidents", params={"state": "odd"}).json()["parameter"] == "state"
    assert api.client.get("/api/v1/incidents", params={"stat": "open"}).json()["parameter"] == "stat"
    assert api.client.get("/api/v1/incidents/nonsense").json()["parameter"] == "incident_id"


def test_maintenance_windows_of_files_and_of_people(api: Api, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir(exist_ok=True)
    (tmp_path / "rules" / "own.yaml").write_text(
        "maintenance:\n  - {name: backup, match: {host: db1}, at: '02:00', duration: 90m, days: [sat, sun]}\n"
    )
    (found,) = api.get("/api/v1/maintenance")["maintenance"]
    assert (found["name"], found["source"], found["duration"], found["days"]) == (
        "backup",
        "file",
        "90m",
        ["sat", "sun"],
    )
    body = {"name": "patch", "match": {"host": "=~web.*"}, "at": "00:00", "duration": "1d", "timezone": "Europe/Berlin"}
    made = api.post("/api/v1/maintenance", {**body, "by": "ada"})
    assert (made["state"], made["source"]) == ("holds", "API")
    assert made["ends_at"] > api.get("/api/v1/maintenance")["maintenance"][1]["created_at"]
    (known,) = AlertStore(api.database).maintenance()
    assert known.matchers.holds({"host": "web3"})
    api.post("/api/v1/maintenance", {**body, "duration": "2h", "days": ["mon"], "by": "bob"})
    listed = {each["name"]: each for each in api.get("/api/v1/maintenance")["maintenance"]}
    assert (listed["patch"]["by"], listed["patch"]["duration"], len(listed)) == ("bob", "2h", 2)
    # One of a file is hidden by one made here, and comes back.
    api.post("/api/v1/maintenance", {"name": "backup", "match": {"host": "db2"}, "at": "03:00", "duration": "1h"})
    assert len(api.get("/api/v1/maintenance")["maintenance"]) == 2
    for name in ("patch", "backup"):
        assert api.client.delete(f"/api/v1/maintenance/{name}").status_code == 200
    assert api.client.delete("/api/v1/maintenance/backup").status_code == 404
    assert [each["source"] for each in api.get("/api/v1/maintenance")["maintenance"]] == ["file"]
    past = [each for each in api.get("/api/v1/maintenance", ended="true")["maintenance"] if each["state"] == "ended"]
    assert sorted((each["name"], each["by"]) for each in past) == [("backup", ""), ("patch", "ada"), ("patch", "bob")]
    assert next(each["ended_by"] for each in past if each["by"] == "ada") == "bob"
    wrong = api.post("/api/v1/maintenance", {**body, "timezone": "Mars/Olympus"}, 400)
    assert "time zone" in wrong["detail"]
    assert api.post("/api/v1/maintenance", {**body, "dura": 1}, 400)["parameter"] == "dura"


def test_what_rules_did_while_the_store_was_away_is_added_up(api: Api) -> None:
    """A count a minute is kept at once when it is back: several of one rule and hour."""
    now_us = SystemClock().now_us()
    counts = [Evaluated("queue_long", now_us, 10, 3, 1, 0, 0.5), Evaluated("queue_long", now_us, 20, 2, 0, 1, 0.25)]
    store = AlertStore(api.database)
    store.evaluated([*counts, Evaluated("other", now_us, 1, 1, 0, 0, 0.0)])
    store.evaluated(counts)
    with Reads(api.database) as reads:
        found = {each.rule: each for each in reads.alert_evaluations(Window(now_us - 2 * HOUR_US, now_us + HOUR_US))}
    kept = found["queue_long"]
    assert (kept.evaluations, kept.instances, kept.fired, kept.resolved, kept.seconds) == (60, 3, 2, 2, 1.5)
    assert found["other"].evaluations == 1


def test_noise_suggests_a_change(api: Api) -> None:
    api.post("/api/v1/alert-rules", RULE)
    for number in range(4):
        alert = fired(api, f"q{number}")
        api.post(f"/api/v1/alerts/{alert.alert_id}/feedback", {"useful": number == 0})
    (found,) = [each for each in api.get("/api/v1/alert-rules")["rules"] if each["rule"]["name"] == "queue_long"]
    assert found["record"]["precision"] == 0.25
    assert AlertStore(api.database).precision(0) == 0.25
    assert found["suggestion"]["rule"]["levels"][0]["for"] == 120.0
    tried = api.post("/api/v1/alert-rules/test", {"rule": found["suggestion"]["rule"]})
    assert tried["fired"] == []


def test_silences_in_both_forms(api: Api) -> None:
    made = api.post("/api/v1/silences", {"match": {"host": "=~web.*"}, "until": "+2h", "by": "ada", "comment": "move"})
    (seen,) = api.get("/api/v2/silences")
    assert seen["id"] == made["id"]
    assert seen["matchers"] == [{"name": "host", "value": "web.*", "isRegex": True, "isEqual": True}]
    assert seen["status"] == {"state": "active"}
    assert api.client.delete(f"/api/v1/silences/{made['id']}").status_code == 200
    assert api.get("/api/v1/silences")["silences"] == []
    assert api.client.delete(f"/api/v1/silences/{made['id']}").status_code == 404
    body = {"matchers": seen["matchers"], "startsAt": seen["startsAt"], "endsAt": "2100-01-01T00:00:00.000Z"}
    again = api.post("/api/v2/silences", {**body, "createdBy": "amtool", "comment": "x"})
    assert api.get(f"/api/v2/silence/{again['silenceID']}")["createdBy"] == "amtool"
    # `amtool silence add alertname=Down`: what is alertname there is rule here, and matches what comes from there.
    named = {"name": "alertname", "value": "Down", "isRegex": False, "isEqual": True}
    down = api.post("/api/v2/silences", {**body, "matchers": [named], "createdBy": "amtool", "comment": "x"})
    (kept,) = [each for each in AlertStore(api.database).silences(0) if each.silence_id == down["silenceID"]]
    assert kept.matchers.exact == {"rule": "Down"}
    assert api.get(f"/api/v2/silence/{down['silenceID']}")["matchers"] == [named]
    # Several matchers of one label, as Alertmanager has them, are all kept and all shown.
    both = [{"name": "host", "value": "web.*", "isRegex": True, "isEqual": True},
            {"name": "host", "value": "web3", "isRegex": False, "isEqual": False}]  # fmt: skip
    two = api.post("/api/v2/silences", {**body, "matchers": both, "createdBy": "amtool", "comment": "x"})["silenceID"]
    shown = next(each for each in api.get("/api/v1/silences")["silences"] if each["id"] == two)
    assert shown["match"] == {"host": ["=~web.*", "!=web3"]}
    api.post("/api/v1/silences", {"id": two, "match": shown["match"], "until": "+2h"})
    assert api.get(f"/api/v2/silence/{two}")["matchers"] == both
    for wrong in (
        {},
        {"match": {"a": "b"}},
        {"match": {"a": []}, "until": "+1h"},
        {"match": {"a": {"b": "c"}}, "until": "+1h"},
        {"match": {"a": "b"}, "until": "-1h"},
        {"match": {"a": "=~("}, "until": "+1h"},
    ):
        assert api.client.post("/api/v1/silences", json=wrong).headers["content-type"] == "application/problem+json"


def test_two_who_make_the_same_window_at_once_both_succeed(api: Api) -> None:
    bodies = [
        {"name": "patch", "match": {"host": "a"}, "at": "00:00", "duration": "1h", "by": str(who)} for who in range(8)
    ]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert all(made["name"] == "patch" for made in pool.map(partial(api.post, "/api/v1/maintenance"), bodies))
            assert len(api.get("/api/v1/maintenance")["maintenance"]) == 1
            assert api.client.delete("/api/v1/maintenance/patch").status_code == 200
