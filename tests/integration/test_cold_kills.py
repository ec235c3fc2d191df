"""kill -9 between any two steps of an export or a move: nothing is lost, nothing doubled, and a rerun completes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import stores
from cold import CPU, MEMORY, TODAY, Cold, by_key, history, refreshed

from muninn.analytics import lifecycle
from muninn.clock import DAY_US

VICTIM = Path(__file__).parents[1] / "cold_victim.py"
DAYS = (-5, -1)
# In the order in which they come: before anything is written, while it is, after a file has its name, when all are
# read back, after they are recorded, before the drop, in it, and after it.
STEPS = ("announced", "writing", "renamed", "verified", "recorded", "moving", "dropped", "moved")


@pytest.fixture
def tier(many_sessions: stores.Postgres, tmp_path: Path) -> Cold:
    return refreshed(many_sessions, tmp_path / "cold", DAYS)


def night(tier: Cold, fatal: str) -> int:
    environ = {**os.environ, "MUNINN_COLD_FOLDER": str(tier.settings.cold_folder), "MUNINN_COLD_HOT_DAYS": "3"}
    url = tier.store.database._url
    done = subprocess.run([sys.executable, str(VICTIM), url, str(tier.now_us), fatal], env=environ, timeout=120)
    return done.returncode


@pytest.mark.timeout(600)  # a dozen processes, each of which loads all of analytics
def test_killed_at_every_step(tier: Cold) -> None:
    rows = history(DAYS)
    for step in STEPS:
        assert night(tier, step) == -signal.SIGKILL, step
        assert by_key(tier.truth()) == by_key(rows), step
        tier.assert_rollups_are_of(rows)
    assert night(tier, "") == 0
    (day,) = tier.days()
    assert day.moved_us is not None
    assert tier.in_database() == len(history(DAYS[1:]))
    assert by_key(tier.truth()) == by_key(rows)

    # And again with late samples of a day that has left: what its files say is united with them.
    late = [(CPU, TODAY - 5 * DAY_US + 1, 1000.0), (MEMORY, TODAY - 5 * DAY_US, 500.0)]
    tier.load(late)
    rows = [row for row in rows if row[:2] != late[1][:2]] + late
    tier.refresh()
    tier.assert_rollups_are_of(rows)
    for step in ("writing", "recorded", "dropped"):
        assert night(tier, step) == -signal.SIGKILL, step
        assert by_key(tier.truth()) == by_key(rows), step
        tier.assert_rollups_are_of(rows)
    assert night(tier, "") == 0
    assert tier.days()[0].rows == 121
    assert tier.in_database() == len(history(DAYS[1:]))
    assert by_key(tier.truth()) == by_key(rows)
    left = list(lifecycle.unnamed(tier.store.database, tier.settings.cold_folder, grace_s=-1))
    assert left, "the files that the killed ones left are for the sweep"
    assert lifecycle.verify(tier.store.database, tier.settings.cold_folder).faults == ()
