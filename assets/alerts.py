"""Group alerts: how rules were judged, day by day, and once a week which of them are noise.

Belongs here: the history of rules as lineage, the report and its picture. Does not: judging (the alerter), replay
(muninn.operations.alerts.history).
"""

import base64
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from assets.partitions import DAILY, window_of
from assets.resources import MuninnResource
from muninn.alerting.alert import Alert
from muninn.alerting.noise import Record, Suggestion, suggest
from muninn.alerting.rules import Rule
from muninn.alerting.timeline import svg
from muninn.clock import DAY_US
from muninn.errors import MuninnError
from muninn.model import Window
from muninn.model.window import as_datetime
from muninn.operations.alerts import history
from muninn.operations.alerts.rulebook import Rulebook
from muninn.reads.alerts import AlertRow, EvaluationRow
from muninn.store.alerts import AlertStore
from muninn.store.database import Database

GROUP = "alerts"
WEEK_US = 7 * DAY_US
# Each suggestion is replayed over the week: the noisiest rules are worth it.
_MAX_REPLAYS = 5
_SHOWN = 200


@dg.asset(partitions_def=DAILY, group_name=GROUP, kinds={"postgres"})
def alert_rule_history(context: dg.AssetExecutionContext, muninn: MuninnResource) -> dg.MaterializeResult[None]:
    """How each rule did on a day: how often it was judged, on how many series, what fired, what it cost."""
    window = window_of(context.partition_time_window)
    with muninn.reads() as reads:
        found = reads.alert_evaluations(window)
    rules = _by_rule(found)
    return dg.MaterializeResult(
        metadata={
            "rules": dg.MetadataValue.int(len(rules)),
            "judgements": dg.MetadataValue.int(sum(each.evaluations for each in found)),
            "fired": dg.MetadataValue.int(sum(each.fired for each in found)),
            "resolved": dg.MetadataValue.int(sum(each.resolved for each in found)),
            "seconds_of_judging": dg.MetadataValue.float(round(sum(each.seconds for each in found), 3)),
            "hours_with_judgements": dg.MetadataValue.int(len({each.hour_ms for each in found})),
            "by_rule": dg.MetadataValue.md(_rules_table(rules)),
        }
    )


@dg.asset(group_name=GROUP, kinds={"postgres"})
def alert_noise_report(context: dg.AssetExecutionContext, muninn: MuninnResource) -> dg.MaterializeResult[None]:
    """The week's alerts: which rules were noise, and what a change of them would have done to the same week.

    The report is also kept as HOME/reports/alert-noise-<day>.md.
    """
    started = time.perf_counter()
    now_us = muninn.clock.now_us()
    window = Window(now_us - WEEK_US, now_us)
    with muninn.reads() as reads:
        records = reads.alert_records(window)
        rows = [row for row in reads.alerts(("firing", "resolved"), window.since_us, None, 5_000) if row.fired_ms]
    with muninn.database() as database:
        rules = _rules(muninn, database)
        hints = _hints(rules, records)
        effects = {hint.rule: _effect(context, database, rules[hint.rule], hint, window) for hint in hints}
    text = _report(window, records, hints, effects)
    file = _keep(muninn.settings.home, window, text)
    judged = sum(each.useful + each.not_useful for each in records)
    useful = sum(each.useful for each in records)
    picture = base64.b64encode(svg([_drawn(row) for row in rows], window).encode()).decode()
    return dg.MaterializeResult(
        metadata={
            "alerts": dg.MetadataValue.int(sum(each.fired for each in records)),
            "over_within_5_min": dg.MetadataValue.int(sum(each.short for each in records)),
            "judged": dg.MetadataValue.int(judged),
            **({"useful_share": dg.MetadataValue.float(round(useful / judged, 3))} if judged else {}),
            "noisy_rules": dg.MetadataValue.int(len(hints)),
            "report": dg.MetadataValue.md(text),
            "time_line": dg.MetadataValue.md(f"![time line](data:image/svg+xml;base64,{picture})"),
            "file": dg.MetadataValue.path(str(file)),
            "seconds": dg.MetadataValue.float(round(time.perf_counter() - started, 3)),
        }
    )


