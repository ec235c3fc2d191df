"""What `muninn rules` does: checks, unit tests, rules over the past.

Belongs here: which files, words, tables. Does not: rules (alerting), replay (operations.alerts.history).
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import ValidationError
from rich.table import Table

from muninn.alerting.alert import Alert
from muninn.alerting.book import Book, from_yaml
from muninn.alerting.payloads import alert_json, rfc3339
from muninn.alerting.replay import Replayed
from muninn.alerting.rules import Rule
from muninn.alerting.ruletests import RuleTest, Verdict, run
from muninn.alerting.templates import labels_text
from muninn.alerting.timeline import svg
from muninn.clock import SystemClock
from muninn.errors import Invalid, Misconfigured
from muninn.model import Window
from muninn.operations.alerts import history, recorded, rulebook
from muninn.reads.times import parse_window
from muninn.run.paper import paper
from muninn.run.store import opened
from muninn.settings import Settings


@dataclass(frozen=True)
class Past:
    """What `rules test` is asked about the past."""

    files: Sequence[Path]
    since: str | None
    until: str
    data: Path | None
    rules: Sequence[str]
    picture: Path | None
    json: bool


def check(settings: Settings, files: Sequence[Path]) -> int:
    """Print every fault; the exit code."""
    paths = files or rulebook.files(settings)
    book, faults = rulebook.book(rulebook.read(paths), {})
    for fault in faults:
        print(fault, file=sys.stderr)
    parts = {
        "rules": len(book.rules),
        "receivers": len(book.receivers),
        "routes": len(book.routes),
        "inhibitions": len(book.inhibitions),
        "maintenance windows": len(book.maintenance),
    }
    counted = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    print(f"{len(paths)} files: {counted or 'nothing in them'}; {len(faults) or 'no'} faults")
    return 1 if faults else 0


def listed(settings: Settings) -> None:
    """Print the rules of files."""
    book, faults = rulebook.book(rulebook.read(rulebook.files(settings)), {})
    table = Table("rule", "kind", "metric", "levels", "from")
    for rule in book.rules:
        levels = ", ".join(
            f"{level.severity} {'<' if level.sign < 0 else '>'} {level.limit:g}" for level in rule.levels
        )
        off = "" if rule.enabled else " (off)"
        table.add_row(rule.name + off, rule.kind, rule.metric, levels, (book.sources or {}).get(rule.name, ""))
    paper().print(table)
    for fault in faults:
        print(fault, file=sys.stderr)


def unit(settings: Settings, files: Sequence[Path]) -> int:
    """Run the tests of files; the exit code."""
    paths = files or rulebook.files(settings)
    failed = ran = 0
    for path in paths:
        tests = _tests(path)
        own, faults = rulebook.book(rulebook.read([path]), {})
        everything = own if own.rules else rulebook.book(rulebook.read(rulebook.files(settings)), {})[0]
        for fault in faults:
            print(fault, file=sys.stderr)
        failed += len(faults)
        for test in tests:
            ran += 1
            verdict = run(test, everything.rules)
            failed += not verdict.ok
            _say(path, verdict)
    if not ran:
        print("No tests in these files: docs/alerting.md says how to write one.", file=sys.stderr)
        return 1
    print(f"{ran} tests, {failed or 'none'} failed")
    return 1 if failed else 0


def past(settings: Settings, asked: Past) -> None:
    """Run rules over the store or a file, and print what would have fired."""
    book = rulebook.book(rulebook.read(list(asked.files) or rulebook.files(settings)), {})[0]
    rules = _chosen(book, asked.rules)
    if asked.data is not None:
        result, window = recorded.over_file(asked.data, rules, settings.detection)
        kind = asked.data.name
    else:
        now_us = SystemClock().now_us()
        window = parse_window(asked.since or "-24h", asked.until, now_us)
        with opened(settings) as database:
            result, kind = history.over_store(database, rules, window)
    if asked.picture is not None:
        asked.picture.write_text(svg(result.fired, window), encoding="utf-8")
    if any(rule.kind == "anomaly" for rule in rules) and not result.scored:
        print("Rules on scores saw none: the detector said nothing in this time.", file=sys.stderr)
    if asked.json:
        print(orjson.dumps([alert_json(alert) for alert in result.fired], option=orjson.OPT_INDENT_2).decode())
        return
    _show(result, window, kind)


def _chosen(book: Book, names: Sequence[str]) -> list[Rule]:
    unknown = sorted(set(names) - {rule.name for rule in book.rules})
    if unknown:
        raise Invalid(f"there is no rule {', '.join(unknown)}; `muninn rules list` shows them", "rule")
    return [rule for rule in book.active if not names or rule.name in names]


def _show(result: Replayed, window: Window, kind: str) -> None:
    table = Table("fired", "for", "rule", "severity", "labels", "value")
    for alert in result.fired:
        value = "" if alert.value is None else f"{alert.value:.4g}"
        labels = labels_text(dict(alert.labels))
        table.add_row(rfc3339(alert.fired_us), _lasted(alert, window), alert.rule, alert.severity, labels, value)
    if result.fired:
        paper().print(table)
    pending = len(result.episodes) - len(result.fired)
    print(
        f"{len(result.fired)} alerts would have fired, {pending} were only pending;"
        f" {result.samples:,} samples of {result.series:,} series from {kind}, judged {result.steps:,} times"
    )


def _lasted(alert: Alert, window: Window) -> str:
    end_us = alert.resolved_us or window.until_us
    seconds = (end_us - (alert.fired_us or 0)) / 1e6
    return f"{seconds / 60:.1f} min" + ("" if alert.resolved_us else ", still")


def _tests(path: Path) -> list[RuleTest]:
    try:
        said = from_yaml(path.read_text(encoding="utf-8"))
        given = said.get("tests") or [] if isinstance(said, dict) else []
        return [RuleTest.model_validate(each) for each in given]
    except Invalid as error:
        raise Misconfigured(": ".join(filter(None, (str(path), error.parameter, str(error))))) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Misconfigured(f"{path}: tests: {field}: {first['msg']}") from None


def _say(path: Path, verdict: Verdict) -> None:
    print(f"{'ok    ' if verdict.ok else 'FAILED'} {path.name}: {verdict.name}")
    for difference in verdict.differences:
        print(f"         {difference}")
