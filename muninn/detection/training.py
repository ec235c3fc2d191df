"""Training the multivariate model, and judging whether a new one may take the old one's place.

Belongs here: rows of features -> model, figures, the comparison. Does not: reading rows, keeping models.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from muninn.clock import HOUR_US, MINUTE_US
from muninn.detection.features import HOUR, WEEKDAY
from muninn.detection.forest import Model
from muninn.detection.places import FeatureRows
from muninn.detection.state import Floats
from muninn.errors import Invalid
from muninn.model import Window
from muninn.model.scores import ANOMALY

TREES, SAMPLE = 100, 256
# A place is modelled from so many minutes on.
FEWEST_ROWS = 200
# A feature that most minutes of a place lack is not one of it.
_LEAST_SHARE = 0.5
# Faults that both models are tried on: so many spreads, on so many features at a time.
_TRIAL_SPREADS, _TRIAL_FEATURES, _TRIALS = 8.0, 2, 400
_LEAST_SPREAD_SHARE = 1e-4
# Middle and spread of what tells the time: a place that was trained on a Monday alone knows Tuesdays too.
_OF_TIME = {HOUR: (12.0, 7.0), WEEKDAY: (3.0, 2.0)}
# A detector confirms before it opens an incident: what was bad before that is no peace either.
_BEFORE_US = 2 * MINUTE_US
# An incident that lasts longer is a new normal, which is learned.
_LONGEST_ALARM_US = 6 * HOUR_US
# A model may be this much worse than the one in use: less is chance.
_TOLERANCE = 0.02


@dataclass(frozen=True)
class Figures:
    """How a model does on rows that it has not seen: false alarms by the row, and the share of made faults found."""

    rows: int
    places: int
    false_share: float
    found_share: float

    def as_dict(self) -> dict[str, float]:
        """For storing and showing."""
        return {name: float(value) for name, value in vars(self).items()}


def in_peace(rows: Sequence[FeatureRows], alarms: Sequence[tuple[str, Window]]) -> list[FeatureRows]:
    """The rows, in order of time, without places in the first hours of their incidents: a model learns no alarms."""
    at_us = np.array([each.at_us for each in rows], np.int64)
    dropped: dict[int, set[str]] = {}
    for place, alarm in alarms:
        until_us = min(alarm.until_us, alarm.since_us + _LONGEST_ALARM_US) + MINUTE_US
        first, last = np.searchsorted(at_us, [alarm.since_us - _BEFORE_US, until_us])
        for row in range(int(first), int(last)):
            dropped.setdefault(row, set()).add(place)
    return [each.without(dropped[row]) if row in dropped else each for row, each in enumerate(rows)]


def train(rows: Sequence[FeatureRows], columns: Sequence[str], seed: int = 0) -> Model:
    """A model of these rows, minutes of all places; Invalid where there are too few of them."""
    from sklearn.ensemble import IsolationForest

    by_place = _by_place(rows)
    if not by_place:
        raise Invalid(f"no place has {FEWEST_ROWS} rows of features yet: train again when there are more days")
    chosen = [place for place, _ in enumerate(columns) if any(_has(part, place) for part in by_place.values())]
    parts = [part[:, chosen] for part in by_place.values()]
    median, spread = (np.stack(each) for each in zip(*map(_usual, parts), strict=True))
    for place, column in enumerate(chosen):
        if columns[column] in _OF_TIME:
            median[:, place], spread[:, place] = _OF_TIME[columns[column]]
    names = {name: place for place, name in enumerate(by_place)}
    far = np.concatenate([_far(part, *usual) for part, *usual in zip(parts, median, spread, strict=True)])
    forest = IsolationForest(n_estimators=TREES, max_samples=min(SAMPLE, len(far)), random_state=seed).fit(far)
    trees = _trees(forest)
    normal = _average_path(np.array([forest.max_samples_], np.float64))[0]
    chosen_names = tuple(columns[place] for place in chosen)
    precision = _precision(far, chosen_names)
    model = Model(
        chosen_names, names, median, spread, precision=precision, usual=0.0, far=1.0, normal=float(normal), **trees
    )
    usual, most = np.quantile(model.raw(far), [0.5, 0.999])
    return replace(model, usual=float(usual), far=float(most))


def evaluate(model: Model, rows: Sequence[FeatureRows], columns: Sequence[str], seed: int = 0) -> Figures:
    """Figures of rows that the model was not trained on."""
    parts = [model.measured(each, columns)[1] for each in rows]
    far = np.concatenate(parts) if parts else np.zeros((0, len(model.columns)))
    if not len(far):
        return Figures(0, 0, 0.0, 0.0)
    random = np.random.default_rng(seed)
    ill = far[random.integers(0, len(far), _TRIALS)].copy()
    own = [place for place, name in enumerate(model.columns) if name not in _OF_TIME]
    for row in ill:
        for column in random.choice(own, min(_TRIAL_FEATURES, len(own)), replace=False):
            row[column] += _TRIAL_SPREADS * random.choice((-1.0, 1.0))
    alarms, found = (model.score(model.raw(each)) > ANOMALY for each in (far, ill))
    known = {place for each in rows for place in each.places if place in model.places}
    return Figures(len(far), len(known), float(alarms.mean()), float(found.mean()))


def may_replace(new: Figures, old: Figures | None) -> tuple[bool, str]:
    """Whether a model is not worse than the one in use, both judged on the same rows; and why."""
    if new.rows == 0:
        return False, "there were no rows to judge it on"
    if old is None or old.rows == 0:
        return True, "there was no model in use"
    if new.false_share > old.false_share + _TOLERANCE:
        return False, f"more false alarms: {new.false_share:.2%} of rows, not {old.false_share:.2%}"
    if new.found_share < old.found_share - _TOLERANCE:
        return False, f"fewer faults found: {new.found_share:.0%}, not {old.found_share:.0%}"
    return True, "not worse than the one in use"


def _by_place(rows: Sequence[FeatureRows]) -> dict[str, Floats]:
    collected: dict[str, list[Floats]] = {}
    for each in rows:
        for place, values in zip(each.places, each.values, strict=True):
            collected.setdefault(place, []).append(values)
    return {place: np.stack(part) for place, part in collected.items() if len(part) >= FEWEST_ROWS}


def _has(part: Floats, column: int) -> bool:
    return bool(np.isfinite(part[:, column]).mean() >= _LEAST_SHARE)


def _usual(part: Floats) -> tuple[Floats, Floats]:
    """Median and spread (from the quartiles) of each column; infinitely wide where it is empty or does not vary."""
    filled = np.where(np.isfinite(part).any(axis=0), part, 0.0)
    low, median, high = np.nanquantile(filled, [0.25, 0.5, 0.75], axis=0)
    spread = (high - low) / 1.349
    return median, np.where(spread > _LEAST_SPREAD_SHARE * np.abs(median), spread, np.inf)


def _precision(far: Floats, names: Sequence[str]) -> Floats:
    """The inverse covariance, shrunk; what tells the time has no part in it: it varies with nothing in a line."""
    from sklearn.covariance import LedoitWolf

    own = [place for place, name in enumerate(names) if name not in _OF_TIME]
    found = np.zeros((len(names), len(names)))
    # A column that does not vary anywhere would have an infinite say.
    varying = [place for place in own if far[:, place].std() > 0]
    found[np.ix_(varying, varying)] = LedoitWolf(assume_centered=True).fit(far[:, varying]).precision_
    return found


def _far(part: Floats, median: Floats, spread: Floats) -> Floats:
    return np.clip(np.nan_to_num((part - median) / spread, nan=0.0), -12.0, 12.0)


def _trees(forest: Any) -> dict[str, Any]:
    """The forest's trees as the arrays of a Model."""
    columns: list[list[np.ndarray]] = [[], [], [], [], []]
    roots, start = [], 0
    for tree in (estimator.tree_ for estimator in forest.estimators_):
        inner = tree.children_left >= 0
        depth = tree.compute_node_depths() - 1 + _average_path(tree.n_node_samples.astype(np.float64))
        parts = (
            np.where(inner, tree.feature, -1).astype(np.int32),
            np.where(inner, tree.threshold, 0.0),
            np.where(inner, tree.children_left + start, -1).astype(np.int32),
            np.where(inner, tree.children_right + start, -1).astype(np.int32),
            np.where(inner, 0.0, depth),
        )
        for column, part in zip(columns, parts, strict=True):
            column.append(part)
        roots.append(start)
        start += tree.node_count
    names = ("split", "threshold", "left", "right", "depth")
    arrays = {name: np.concatenate(column) for name, column in zip(names, columns, strict=True)}
    return arrays | {"root": np.array(roots, np.int32)}


def _average_path(samples: Floats) -> Floats:
    """The mean length of an unsuccessful search in a tree of so many samples."""
    many = np.maximum(samples, 3.0)
    path = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.where(samples <= 1, 0.0, np.where(samples == 2, 1.0, path))
