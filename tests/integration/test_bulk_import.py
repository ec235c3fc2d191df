"""Files into the store at bulk speed: once, and with the rollups that live ingest gives."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import stores
from stores import NOW_US, entry

from muninn.clock import DAY_US, HOUR_US, SECOND_US
from muninn.errors import Invalid
from muninn.ingest.validate import Rules
from muninn.model import RESOLUTIONS, SampleBatch, SeriesKey
from muninn.model.window import as_datetime
from muninn.run import bulk_import
from muninn.run.bulk_import import Importer, found_files, parsed_names

SERIES, STEPS = 5, 400


def silent(path: Path, rows: int) -> None:
    pass


@pytest.fixture
def store(postgres_url: str) -> Iterator[stores.Postgres]:
    made = stores.Postgres(postgres_url)
    yield made
    made.close()


def samples(days_ago: int = 2) -> pl.DataFrame:
    """A sample a minute of some series, over a midnight, in no order; counters and values of all sizes."""
    rng = np.random.default_rng(11)
    start = NOW_US // DAY_US * DAY_US - days_ago * DAY_US - 3 * HOUR_US
    at = np.repeat(start + np.arange(STEPS, dtype=np.int64) * 60 * SECOND_US, SERIES)
    frame = pl.DataFrame(
        {
            "metric": np.tile([f"import_{n}" for n in range(SERIES)], STEPS).tolist(),
            "timestamp": [as_datetime(us).isoformat() for us in at.tolist()],
            "value": rng.lognormal(0, 5, SERIES * STEPS),
            "label.host": "a",
            "source_agent_id": "agent",
        }
    )
    return frame.sample(fraction=1.0, shuffle=True, seed=3)


def as_batch(frame: pl.DataFrame) -> SampleBatch:
    rows = frame.select(
        "metric", pl.col("timestamp").str.to_datetime(time_zone="UTC", time_unit="us").dt.epoch("us"), "value"
    ).rows()
    return SampleBatch.of([(SeriesKey.of(metric, {"host": "a"}, "agent"), at, value) for metric, at, value in rows])


def importer(store: stores.Postgres, named: dict[str, str] | None = None) -> Importer:
    return Importer(store.database, store.clock, Rules(), named or {})


def everything(store: stores.Postgres) -> list[list[tuple[object, ...]]]:
    return [
        [
            (one.key, one.bucket_us, one.sample_count, one.sum_value, one.min_value, one.max_value, one.sketch.tolist())
            for one in store.buckets(resolution)
        ]
        for resolution in RESOLUTIONS
    ]  # fmt: skip


def write(frame: pl.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.write_csv(path)
    elif path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        rows = frame.rename({"label.host": "labels"}).with_columns(pl.struct(host=pl.col("labels")).alias("labels"))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows.to_dicts()))
    return path


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet"])
def test_an_import_gives_the_rollups_of_live_ingest(store: stores.Postgres, tmp_path: Path, kind: str) -> None:
    frame = samples()
    store.load([entry([(SeriesKey.of("import_0", {"host": "a"}, "agent"), NOW_US - HOUR_US, 1.0)], "0-0")])
    store.refresh()  # so that the past is closed: what comes is late
    report = importer(store).take(write(frame, tmp_path / f"old.{kind}"), silent)
    store.refresh()
    imported = everything(store)
    assert (report.rows, report.new, report.refused, len(report.series)) == (SERIES * STEPS, SERIES * STEPS, 0, SERIES)

    # The same samples live, in batches, into the same store made empty.
    store.connection.execute("truncate raw_samples, rollup_1min, rollup_5min, rollup_1hour, rollup_1day")
    store.connection.execute("truncate packed_1min, packed_5min, packed_1hour")
    store.connection.execute("truncate packed_sketches_1min, packed_sketches_5min, packed_sketches_1hour")
    store.connection.execute("truncate packed_growth_5min, packed_growth_1hour")
    store.connection.execute("update latest_samples set at = null, value = null")
    batch = as_batch(frame.sort("timestamp"))
    store.load([entry([(SeriesKey.of("import_0", {"host": "a"}, "agent"), NOW_US - HOUR_US, 1.0)], "0-1")])
    for number, start in enumerate(range(0, len(batch), 100)):
        store.load([entry(batch.take(np.arange(start, min(start + 100, len(batch)))), f"{number}-0", "live")])
    store.refresh()
    live = everything(store)
    for ours, theirs in itertools.zip_longest(imported, live):
        for one, other in itertools.zip_longest(ours, theirs):
            assert one[:3] + one[4:] == other[:3] + other[4:]
            assert one[3] == pytest.approx(other[3], rel=1e-9)


def test_a_file_twice_is_a_file_once_and_a_half_one_is_made_whole(
    store: stores.Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_import, "_PIECE_ROWS", 300)
    monkeypatch.setattr(bulk_import, "_LOAD_ROWS", 600)
    path = write(samples(), tmp_path / "old.parquet")

    def interrupted(_: Path, rows: int) -> None:
        if rows > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        importer(store).take(path, interrupted)
    half = len(store.raw())
    assert 0 < half < SERIES * STEPS
    looked = importer(store).look(path, silent)
    assert (looked.rows, looked.skipped, looked.new) == (SERIES * STEPS, half, SERIES * STEPS - half)
    assert len(store.raw()) == half, "a look writes nothing"
    again = importer(store).take(path, silent)
    assert (again.new, again.skipped) == (SERIES * STEPS - half, half)
    renamed = path.rename(tmp_path / "other.parquet")
    assert importer(store).take(renamed, silent).new == 0
    assert len(store.raw()) == SERIES * STEPS
    store.refresh()
    assert all(sum(each.sample_count for each in store.buckets(one)) == SERIES * STEPS for one in RESOLUTIONS)


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet"])
def test_columns_may_have_other_names(store: stores.Postgres, tmp_path: Path, kind: str) -> None:
    frame = pl.DataFrame({"name": ["m", "m"], "ts": ["2023-11-15T11:00:00Z", "2023-11-15T11:00:10Z"], "v": [1.5, 2.5],
                          "box": ["a", "b"], "value": [9.0, 9.0]})  # fmt: skip
    path = tmp_path / f"x.{kind}"
    {"csv": frame.write_csv, "ndjson": frame.write_ndjson, "parquet": frame.write_parquet}[kind](path)
    named = parsed_names(["metric=name", "timestamp=ts", "value=v", "label.host=box"])
    assert importer(store, named).take(path, silent).new == 2
    raw = store.raw()
    assert {(raw.keys[k].labels, v) for k, v in zip(raw.key_index, raw.value, strict=True)} == {
        ((("host", "a"),), 1.5),
        ((("host", "b"),), 2.5),
    }


def test_what_is_refused_is_named_and_the_rest_goes_in(store: stores.Postgres, tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text(
        "metric,timestamp,value\nm,2023-11-15T11:00:00Z,1\nm,2023-11-15T11:00:01Z,nan\nm,2003-11-15T11:00:01Z,1\n"
    )
    report = importer(store).take(path, silent)
    assert (report.new, report.refused) == (1, 2)
    assert [error.index for error in report.errors] == [1, 2]


def test_names_that_are_no_file_or_no_column_are_said(store: stores.Postgres, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("metric,timestamp,value\n")
    assert [path.name for path in found_files([f"{tmp_path}/*.csv", f"{tmp_path}/a.csv"])] == ["a.csv", "b.csv"]
    with pytest.raises(Invalid, match="no such file"):
        found_files([f"{tmp_path}/*.parquet"])
    with pytest.raises(Invalid, match="timestamp=ts"):
        parsed_names(["timestamp"])
    with pytest.raises(Invalid, match="not a column of ours"):
        importer(store, {"time": "ts"}).take(tmp_path / "a.csv", silent)
    with pytest.raises(Invalid, match="no column `name`"):
        importer(store, {"metric": "name"}).take(tmp_path / "a.csv", silent)