def _rules(muninn: MuninnResource, database: Database) -> dict[str, Rule]:
    book = Rulebook(muninn.settings)
    book.look(AlertStore(database).rules())
    return {rule.name: rule for rule in book.book.rules}


def _hints(rules: Mapping[str, Rule], records: Sequence[Record]) -> list[Suggestion]:
    """For the noisiest rules."""
    found = [suggest(rules[each.rule], each) for each in records if each.rule in rules]
    return [hint for hint in found if hint is not None][:_MAX_REPLAYS]


def _effect(context: dg.AssetExecutionContext, database: Database, rule: Rule, hint: Suggestion, window: Window) -> str:
    """What the change would have done to the week, in words; both are replayed, so that they are comparable."""
    try:
        before, kind = history.over_store(database, [rule], window)
        after, _ = history.over_store(database, [hint.changed], window)
    except MuninnError as error:
        context.log.warning("%s was not replayed: %s", rule.name, error)
        return "not replayed"
    return f"{len(before.fired)} alerts as it is, {len(after.fired)} with the change (from {kind})"


def _by_rule(found: Sequence[EvaluationRow]) -> dict[str, list[EvaluationRow]]:
    rules: dict[str, list[EvaluationRow]] = {}
    for row in found:
        rules.setdefault(row.rule, []).append(row)
    return rules


def _rules_table(rules: Mapping[str, Sequence[EvaluationRow]]) -> str:
    if not rules:
        return "no rule was judged on this day"
    lines = [
        f"| {name} | {sum(row.evaluations for row in rows):,} | {max(row.instances for row in rows):,} "
        f"| {sum(row.fired for row in rows)} | {sum(row.resolved for row in rows)} "
        f"| {1e6 * sum(row.seconds for row in rows) / max(1, sum(row.evaluations for row in rows)):,.0f} |"
        for name, rows in sorted(rules.items())[:_SHOWN]
    ]
    head = "| rule | judgements | most instances | fired | resolved | µs a judgement |"
    return "\n".join([head, "|---|--:|--:|--:|--:|--:|", *lines])


def _report(window: Window, records: Sequence[Record], hints: Sequence[Suggestion], effects: Mapping[str, str]) -> str:
    head = f"Alerts from {window.since:%Y-%m-%d %H:%M} to {window.until:%Y-%m-%d %H:%M} UTC"
    if not records:
        return f"# {head}\n\nNone fired.\n"
    lines = [
        f"| {each.rule} | {each.fired} | {each.short} | {each.useful} | {each.not_useful} | {each.flapping} |"
        for each in records[:_SHOWN]
    ]
    table = ["| rule | fired | over in 5 min | useful | not useful | flapping |", "|---|--:|--:|--:|--:|--:|", *lines]
    advice = [f"- **{each.rule}**: {each.why}. Try `{each.change}`: {effects[each.rule]}." for each in hints]
    return "\n".join([f"# {head}", "", *table, "", "## What to change", "", *(advice or ["Nothing."]), ""])


def _keep(home: Path, window: Window, text: str) -> Path:
    file = home / "reports" / f"alert-noise-{as_datetime(window.until_us):%Y-%m-%d}.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def _drawn(row: AlertRow) -> Alert:
    """What the picture needs of an alert."""
    return Alert(
        row.alert_id, row.rule, row.fingerprint, tuple(sorted(row.labels.items())), row.severity, "firing", row.value,
        row.limit, row.started_ms * 1000, row.at_ms * 1000, fired_us=(row.fired_ms or row.started_ms) * 1000,
        resolved_us=None if row.resolved_ms is None else row.resolved_ms * 1000, summary=row.summary,
    )  # fmt: skip
