"""Models and what they are trained on, in the store.

Belongs here: rows from and to models and features. Does not: training, scoring (detection).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from muninn.detection.features import MODELLED
from muninn.detection.markers import place_of
from muninn.detection.places import FeatureRows
from muninn.errors import Invalid
from muninn.model import SeriesKey, Window
from muninn.store.database import Database

PLACES = "places"
_MOST_MODELS = 30
_MOST_PLACES = 200


@dataclass(frozen=True)
class KeptModel:
    """A model without its body. status: "candidate", "in use" or "retired", since when and why."""

    model_id: int
    trained_us: int
    data: Window
    status: str
    status_us: int
    reason: str
    figures: dict[str, float]
    bytes: int


def save_features(database: Database, rows: FeatureRows) -> None:
    """Keep one minute of all places."""
    found = [
        {
            "place": place.replace("\0", ""),
            "agent": agent.replace("\0", ""),
            "features": {name: value for name, value in zip(MODELLED, values, strict=True) if np.isfinite(value)},
        }
        for place, agent, values in zip(rows.places, rows.agents, rows.values.tolist(), strict=True)
    ]
    if found:
        database.execute("detection_save_features", at_us=rows.at_us, rows=orjson.dumps(found).decode())


def features(database: Database, window: Window) -> list[FeatureRows]:
    """The features of a window, an entry an instant."""
    rows = database.fetch(
        "detection_features", since_us=window.since_us, until_us=window.until_us, most_places=_MOST_PLACES
    )
    return [
        FeatureRows(
            row.at_us,
            tuple(row.places),
            tuple(row.agents),
            np.array([[each.get(name, np.nan) for name in MODELLED] for each in row.features], np.float64),
        )
        for row in rows
    ]


def alarms(database: Database, window: Window) -> list[tuple[str, Window]]:
    """Each place that had an incident in the window, with when; one that goes on lasts to the window's end."""
    rows = database.fetch("detection_alarms", since_us=window.since_us, until_us=window.until_us)
    found = {
        (
            place_of(SeriesKey.of(row.metric_name, row.tags, row.source_agent_id, row.instance_id)),
            Window(row.opened_us, max(row.opened_us, row.closed_us or window.until_us)),
        )
        for row in rows
    }
    return sorted(found)


def prune(database: Database, before_us: int) -> None:
    """Drop features from before an instant, and models beyond the newest thirty."""
    database.execute("detection_prune_features", before_us=before_us)
    database.execute("detection_prune_models", kind=PLACES, most=_MOST_MODELS)


def save(database: Database, body: bytes, data: Window, figures: dict[str, float], reason: str) -> int:
    """Keep a trained model as a candidate; its id."""
    (row,) = database.fetch(
        "detection_save_model", kind=PLACES, since_us=data.since_us, until_us=data.until_us, reason=reason,
        figures=orjson.dumps(figures).decode(), body=body,
    )  # fmt: skip
    return int(row.model_id)


def promote(database: Database, model_id: int, reason: str) -> None:
    """Use this model from now on, a new one or one that was retired; Invalid where there is none of this id."""
    with database.transaction() as transaction:
        transaction.execute(
            "detection_retire_models", kind=PLACES, model_id=model_id, reason=f"model {model_id} took its place"
        )
        if not transaction.execute("detection_promote_model", kind=PLACES, model_id=model_id, reason=reason):
            raise Invalid(f"there is no model {model_id}: `muninn models list` shows them", "model_id")


def kept(database: Database) -> Sequence[KeptModel]:
    """All models, the newest first."""
    return [
        KeptModel(
            row.model_id, row.trained_us, Window(row.since_us, row.until_us), row.status, row.status_us, row.reason,
            row.figures, row.bytes,
        )
        for row in database.fetch("detection_models", kind=PLACES)
    ]  # fmt: skip


def in_use(database: Database, known: int = 0) -> tuple[int, bytes] | None:
    """The model in use as (id, body); None where there is none, or it is `known`."""
    rows = database.fetch("detection_model_in_use", kind=PLACES, known=known)
    return (rows[0].model_id, bytes(rows[0].body)) if rows else None
