"""States and reasons from heartbeats, lag and freshness."""

from dataclasses import replace

import pytest

from muninn.cache import BoardEntry
from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.reads.health import NEEDED, StoreSigns, judge
from muninn.reads.heartbeats import NONE, Heartbeats
from muninn.reads.values import PartHealth

NOW_US = 1_800_000_000 * SECOND_US
FRESH = StoreSigns(
    NOW_US - SECOND_US,
    {"1min": NOW_US - MINUTE_US, "5min": NOW_US - MINUTE_US, "1hour": NOW_US - HOUR_US, "1day": NOW_US - DAY_US},
)


def heartbeat(program: str, age_s: float = 0.5, **gauges: float) -> BoardEntry:
    metrics = tuple((name, {}, value) for name, value in gauges.items())
    return BoardEntry(program, "a", 7, NOW_US - round(age_s * SECOND_US), NOW_US - HOUR_US, metrics)


ALL_WELL = Heartbeats([heartbeat(name) for name in NEEDED], known=True)


def part(heartbeats: Heartbeats, store: StoreSigns | None, name: str) -> PartHealth:
    return next(part for part in judge(NOW_US, heartbeats, store).parts if part.part == name)


def test_all_is_well() -> None:
    health = judge(NOW_US, ALL_WELL, FRESH)
    assert (health.state, health.summary) == ("ok", "All is well.")
    assert {part.part for part in health.parts} == {*NEEDED, "buffer", "store", "rollups"}
    assert all(part.state == "ok" and part.reasons == () for part in health.parts)


@pytest.mark.parametrize(
    ("program", "state"),
    [
        ("gateway", "down"),
        ("loader", "down"),
        ("refresher", "degraded"),
        ("sidecar", "degraded"),
        ("alerter", "degraded"),
        ("detector", "degraded"),
    ],
)
def test_a_missing_program_is_named_with_what_it_means(program: str, state: str) -> None:
    others = Heartbeats([entry for entry in ALL_WELL.entries if entry.program != program], known=True)
    health = judge(NOW_US, others, FRESH)
    assert health.state == state
    assert health.summary == f"{program}: gives no sign of life: {NEEDED[program][1]}."


def test_a_program_that_is_switched_off_is_not_missed() -> None:
    others = Heartbeats([entry for entry in ALL_WELL.entries if entry.program != "detector"], known=True)
    assert judge(NOW_US, others, FRESH, ["detector"]).state == "ok"
    assert judge(NOW_US, others, FRESH, ["alerter"]).state == "degraded"


def test_a_silent_instance_is_degraded_and_other_programs_are_listed() -> None:
    entries = [*ALL_WELL.entries, replace(heartbeat("loader", age_s=9), instance="b"), heartbeat("collector")]
    health = judge(NOW_US, Heartbeats(entries, known=True), FRESH)
    assert health.state == "degraded"
    assert part(Heartbeats(entries, known=True), FRESH, "loader").reasons == ("b has been silent for 9 s",)
    assert part(Heartbeats(entries, known=True), FRESH, "collector").state == "ok"


@pytest.mark.parametrize(("lag_s", "state"), [(10, "ok"), (11, "degraded"), (120, "degraded"), (121, "down")])
@pytest.mark.parametrize("gauge", ["muninn_buffer_lag_s", "muninn_loader_lag_s"])
def test_lag_is_judged_by_its_worst(gauge: str, lag_s: float, state: str) -> None:
    entries = [*ALL_WELL.entries, heartbeat("other", **{gauge: 1.0}), heartbeat("third", **{gauge: lag_s})]
    found = part(Heartbeats(entries, known=True), FRESH, "buffer")
    assert found.state == state
    assert bool(found.reasons) == (state != "ok")


@pytest.mark.parametrize(
    ("age_s", "state", "text"), [(10, "ok", None), (45, "degraded", "45 s old"), (7260, "down", "2 h old")]
)
def test_old_data_is_judged_by_its_age(age_s: float, state: str, text: str | None) -> None:
    found = part(ALL_WELL, replace(FRESH, newest_us=NOW_US - round(age_s * SECOND_US)), "store")
    assert found.state == state
    assert text is None or text in found.reasons[0]


def test_an_empty_store_is_no_trouble() -> None:
    health = judge(NOW_US, ALL_WELL, StoreSigns(None, {"1min": 0, "5min": 0, "1hour": 0, "1day": 0}))
    assert health.state == "ok"


def test_rollups_that_fell_behind_are_named() -> None:
    late = replace(FRESH, watermarks_us={**FRESH.watermarks_us, "1min": NOW_US - 20 * MINUTE_US})
    assert part(ALL_WELL, late, "rollups") == PartHealth("rollups", "degraded", ("1min is 20 min behind",))


def test_the_database_away_is_down_and_nothing_is_said_of_what_is_not_known() -> None:
    health = judge(NOW_US, ALL_WELL, None)
    assert health.state == "down"
    assert health.summary == "store: the database does not answer."


def test_without_a_board_no_program_is_called_dead() -> None:
    health = judge(NOW_US, NONE, FRESH)
    assert health.state == "degraded"
    assert [part.part for part in health.parts if part.state != "ok"] == ["cache"]
    assert not {part.part for part in health.parts} & set(NEEDED)


def test_the_worst_part_comes_first_in_the_summary() -> None:
    entries = [entry for entry in ALL_WELL.entries if entry.program not in ("loader", "sidecar")]
    summary = judge(NOW_US, Heartbeats(entries, known=True), FRESH).summary
    assert summary.index("loader") < summary.index("sidecar")
