"""What the detector said, kept step by step, and read back as it was said: rules on scores are run over the past on it.

Belongs here: score batches to rows and back. Does not: scoring (detection), rules (alerting).
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from muninn.model import SeriesKey, Window
from muninn.model.scores import ScoreBatch, ScoreHandle
from muninn.model.window import as_datetime
from muninn.store.arrays import received
from muninn.store.database import Database


def save(database: Database, handles: Sequence[ScoreHandle]) -> None:
    """Keep these; what is there already is not kept twice. Scores of series that are still learned are left out."""
    keys: dict[str, object] = {}
    rows: list[dict[str, object]] = []
    for handle in handles:
        batch = handle.batch
        names = [str(key.fingerprint) for key in batch.keys]
        for place in np.flatnonzero(~batch.learning).tolist():
            index = int(batch.key_index[place])
            keys.setdefault(names[index], orjson.Fragment(batch.keys[index].canonical))
            rows.append(
                {
                    "until_us": batch.until_us,
                    "entry": handle.entry_id,
                    "place": place,
                    "fingerprint": names[index],
                    "at_us": int(batch.at_us[place]),
                    "score": float(batch.score[place]),
                }
            )
    database.execute(
        "score_save",
        entries=_json({"until_us": each.batch.until_us, "entry": each.entry_id} for each in handles),
        rows=_json(rows),
        keys=_json({"fingerprint": name, "key": key} for name, key in keys.items()),
    )


def read(database: Database, window: Window, width_us: int = 1) -> Iterator[ScoreBatch]:
    """What was said in the window, oldest first, by steps of a width, each as of its end: the highest of a series.

    Of a score there is the score; what was seen and expected is not kept.
    """
    asked = {"since_us": window.since_us, "until_us": window.until_us, "width_us": width_us}
    (told,), (heard,) = database.fetch("score_steps", **asked), database.fetch("score_heard", **asked)
    steps, ids = received(told.step, np.int64), received(told.scored_id, np.int32)
    at_us, score = received(told.at_us, np.int64), received(told.score, np.float64)
    rows = database.fetch("score_keys", scored_ids=np.unique(ids)) if len(ids) else []
    keys = {
        row.scored_id: SeriesKey.of(row.metric_name, row.tags, row.source_agent_id, row.instance_id) for row in rows
    }
    known = np.sort(received(heard.step, np.int64))
    starts, ends = np.searchsorted(steps, known, side="left"), np.searchsorted(steps, known, side="right")
    for step, start, end in zip(known.tolist(), starts.tolist(), ends.tolist(), strict=True):
        own = tuple(keys[one] for one in ids[start:end].tolist())
        yield _batch(step * width_us, at_us[start:end], score[start:end], own)


def prune(database: Database, before_us: int) -> int:
    """Forget what was said before, and series of which nothing else was said; how many steps."""
    before = as_datetime(before_us)
    with database.transaction() as transaction:
        steps = transaction.execute("score_prune", before=before)
        transaction.execute("score_prune_series", before=before)
    return steps


def _batch(
    until_us: int, at_us: NDArray[np.int64], score: NDArray[np.float64], keys: tuple[SeriesKey, ...]
) -> ScoreBatch:
    blank = np.zeros(len(keys))
    return ScoreBatch(
        until_us, at_us, np.arange(len(keys), dtype=np.int32), keys, score, blank, blank, blank, blank, blank,
        blank > 0, np.zeros((len(keys), 0)), (),
    )  # fmt: skip


def _json(rows: Iterable[object]) -> str:
    return orjson.dumps(list(rows)).decode()
