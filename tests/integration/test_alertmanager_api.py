"""Alertmanager's API v2 on a gateway's door, with a real Prometheus that sends its alerts and a real amtool."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from alert_world import Api, fired
from known_incidents import OPEN
from servers import eventually, free_port

from muninn.alerting.silence import Muted
from muninn.clock import HOUR_US
from muninn.operations.alerts import alertmanager
from muninn.store.alerts import AlertStore


def test_alerts_from_outside_come_change_and_go(api: Api) -> None:
    said = {"labels": {"alertname": "Down", "instance": "a:1", "severity": "critical"}, "annotations": {"summary": "x"}}
    api.post("/api/v2/alerts", [said])
    api.post("/api/v2/alerts", [said])  # sent again: the same one
    (found,) = api.get("/api/v2/alerts")
    assert (found["labels"], found["status"]["state"]) == (said["labels"], "active")
    assert api.get("/api/v2/alerts", filter='instance="b:1"') == []
    api.post("/api/v2/alerts", [{**said, "endsAt": "2020-01-01T00:00:00Z"}])
    assert api.get("/api/v2/alerts") == []
    assert len(api.get("/api/v1/alerts", state="resolved")["alerts"]) == 1
    assert api.client.post("/api/v2/alerts", json=[{"labels": {}}]).status_code == 400
    assert api.get("/api/v2/status")["cluster"]["status"] == "disabled"


def test_a_severity_that_is_none_of_ours_is_kept(api: Api) -> None:
    said = {"labels": {"alertname": "Down", "instance": "a:1", "severity": "page"}}
    api.post("/api/v2/alerts", [said, {"labels": {"alertname": "Plain"}}])
    ours = {each["rule"]: each for each in api.get("/api/v1/alerts")["alerts"]}
    assert (ours["Down"]["severity"], ours["Down"]["labels"]["original_severity"]) == ("warning", "page")
    assert (ours["Plain"]["severity"], ours["Plain"]["labels"]) == ("warning", {})
    (theirs,) = api.get("/api/v2/alerts", filter='severity="page"')
    assert theirs["labels"] == said["labels"]
    api.post("/api/v2/alerts", [{**said, "endsAt": "2020-01-01T00:00:00Z"}])
    assert [each["rule"] for each in api.get("/api/v1/alerts")["alerts"]] == ["Plain"]


def test_what_came_with_an_alert_from_outside_is_kept(api: Api) -> None:
    notes = {"summary": "x", "dashboard": "https://grafana/d/1", "runbook_url": "https://wiki/x"}
    said = {"labels": {"alertname": "Down"}, "annotations": notes, "generatorURL": "http://prom/graph?g0=up"}
    api.post("/api/v2/alerts", [said])
    (theirs,) = api.get("/api/v2/alerts")
    assert (theirs["annotations"], theirs["generatorURL"]) == (notes, said["generatorURL"])
    (kept,) = AlertStore(api.database).outside()
    assert (dict(kept.annotations), kept.source_url) == (notes, said["generatorURL"])
    (ours,) = api.get("/api/v1/alerts")["alerts"]
    assert (ours["annotations"], ours["source_url"]) == (notes, said["generatorURL"])


def test_one_faulty_alert_takes_no_others_with_it(api: Api) -> None:
    given: list[Any] = [
        {"labels": {"alertname": "Good"}},
        {"labels": {}},
        {"labels": {"alertname": "Odd", "n": 1}},
        {"labels": {"alertname": "Backwards"}, "startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"},
        {"labels": {"alertname": "Twice", "empty": ""}},
        {"labels": {"alertname": "Twice"}},
    ]
    said = api.post("/api/v2/alerts", given, 400)
    assert all(f"alert {place}:" in said for place in (1, 2, 3))
    assert {each["labels"]["alertname"] for each in api.get("/api/v2/alerts")} == {"Good", "Twice"}


ROUTED = """
receivers: [{name: pager, type: log, path: /tmp/p}, {name: chat, type: log, path: /tmp/c}]
routes:
  - {match: {severity: critical, rule: "=~Do.*"}, receivers: [pager, chat], group_by: [rule, cluster]}
