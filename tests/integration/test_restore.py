"""A dump of the database and a copy of the cold folder are a whole backup: docs/lifecycle.md, "Restore"."""

import shutil
import subprocess
from pathlib import Path

import pytest
import stores
from cold import TODAY, Cold, by_key, history
from servers import Postgres

from muninn.analytics import lifecycle
from muninn.analytics.session import connect
from muninn.clock import DAY_US
from muninn.model import RESOLUTIONS, Resolution, Window
from muninn.run import embedded

DAYS = (-6, -5, -2, -1, 0)
PROGRAMS = embedded.postgres_program("pg_dump").parent


def _figures(store: stores.Postgres, resolution: Resolution) -> list[tuple[object, ...]]:
    return [(one.key, one.bucket_us, one.sum_value, one.sketch.tolist()) for one in store.buckets(resolution)]


@pytest.mark.parametrize("again", [False, True], ids=["as it was", "with late samples after"])
def test_a_restored_store_answers_as_the_one_that_was_dumped(
    postgres_server: Postgres, postgres_url: str, tmp_path: Path, again: bool
) -> None:
    name = f"restored_{int(again)}"
    first = stores.Postgres(postgres_url)
    tier = Cold(first, tmp_path / "cold")
    tier.load(history(DAYS))
    tier.refresh()
    tier.night()
    assert {day.moved_us is not None for day in tier.days()} == {True, False}
    buckets = [_figures(first, each) for each in RESOLUTIONS]
    first.close()

    dump = tmp_path / "muninn.dump"
    subprocess.run([PROGRAMS / "pg_dump", "--format=custom", f"--file={dump}", postgres_url], check=True)
    shutil.copytree(tmp_path / "cold", tmp_path / "copy")
    url = postgres_server.create(name)
    subprocess.run([PROGRAMS / "pg_restore", "--no-owner", f"--dbname={url}", dump], check=True)

    second = stores.Postgres(url)
    restored = Cold(second, tmp_path / "copy")
    rows = history(DAYS)
    if again:
        late = [(key, at + 1, value + 1) for key, at, value in history((-6,))[:5]]
        second.load([stores.entry(late, "9-0", "cold")])
        restored.refresh()
        restored.night()
        rows += late
    else:
        assert [_figures(second, each) for each in RESOLUTIONS] == buckets
    assert by_key(restored.truth()) == by_key(rows)
    assert not lifecycle.verify(second.database, tmp_path / "copy").faults
    window = Window(TODAY - 7 * DAY_US, TODAY + DAY_US)
    with connect(second.database, window, folder=tmp_path / "copy") as session:
        assert session.sql("select count(*) from performance_metrics").fetchall() == [(len(rows),)]
    second.close()
    postgres_server.drop(name)
