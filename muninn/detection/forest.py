"""The multivariate model of places: an isolation forest and a distance that knows correlations, as arrays.

Belongs here: the model as arrays, its score, its contributions, bytes and back. Does not: training (training),
where features come from (places).

Each place is measured by its own median and spread, so that one model serves all. The raw score is Liu, Ting and
Zhou's 2^(-depth / c), which sees rare combinations but nothing beyond the largest value of the training, plus
log(1 + d^2 / columns), d being Mahalanobis' distance, which sees how far beyond and broken correlations. It is
compared with what the training showed: `unit` above its 99.9 % quantile is 0.8. Contributions are Shapley values of
that raw score against the place's usual minute, by sampled orders of the features: each order's steps add up to the
whole difference, and so do their means.
Fails: for places without a week of minutes; where a fault changes nothing but one feature inside its range; for
what differs only in time of day while the training knew few days.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muninn.detection.places import FeatureRows
from muninn.detection.state import Floats
from muninn.errors import Invalid

# e / (e + 1 / 4): 0.8 at one unit, as every score.
_SCORE_SHARE = 0.25
_ORDERS = 16
_MOST_SPREADS = 12.0


@dataclass(frozen=True, eq=False)
class Model:
    """columns: names of the features, in order. places: name -> row of median and spread (float64[places, columns]).

    The trees of the forest, one after the other: split int32[nodes] (the column, -1 in a leaf), threshold
    float64[nodes], left, right int32[nodes] (-1 in a leaf), depth float64[nodes] (the path's length in a leaf);
    root int32[trees]. precision: float64[columns, columns], of the distance. usual, far: the median and the 99.9 %
    quantile of raw scores in training; normal: float64, the mean depth that 2^-1 stands for.
    """

    columns: tuple[str, ...]
    places: Mapping[str, int]
    median: Floats
    spread: Floats
    split: NDArray[np.int32]
    threshold: Floats
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    depth: Floats
    root: NDArray[np.int32]
    precision: Floats
    usual: float
    far: float
    normal: float

    def measured(self, rows: FeatureRows, columns: Sequence[str]) -> tuple[NDArray[np.intp], Floats]:
        """The rows of places that the model knows, and their features in spreads from their median, 0 where missing."""
        known = np.array([row for row, place in enumerate(rows.places) if place in self.places], np.intp)
        where, chosen = self._of(rows, known, columns)
        far = np.nan_to_num((chosen - self.median[where]) / self.spread[where], nan=0.0)
        return known, np.clip(far, -_MOST_SPREADS, _MOST_SPREADS)

    def confidence(self, rows: FeatureRows, known: NDArray[np.intp], columns: Sequence[str]) -> Floats:
        """float64[known], 0..1: of the features that vary in each of these rows' places, the share shown now."""
        where, chosen = self._of(rows, known, columns)
        varies = np.isfinite(self.spread[where])
        shown = (varies & np.isfinite(chosen)).sum(axis=1)
        found: Floats = shown / np.maximum(1, varies.sum(axis=1))
        return found

    def _of(
        self, rows: FeatureRows, known: NDArray[np.intp], columns: Sequence[str]
    ) -> tuple[NDArray[np.intp], Floats]:
        """Where the places of these rows stand in the model, and the features that it is of."""
        where = np.array([self.places[rows.places[row]] for row in known.tolist()], np.intp)
        return where, rows.values[known][:, [list(columns).index(name) for name in self.columns]]

    def raw(self, far: Floats) -> Floats:
        """float64[n]: how odd rows in spreads are, unbounded."""
        distance = np.einsum("ij,jk,ik->i", far, self.precision, far)
        found: Floats = self.rarity(far) + np.log1p(np.maximum(0.0, distance) / len(self.columns))
        return found

    def rarity(self, far: Floats) -> Floats:
        """float64[n]: 2^(-depth / normal); all trees and rows walk down together."""
        node = np.broadcast_to(self.root, (len(far), len(self.root))).copy()
        rows = np.arange(len(far))[:, None]
        while True:
            column = self.split[node]
            inner = column >= 0
            if not inner.any():
                found: Floats = np.exp2(-self.depth[node].mean(axis=1) / self.normal)
                return found
            goes_left = far[rows, np.maximum(column, 0)] <= self.threshold[node]
            node = np.where(inner, np.where(goes_left, self.left[node], self.right[node]), node)

    def score(self, raw: Floats) -> Floats:
        """float64[n], 0..1, with the meaning that every score has."""
        unit = max(1e-9, (self.far - self.usual) / 3.0)
        beyond = np.maximum(0.0, (raw - self.far) / unit)
        return beyond / (beyond + _SCORE_SHARE)

    def shapley(self, far: Floats, seed: int = 0) -> Floats:
        """float64[columns]: of one row, what each feature adds to the raw score of the usual minute (all zeros).

        They add up to raw(row) - raw(usual), exactly but for rounding.
        """
        n, random = len(far), np.random.default_rng(seed)
        found = np.zeros(n)
        orders = [random.permutation(n) for _ in range(_ORDERS // 2)]
        for order in (*orders, *(order[::-1] for order in orders)):
            path = np.zeros((n + 1, n))
            for step, column in enumerate(order):
                path[step + 1 :, column] = far[column]
            found[order] += np.diff(self.raw(path))
        return found / _ORDERS

    def shares(self, far: Floats, score: float) -> Floats:
        """float64[columns]: signed shares of one row's score: what added to it, up where it lies above its median."""
        added = np.maximum(0.0, self.shapley(far))
        total = added.sum()
        return np.sign(far) * added * (score / total if total > 0 else 0.0)

    def to_bytes(self) -> bytes:
        """The model; `from_bytes` gives equal scores."""
        file = io.BytesIO()
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        numbers = np.array([self.usual, self.far, self.normal])
        names = {"columns": np.array(self.columns), "place_names": np.array(list(self.places), dtype=np.str_)}
        np.savez_compressed(file, numbers=numbers, allow_pickle=False, **arrays, **names)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Model":
        """The model that was saved; Invalid if it is none."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as found:
                usual, far, normal = found["numbers"].tolist()
                places = {str(name): place for place, name in enumerate(found["place_names"].tolist())}
                columns = tuple(str(name) for name in found["columns"].tolist())
                arrays = {name: found[name] for name in _ARRAYS}
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise Invalid(f"this is no model of places: {error}") from error
        return cls(columns, places, usual=usual, far=far, normal=normal, **arrays)


_ARRAYS = ("median", "spread", "split", "threshold", "left", "right", "depth", "root", "precision")