inhibit: [{source: {rule: Down}, target: {rule: Slow}, equal: [cluster]}]
"""


def test_alerts_are_shown_by_receiver_and_group_and_by_what_keeps_them_quiet(api: Api, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(ROUTED)
    down = [
        {"labels": {"alertname": "Down", "cluster": c, "host": h, "severity": "critical"}}
        for c, h in ("xa", "xb", "ya")
    ]
    api.post("/api/v2/alerts", [*down, {"labels": {"alertname": "Slow"}}])
    silence_id = api.post("/api/v1/silences", {"match": {"host": "b"}, "until": "+1h"})["id"]
    muted = next(each for each in AlertStore(api.database).outside() if dict(each.labels).get("host") == "b")
    AlertStore(api.database).mute({muted.alert_id: Muted("silence", silence_id, muted.at_us + HOUR_US)})
    groups = api.get("/api/v2/alerts/groups")
    assert [(each["receiver"]["name"], each["labels"], len(each["alerts"])) for each in groups] == [
        ("chat", {"alertname": "Down", "cluster": "x"}, 2),
        ("chat", {"alertname": "Down", "cluster": "y"}, 1),
        ("nobody", {}, 1),
        ("pager", {"alertname": "Down", "cluster": "x"}, 2),
        ("pager", {"alertname": "Down", "cluster": "y"}, 1),
    ]
    assert len(api.get("/api/v2/alerts", active="false")) == 1
    assert len(api.get("/api/v2/alerts", silenced="false")) == 3
    assert len(api.get("/api/v2/alerts", receiver="pa.*")) == 3
    assert api.get("/api/v2/alerts", receiver="pa") == [], "the whole name"
    (slow,) = api.get("/api/v2/alerts", receiver="nobody")
    assert slow["receivers"] == [{"name": "nobody"}]
    said = yaml.safe_load(api.get("/api/v2/status")["config"]["original"])
    assert [(each["receiver"], each["continue"]) for each in said["route"]["routes"]] == [
        ("pager", True), ("chat", False),
    ]  # fmt: skip
    assert said["route"]["routes"][0]["matchers"] == ['severity="critical"', 'alertname=~"Do.*"']


def test_silences_of_alertmanager_are_checked_and_found_by_their_matchers(api: Api) -> None:
    def silence(name: str, **more: Any) -> dict[str, Any]:
        matcher = {"name": name, "value": "b", "isRegex": False, "isEqual": True, **more}
        return {"matchers": [matcher], "endsAt": "2100-01-01T00:00:00Z", "createdBy": "ada", "comment": "x"}

    first = api.post("/api/v2/silences", silence("a"))["silenceID"]
    api.post("/api/v2/silences", silence("c"))
    assert [each["id"] for each in api.get("/api/v2/silences", filter='a="b"')] == [first]
    assert api.get("/api/v2/silences", filter='a=~"b"') == []
    assert "empty text" in api.post("/api/v2/silences", silence("a", isEqual=False), 400)
    assert "no silence" in api.post("/api/v2/silences", {**silence("a"), "id": str(OPEN)}, 404)
    api.client.delete(f"/api/v2/silence/{first}")
    assert len(api.get("/api/v2/silences", expired="false")) == 1
    for answer in (
        api.client.delete(f"/api/v2/silence/{OPEN}"),
        api.client.get("/api/v2/alerts", params={"filter": "x=~("}),
        api.client.get("/api/v2/alerts", params={"filter": "nonsense"}),
    ):
        assert answer.headers["content-type"] == "application/json", "amtool reads nothing else"
        assert isinstance(answer.json(), str)


DEAREST = "(?:.?){999}"


def test_the_dearest_pattern_over_many_alerts_is_answered(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one it takes two minutes: 50 ms for each of 2,400 texts of the most characters that a label has."""
    for some in range(4):
        texts = [f"{some * 600 + number:04}{'x' * 1020}" for number in range(600)]
        api.post("/api/v2/alerts", [{"labels": {"alertname": "A", "text": text}} for text in texts])
    assert api.get("/api/v2/alerts", filter=f"text=~{DEAREST}") == []
    assert len(api.get("/api/v2/alerts", filter=f"text!~{DEAREST}")) == 2_400
    monkeypatch.setattr(alertmanager, "_MATCHING_S", -1.0)
    answer = api.client.get("/api/v2/alerts", params={"filter": "text=~(?:.?.?){499}"})
    assert (answer.status_code, "give simpler ones" in answer.json()) == (400, True)


