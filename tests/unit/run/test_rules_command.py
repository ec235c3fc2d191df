"""`muninn rules` as a person runs it: faults by file and field, tests that fail, rules over a recording."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from muninn.clock import SystemClock

pytestmark = pytest.mark.slow

MUNINN = Path(sys.executable).with_name("muninn")
RULES = """
rules:
  - name: queue_long
    metric: queue_depth
    by: [queue]
    levels:
      - {severity: warning, above: 10, for: 30s}
receivers:
  - {name: file, type: log, path: told.jsonl}
tests:
  - name: a long queue
    interval: 10s
    rules: [queue_long]
    input:
      - {series: 'queue_depth{queue="mail"}', values: "5x6 20x12"}
    expect:
      - {at: 1m, alerts: []}
      - {at: 2m, alerts: [{rule: queue_long, severity: %s}]}
"""
BEGINS_MS = SystemClock().now_us() // 1000 - 7_300_000


def told(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNINN_")}
    return subprocess.run(
        [str(MUNINN), "rules", *arguments],
        env={**kept, "COLUMNS": "160", "MUNINN_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def written(folder: Path, text: str) -> str:
    path = folder / "own.yaml"
    path.write_text(text)
    return str(path)


def test_check_counts_what_is_there_or_names_file_rule_and_field(tmp_path: Path) -> None:
    good = told(tmp_path, "check", written(tmp_path, RULES % "warning"))
    assert (good.returncode, good.stdout) == (0, "1 files: 1 rules, 1 receivers; no faults\n")
    bad = told(tmp_path, "check", written(tmp_path, RULES.replace("above: 10", "abve: 10") % "warning"))
    assert bad.returncode == 1
    assert "own.yaml" in bad.stderr
    assert "queue_long" in bad.stderr
    assert "abve" in bad.stderr
    none = told(tmp_path, "check", str(tmp_path / "missing.yaml"))
    assert none.returncode != 0
    assert "missing.yaml" in none.stderr
    assert "Traceback" not in none.stderr


def test_list_shows_the_rules_that_come_with_it_and_where_from(tmp_path: Path) -> None:
    found = told(tmp_path, "list")
    assert found.returncode == 0
    (line,) = [line for line in found.stdout.splitlines() if "muninn_postgres_away" in line]
    assert "critical < 0.5" in line
    assert "muninn.yaml" in line


def test_tests_of_a_file_pass_or_say_what_came_instead(tmp_path: Path) -> None:
    good = told(tmp_path, "test", written(tmp_path, RULES % "warning"))
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "1 tests, none failed")
    bad = told(tmp_path, "test", written(tmp_path, RULES % "critical"))
    assert (bad.returncode, bad.stdout.splitlines()[-1]) == (1, "1 tests, 1 failed")
    assert "a long queue" in bad.stdout
    assert "warning" in bad.stdout


def test_rules_run_over_a_recording(tmp_path: Path) -> None:
    rows = ["metric,timestamp,value,labels"]
    for step in range(60):
        value = 50 if 20 <= step < 40 else 1
        rows.append(f'queue_depth,{BEGINS_MS + step * 10_000},{value},"{{""queue"": ""mail""}}"')
    data = tmp_path / "recorded.csv"
    data.write_text("\n".join(rows) + "\n")
    picture = tmp_path / "fired.svg"
    rules = written(tmp_path, RULES % "warning")
    found = told(tmp_path, "test", rules, "--data", str(data), "--json", "--picture", str(picture))
    assert found.returncode == 0, found.stderr
    (alert,) = json.loads(found.stdout)
    own = {"metric": "queue_depth", "queue": "mail"}
    assert alert["labels"] == {**own, "rule": "queue_long", "severity": "warning"}
    assert picture.read_text().startswith("<svg")
    unknown = told(tmp_path, "test", rules, "--data", str(data), "--rule", "queue_lng")
    assert unknown.returncode != 0
    assert "queue_lng" in unknown.stderr


def test_labels_that_look_like_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    rows = ["metric,timestamp,value,label.queue"]
    rows += [
        f"queue_depth,{BEGINS_MS + step * 10_000},50,{queue}" for step in range(20) for queue in ("[/mail]", "[b]:x:")
    ]
    data = tmp_path / "recorded.csv"
    data.write_text("\n".join(rows) + "\n")
    found = told(tmp_path, "test", written(tmp_path, RULES % "warning"), "--data", str(data))
    assert found.returncode == 0, found.stderr
    assert "queue=[/mail]" in found.stdout
    assert "queue=[b]:x:" in found.stdout


def test_a_budget_that_burns_in_a_recording_is_found(tmp_path: Path) -> None:
    """Two hours of requests of which one in ten fails in the second: 20 times as fast as half a percent allows."""
    rows = ["metric,timestamp,value,label.status"]
    for minute in range(120):
        bad = max(0, minute - 60) * 10
        for status, total in (("200", minute * 100 - bad), ("500", bad)):
            rows.append(f"requests_total,{BEGINS_MS + minute * 60_000},{total},{status}")
    data = tmp_path / "recorded.csv"
    data.write_text("\n".join(rows) + "\n")
    rules = written(
        tmp_path,
        "rules:\n  - {name: slo, kind: slo, metric: requests_total, by: [],"
        ' objective: {target: 99.5, bad: {status: "=~5.."}},\n'
        "     levels: [{severity: critical, burn: 6, long: 1h, short: 5m}]}\n",
    )
    found = told(tmp_path, "test", rules, "--data", str(data), "--json")
    assert found.returncode == 0, found.stderr
    (alert,) = json.loads(found.stdout)
    assert (alert["rule"], alert["severity"], alert["limit"]) == ("slo", "critical", 6.0)
    assert alert["value"] > 6
