"""Models are trained by the day, used if not worse, and an old one can be brought back."""

import base64
from datetime import UTC, datetime
from uuid import uuid4

import dagster as dg
import numpy as np
import pytest
from dagster_world import World

from muninn.clock import DAY_US, HOUR_US, MINUTE_US
from muninn.detection.features import MODELLED
from muninn.detection.forest import Model
from muninn.detection.incidents import Incident, Member
from muninn.detection.places import COLUMN, FeatureRows
from muninn.errors import Invalid
from muninn.model import SeriesKey
from muninn.model.window import as_us
from muninn.store import incidents, models

DAY = "2025-02-03"
NAMES = ("response_mean", "cpu", "memory")


def fill(world: World, since_us: int, days: int) -> None:
    random = np.random.default_rng(0)
    for at_us in range(since_us, since_us + days * DAY_US, 5 * MINUTE_US):
        load = random.normal()
        values = np.full((2, len(MODELLED)), np.nan)
        for name in NAMES:
            values[:, COLUMN[name]] = 10 + 0.7 * load + 0.3 * random.normal(size=2)
        models.save_features(world.database, FeatureRows(at_us, ("a", "b"), ("x", "x"), values))


def train(world: World) -> dg.ExecuteInProcessResult:
    return world.run("train_models", partition_key=DAY)


def test_a_day_without_data_has_no_model(world: World) -> None:
    assert train(world).success
    assert world.events("place_model") == {}
    assert models.kept(world.database) == []


def test_a_model_is_trained_judged_used_and_brought_back(world: World) -> None:
    since_us = as_us(datetime(2025, 2, 3, tzinfo=UTC)) - DAY_US
    fill(world, since_us, 2)
    ill = Member(SeriesKey.of("cpu_busy_pct", None, "x", "a"), since_us + 10 * HOUR_US, since_us + 11 * HOUR_US)
    incident = Incident(uuid4(), ill.opened_us, ill.closed_us, ill.opened_us, {ill.key: ill})
    incidents.save(world.database, [incident])
    assert train(world).success
    (event,) = world.events("place_model")[DAY]
    assert event["trained_rows"] == 2 * 432 - 13, "an hour of an incident teaches nothing"
    assert (event["promoted"], event["reason"]) == (True, "there was no model in use")
    assert (event["rows"], event["places"]) == (288, 2)
    assert event["false_alarm_share"] < 0.02
    assert event["made_faults_found_share"] > 0.8
    picture = str(event["scores"]).partition("base64,")[2].rstrip(")")
    assert base64.b64decode(picture).startswith(b"<svg")
    (evaluated,) = world.events("place_model_evaluation")[DAY]
    assert evaluated["model_id"] == event["model_id"]

    assert train(world).success
    newer, older = models.kept(world.database)
    assert (newer.status, older.status) == ("in use", "retired")
    assert newer.reason == "not worse than the one in use"
    models.promote(world.database, older.model_id, "somebody chose it")
    found = models.in_use(world.database)
    assert found is not None
    assert found[0] == older.model_id
    assert set(Model.from_bytes(found[1]).columns) == set(NAMES)
    assert models.in_use(world.database, older.model_id) is None
    with pytest.raises(Invalid, match="no model 999"):
        models.promote(world.database, 999, "a slip")
    assert [each.status for each in models.kept(world.database)] == ["retired", "in use"], "a slip retires none"
