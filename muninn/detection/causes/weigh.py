"""How probable each cause is, from what was seen.

Belongs here: the arithmetic. Does not: the table.

Each clue that was seen leaves 1 - weight * strength of the doubt that was there; a clue against a cause takes its
share of the confidence away. A clue counts once, however many series show it.
Fails: for causes that are not in the table, and for two causes at a time, which share their clues.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from muninn.detection.causes.table import CAUSES, SILENT, Cause

_MOST = 0.95
_LEAST = 0.3


@dataclass(frozen=True)
class Observation:
    """One series (or announcement) in trouble: its feature, how it moves, how surely (0..1), and its name."""

    feature: str
    moves: str
    strength: float
    series: str


@dataclass(frozen=True)
class Probable:
    """A cause with its confidence, 0..1, and the evidence: (what it says, the series that shows it)."""

    cause: Cause
    confidence: float
    evidence: tuple[tuple[str, str], ...]


def weigh(seen: Sequence[Observation], causes: Iterable[Cause] = CAUSES) -> list[Probable]:
    """The causes that are probable enough to name, the most probable first."""
    found = [_weighed(cause, seen) for cause in causes]
    return sorted((each for each in found if each.confidence >= _LEAST), key=lambda each: -each.confidence)


def _weighed(cause: Cause, seen: Sequence[Observation]) -> Probable:
    doubt, against, evidence = 1.0, 1.0, []
    for clue in cause.clues:
        fits = [each for each in seen if _fits(clue.feature, clue.moves, each)]
        if not fits:
            continue
        best = max(fits, key=lambda each: each.strength)
        if clue.weight < 0:
            against *= 1.0 + clue.weight * best.strength
        else:
            doubt *= 1.0 - clue.weight * best.strength
            evidence.append((clue.says, best.series))
    return Probable(cause, min(_MOST, (1.0 - doubt) * against), tuple(evidence))


def _fits(feature: str, moves: str, seen: Observation) -> bool:
    if moves != seen.moves:
        return False
    return feature == seen.feature or (feature == "*" and moves == SILENT)
