"""Noise: which rules alert often for nothing, and what a change of the rule would have done.

Belongs here: judging a rule by its past, and proposing. Does not: reading the past, replaying (replay).
"""

from dataclasses import dataclass

from muninn.alerting.rules import Level, Rule
from muninn.alerting.spans import text

# From so many on a rule's record says something.
ENOUGH = 3
_SHORT_S = 300.0
_NOISY_SHARE = 0.5
_LONGER = 2.0


@dataclass(frozen=True)
class Record:
    """What became of a rule's alerts over a span: counts, and their median duration in seconds."""

    rule: str
    fired: int
    short: int
    useful: int
    not_useful: int
    acknowledged: int
    flapping: int
    median_s: float | None = None

    @property
    def precision(self) -> float | None:
        """Share of the alerts that people judged which were useful; None where nobody judged any."""
        judged = self.useful + self.not_useful
        return self.useful / judged if judged else None


@dataclass(frozen=True)
class Suggestion:
    """Why a rule is noisy, and the rule as it could be."""

    rule: str
    why: str
    changed: Rule
    change: str


def suggest(rule: Rule, record: Record) -> Suggestion | None:
    """A change for a rule that is noisy: it waits longer, or ends less easily; None where the record is fine.

    The limit stays as it is: how bad is bad is for people to say, how long it has to last is where noise comes from.
    """
    if record.fired < ENOUGH:
        return None
    judged = record.useful + record.not_useful
    if judged >= ENOUGH and record.not_useful / judged > _NOISY_SHARE:
        return _longer(rule, f"{record.not_useful} of {judged} judged alerts were not useful")
    if record.flapping >= ENOUGH:
        hold_s = max(300.0, rule.recover_for_s * _LONGER)
        changed = rule.model_copy(update={"recover_for_s": hold_s})
        why = f"{record.flapping} of {record.fired} alerts came back again and again"
        return Suggestion(rule.name, why, changed, f"recover_for: {text(hold_s)}")
    if record.short / record.fired > _NOISY_SHARE and not record.useful:
        return _longer(rule, f"{record.short} of {record.fired} alerts were over within 5 minutes")
    return None


def _longer(rule: Rule, why: str) -> Suggestion:
    levels = tuple(_waiting(level) for level in rule.levels)
    changed = rule.model_copy(update={"levels": levels})
    words = ", ".join(f"{level.severity} for: {text(level.hold_s)}" for level in levels)
    return Suggestion(rule.name, why, changed, words)


def _waiting(level: Level) -> Level:
    return level.model_copy(update={"hold_s": max(120.0, level.hold_s * _LONGER)})
