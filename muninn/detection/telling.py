"""Verdicts and silences as the scores that are sent out.

Belongs here: putting columns together. Does not: what is worth sending (watch), the wire (model.scores).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from muninn.detection.state import VIEWS, Floats, Index, Ints
from muninn.detection.verdicts import Verdicts
from muninn.model import ScoreBatch, SeriesKey

SILENCE = "silence"
ALL_VIEWS = (*VIEWS, SILENCE)


def judged(until_us: int, verdicts: Verdicts, at_us: Ints, index: Index, keys: Sequence[SeriesKey]) -> ScoreBatch:
    """Scores of samples of distinct series."""
    shares = np.concatenate([verdicts.contributions, np.zeros((len(verdicts), 1))], axis=1)
    return ScoreBatch(
        until_us,
        at_us,
        np.arange(len(index), dtype=np.int32),
        tuple(keys[place] for place in index.tolist()),
        verdicts.score,
        verdicts.watched,
        verdicts.expected,
        verdicts.low,
        verdicts.high,
        verdicts.confidence,
        verdicts.learning,
        shares,
        ALL_VIEWS,
    )


def silent(
    until_us: int, score: Floats, seen_us: Ints, last: Floats, index: Index, keys: Sequence[SeriesKey]
) -> ScoreBatch:
    """Scores of series that sent nothing: seen_us, last: when and what they last sent."""
    shares = np.zeros((len(index), len(ALL_VIEWS)))
    shares[:, -1] = -score
    return ScoreBatch(
        until_us,
        seen_us,
        np.arange(len(index), dtype=np.int32),
        tuple(keys[place] for place in index.tolist()),
        score,
        last,
        last,
        last,
        last,
        np.ones(len(index)),
        np.zeros(len(index), bool),
        shares,
        ALL_VIEWS,
    )


def joined(one: ScoreBatch, other: ScoreBatch) -> ScoreBatch:
    """Both, of distinct series and the same views."""
    if not len(other):
        return one
    columns = ("at_us", "score", "value", "expected", "low", "high", "confidence", "learning", "contributions")
    both: dict[str, Any] = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in columns}
    index = np.concatenate([one.key_index, other.key_index + len(one.keys)]).astype(np.int32)
    return replace(one, key_index=index, keys=one.keys + other.keys, **both)
