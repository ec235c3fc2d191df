"""The model of places at work: features are kept, the model in use judges them, an episode opens and closes."""

import numpy as np
import pytest

from muninn.clock import MINUTE_US
from muninn.detection.features import MODELLED
from muninn.detection.incidents import Incidents
from muninn.detection.places import COLUMN, FeatureRows
from muninn.detection.training import train
from muninn.model import SeriesKey, Window
from muninn.names import MODEL_SCORE
from muninn.run.modelling import Modelling
from muninn.store import models
from muninn.store.database import Database

NOW = 1_767_571_200_000_000
NAMES = ("response_mean", "cpu", "memory")


def minute(at_us: int, random: np.random.Generator, off: float = 0.0) -> FeatureRows:
    values = np.full((1, len(MODELLED)), np.nan)
    load = random.normal()
    for name in NAMES:
        values[0, COLUMN[name]] = 10 + off + 0.7 * load + 0.3 * random.normal()
    values[0, COLUMN["cpu"]] -= 2 * off
    return FeatureRows(at_us, ("web-1",), ("agent",), values)


@pytest.fixture
def database(postgres_url: str) -> Database:
    return Database(postgres_url, pool_size=2).open()


def test_features_come_back_as_they_were_kept(database: Database) -> None:
    rows = minute(NOW, np.random.default_rng(0))
    for _ in range(2):
        models.save_features(database, rows)
    (found,) = models.features(database, Window(NOW, NOW + 1))
    assert (found.at_us, found.places, found.agents) == (NOW, ("web-1",), ("agent",))
    assert np.array_equal(found.values, rows.values, equal_nan=True)
    models.prune(database, NOW + 1)
    assert models.features(database, Window(NOW, NOW + 1)) == []


def test_the_model_in_use_judges_places_each_minute(database: Database) -> None:
    random = np.random.default_rng(0)
    rows = [minute(NOW + step * MINUTE_US, random) for step in range(400)]
    model_id = models.save(database, train(rows, MODELLED).to_bytes(), Window(NOW, NOW + 1), {"rows": 400.0}, "new")
    modelling = Modelling(database, calm_s=180.0)
    key = SeriesKey.of("memory_used_pct", None, "agent", "web-1"), SeriesKey.of("response_time_ms", None, "", "web-1")
    assert modelling.turn(NOW) is None
    modelling.places.take(key, np.array([0, 1]), np.array([10.0, 10.0]))
    assert modelling.turn(NOW + 5 * MINUTE_US) is None, "no model is in use"
    assert len(models.features(database, Window(NOW, NOW + 10 * MINUTE_US))) == 1
    models.promote(database, model_id, "a test")
    modelling.places.take(key, np.array([0, 1]), np.array([10.0, 10.0]))
    quiet = modelling.turn(NOW + 6 * MINUTE_US)
    assert quiet is not None
    assert (quiet.judged, len(quiet.scores)) == (1, 0)

    bad = modelling.judge(minute(NOW + 7 * MINUTE_US, random, off=8.0))
    assert bad is not None
    assert len(bad.opened) == 1
    (found,) = bad.scores.keys
    assert (found.metric, found.instance_id) == (MODEL_SCORE, "web-1")
    shares = dict(bad.scores.reasons(0))
    assert shares["cpu"] < 0 < shares["memory"]
    assert sum(map(abs, shares.values())) == pytest.approx(bad.scores.score[0])
    for step in range(8, 12):
        over = modelling.judge(minute(NOW + step * MINUTE_US, random))
        assert over is not None
    assert not modelling._episodes.open.any()

    again = Modelling(database, calm_s=180.0)
    again.resume(found, NOW)
    assert again._episodes.open.tolist() == [True]
    # Its place is gone, and no model is in use: it ends all the same, and that is told.
    nothing = FeatureRows(NOW + MINUTE_US, (), (), np.zeros((0, len(MODELLED))))
    assert again.judge(nothing) is not None
    ended = again.judge(FeatureRows(NOW + 4 * MINUTE_US, (), (), nothing.values))
    assert ended is not None
    assert [ended.scores.keys[row] for row in ended.closed.tolist()] == [found]
    assert again.judge(FeatureRows(NOW + 5 * MINUTE_US, (), (), nothing.values)) is None


def test_an_episode_of_a_place_that_is_gone_ends_beside_those_that_stay(database: Database) -> None:
    random = np.random.default_rng(0)
    rows = [two_places(NOW + step * MINUTE_US, random) for step in range(400)]
    model_id = models.save(database, train(rows, MODELLED).to_bytes(), Window(NOW, NOW + 1), {"rows": 800.0}, "new")
    models.promote(database, model_id, "a test")
    modelling = Modelling(database, calm_s=180.0)
    modelling._take_up()
    incidents = Incidents()
    for step in range(2):
        found = modelling.judge(two_places(NOW + step * MINUTE_US, random, off=8.0))
        assert found is not None
        incidents.take(found, {})
    ((incident),) = incidents.open.values()
    assert {key.instance_id for key in incident.members} == {"web-1", "web-2"}
    for step in range(2, 9):
        found = modelling.judge(minute(NOW + step * MINUTE_US, random))  # web-2 is gone
        assert found is not None
        incidents.take(found, {})
    assert not incidents.open
    assert incident.closed_us is not None
    gone = next(member for key, member in incident.members.items() if key.instance_id == "web-2")
    assert max(at_us for at_us, *_ in gone.track) == NOW + MINUTE_US, "what was not seen is not drawn"


def two_places(at_us: int, random: np.random.Generator, off: float = 0.0) -> FeatureRows:
    one, other = minute(at_us, random, off), minute(at_us, random, off)
    return FeatureRows(at_us, ("web-1", "web-2"), ("agent", "agent"), np.concatenate([one.values, other.values]))


def test_places_that_were_not_judged_for_long_leave_nothing_behind(database: Database) -> None:
    modelling = Modelling(database, calm_s=180.0)
    keys = [SeriesKey.of(MODEL_SCORE, {"place": f"pod-{n}"}, "agent", f"pod-{n}") for n in range(20)]
    for n, key in enumerate(keys):
        modelling.resume(key, NOW + n * MINUTE_US)
    nothing = np.zeros((0, len(MODELLED)))
    ended = modelling.judge(FeatureRows(NOW + 60 * MINUTE_US, (), (), nothing))
    assert ended is not None
    modelling.resume(keys[0], NOW + 60 * MINUTE_US)
    modelling.forget_gone([], NOW + 15 * MINUTE_US)
    assert [key.instance_id for key in modelling._keys] == ["pod-0", *(f"pod-{n}" for n in range(15, 20))]
    assert np.flatnonzero(modelling._episodes.open).tolist() == [0]
    ended = modelling.judge(FeatureRows(NOW + 70 * MINUTE_US, (), (), nothing))
    assert ended is not None
    assert [ended.scores.keys[row].instance_id for row in ended.closed.tolist()] == ["pod-0"]
