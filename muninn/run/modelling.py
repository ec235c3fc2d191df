"""The multivariate model at work in the detector: features minute by minute, its scores, the model in use.

Belongs here: the order of things between the store and the model. Does not: features, scores (detection).
"""

import logging
from collections.abc import Sequence

import numpy as np

from muninn.clock import MINUTE_US
from muninn.detection.episodes import Episodes
from muninn.detection.features import MODELLED
from muninn.detection.forest import Model
from muninn.detection.places import FeatureRows, Places
from muninn.detection.state import Floats, Index, Ints
from muninn.detection.wall_clock import UTC
from muninn.detection.watch import Findings
from muninn.errors import Invalid, Unavailable
from muninn.model import ScoreBatch, SeriesKey
from muninn.model.scores import WORTH_SENDING
from muninn.names import MODEL_SCORE
from muninn.store import models
from muninn.store.database import Database

log = logging.getLogger(__name__)

_KEEP_EVERY = 5 * MINUTE_US


class Modelling:
    """Judges places once a minute, by the model in use; without one it only keeps features to train the first."""

    def __init__(self, database: Database, calm_s: float, time_zone: str = UTC):
        self.places = Places(time_zone)
        self._database = database
        self._model: Model | None = None
        self._model_id = 0
        self._calm_us = round(calm_s * 1e6)
        self._keys: list[SeriesKey] = []
        self._index: dict[str, int] = {}
        # By position: what was last seen, and when.
        self._raw: Floats = np.zeros(0)
        self._seen_us: Ints = np.zeros(0, np.int64)
        self._episodes = Episodes(0, self._calm_us)

    def turn(self, now_us: int) -> Findings | None:
        """Once a minute: keep features, take up a new model, judge; None where there is nothing to tell."""
        rows = self.places.close(now_us)
        if rows is None:
            return None
        try:
            if rows.at_us % _KEEP_EVERY == 0:
                models.save_features(self._database, rows)
            self._take_up()
        except Unavailable as error:
            log.warning("features are not kept: %s", error)
        return self.judge(rows) if self._model is not None else None

    def resume(self, key: SeriesKey, now_us: int) -> None:
        """This place was in an episode when the last detector stopped."""
        position = self._position(key)
        self._seen_us[position] = max(now_us, int(self._seen_us[position]))
        self._episodes.restore(np.array([position]), now_us)

    def forget_gone(self, keys: Sequence[SeriesKey], before_us: int) -> None:
        """The list of all series, `keys`, was made anew; places that were not judged since are let go of."""
        self.places.renumber(keys)
        stays = np.flatnonzero((self._seen_us >= before_us) | self._episodes.open[: len(self._keys)])
        if len(stays) == len(self._keys):
            return
        self._keys = [self._keys[position] for position in stays.tolist()]
        self._index = {key.instance_id: position for position, key in enumerate(self._keys)}
        self._raw, self._seen_us = self._raw[stays], self._seen_us[stays]
        self._episodes = self._episodes.taken(stays, len(stays))

    def put_back(self, now_us: int) -> None:
        """The clock was ahead: no place was seen later than now."""
        np.minimum(self._seen_us, now_us, out=self._seen_us)
        self._episodes.put_back(now_us)
        self.places.put_back(now_us)

    def judge(self, rows: FeatureRows) -> Findings | None:
        """The scores of one minute; None where the model knows none of the places and no episode is open.

        An episode may end without a row: its place may be gone, or the model know it no more.
        """
        model = self._model
        known, far = model.measured(rows, MODELLED) if model is not None else (np.zeros(0, np.intp), np.zeros((0, 0)))
        if not len(known) and not self._episodes.open.any():
            return None
        raw = model.raw(far) if model is not None else np.zeros(0)
        score = model.score(raw) if model is not None else np.zeros(0)
        sure = model.confidence(rows, known, MODELLED) if model is not None else np.zeros(0)
        keys = [
            SeriesKey.of(MODEL_SCORE, {"place": rows.places[row]}, rows.agents[row], rows.places[row])
            for row in known.tolist()
        ]
        index = np.array([self._position(key) for key in keys], np.intp)
        self._raw[index], self._seen_us[index] = raw, rows.at_us
        turns = self._episodes.judge(index, score, score, score, rows.at_us)
        mute = np.setdiff1d(turns.closed, index)
        shares = np.zeros((len(keys) + len(mute), far.shape[1]))
        for row in np.flatnonzero(score >= WORTH_SENDING).tolist():
            assert model is not None
            shares[row] = model.shares(far[row], float(score[row]))
        matters = np.flatnonzero((score >= WORTH_SENDING) | self._episodes.open[index] | np.isin(index, turns.closed))
        told = np.concatenate([matters, len(keys) + np.arange(len(mute))])
        index = np.concatenate([index, mute])
        scores = self._scores(
            rows.at_us, index, np.append(score, np.zeros(len(mute))), np.append(sure, np.ones(len(mute))), shares
        )
        opened, closed = (np.flatnonzero(np.isin(index[told], part)) for part in (turns.opened, turns.closed))
        return Findings(scores.take(told), opened, closed, len(keys))

    def _scores(self, at_us: int, index: Index, score: Floats, sure: Floats, shares: Floats) -> ScoreBatch:
        """Of the places at these positions, each as it was last seen."""
        n, model = len(index), self._model
        usual, far, columns = (model.usual, model.far, model.columns) if model is not None else (0.0, 0.0, ())
        keys = tuple(self._keys[place] for place in index.tolist())
        return ScoreBatch(
            at_us, self._seen_us[index], np.arange(n, dtype=np.int32), keys, score, self._raw[index],
            np.full(n, usual), np.zeros(n), np.full(n, far), sure, np.zeros(n, bool), shares, columns,
        )  # fmt: skip

    def _position(self, key: SeriesKey) -> int:
        position = self._index.setdefault(key.instance_id, len(self._keys))
        if position == len(self._keys):
            self._keys.append(key)
            self._raw, self._seen_us = np.append(self._raw, 0.0), np.append(self._seen_us, 0)
            self._episodes.grow(len(self._keys))
        return position

    def _take_up(self) -> None:
        found = models.in_use(self._database, self._model_id)
        if found is None:
            return
        self._model_id = found[0]
        try:
            self._model = Model.from_bytes(found[1])
            log.info("model %d is in use for %d places", self._model_id, len(self._model.places))
        except Invalid as error:
            log.warning("model %d cannot be used: %s", self._model_id, error)