def test_a_real_prometheus_sends_its_alerts(api: Api, prometheus: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(
        "groups: [{name: g, interval: 1s, rules: [{alert: AlwaysOn, expr: 'vector(1)', labels: {severity: critical},"
        " annotations: {summary: it is on}}]}]\n"
    )
    (tmp_path / "prometheus.yml").write_text(
        "global: {evaluation_interval: 1s}\n"
        f"rule_files: ['{tmp_path / 'rules.yml'}']\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{api.url.removeprefix('http://')}']}}]}}]}}\n"
    )
    command = [prometheus, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    # It sends before it has found out where to; then again only after a minute, unless told otherwise.
    command += [f"--web.listen-address=127.0.0.1:{free_port()}", "--rules.alert.resend-delay=1s"]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            eventually(lambda: bool(api.get("/api/v2/alerts")), 60, "the alert comes", 0.3)
        finally:
            process.terminate()
    (found,) = api.get("/api/v1/alerts", state="firing")["alerts"]
    assert (found["rule"], found["origin"], found["severity"]) == ("AlwaysOn", "alertmanager", "critical")
    assert found["summary"] == "it is on"
    assert found["ends_ms"] > found["at_ms"]


def test_a_real_amtool_reads_and_silences(api: Api, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(ROUTED)
    found = shutil.which("amtool") or request.getfixturevalue("alertmanager_package") / "usr/bin/amtool"

    def amtool(*words: str, fails: bool = False) -> str:
        command = [str(found), f"--alertmanager.url={api.url}", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else done.stdout

    api.post("/api/v2/alerts", [{"labels": {"alertname": "Down", "instance": instance}} for instance in ("a:1", "b:1")])
    fired(api)
    (one,) = json.loads(amtool("alert", "query", "--output=json", "instance=~a.*"))
    assert (one["labels"]["alertname"], one["status"]["state"]) == ("Down", "active")
    assert "queue_long" in amtool("alert", "query", "alertname=queue_long"), "Muninn's own too"
    ident = amtool("silence", "add", "--author=ada", "--comment=move", "alertname=Down", "instance=~a.*").strip()
    (kept,) = AlertStore(api.database).silences(0)
    assert (kept.silence_id, kept.created_by, kept.comment) == (ident, "ada", "move")
    assert kept.matchers.as_mapping() == {"rule": "Down", "instance": "=~a.*"}
    assert amtool("silence", "query", "--quiet").split() == [ident]
    assert amtool("silence", "query", "--quiet", "alertname=Other") == ""
    assert "Down" not in amtool("alert", "query", "--silenced"), "none is silenced before the alerter has said so"
    assert amtool("config", "routes", "test", "alertname=Down", "severity=critical").strip() == "pager,chat"
    assert "nobody" in amtool("config", "routes", "test", "alertname=Other")
    assert "status 404" in amtool("silence", "expire", str(OPEN), fails=True)
    amtool("silence", "expire", ident)
    assert amtool("silence", "query", "--quiet") == ""
    assert amtool("silence", "query", "--expired", "--quiet").split() == [ident]
