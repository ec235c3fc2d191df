"""The judgement of a part, and of all."""

from dataclasses import dataclass

import pytest

from muninn.operations import health
from muninn.operations.health import PartStatus

NOW_S = 1000.0


@dataclass(frozen=True)
class Signs:
    name: str = "loader-1"
    pid: int = 7
    state: str = "running"
    started_s: float = 500.0
    restarts: int = 0
    last_end: str = ""
    next_try_s: float = 0.0


def judged(*processes: Signs, answers: bool = True) -> PartStatus:
    return health.part("loader", processes, answers, NOW_S)


def test_what_runs_and_answers_is_ok() -> None:
    assert judged(Signs(), Signs(name="loader-2", pid=8)) == PartStatus("loader", "ok", pids=(7, 8))


def test_what_does_not_answer_is_down() -> None:
    found = judged(Signs(), answers=False)
    assert (found.health, found.reason) == ("down", "it does not answer")


def test_without_a_process_it_is_down() -> None:
    assert judged().reason == "it does not run"
    assert judged(Signs(state="stopped", pid=0)).health == "down"


def test_waiting_for_the_next_try_is_told() -> None:
    waiting = Signs(state="backoff", pid=0, restarts=4, last_end="exit status 3", next_try_s=1008.0)
    alone = judged(waiting)
    assert alone.health == "down"
    assert alone.reason == "loader-1 ended (exit status 3), 4 restarts so far, next try in 8 s"
    assert alone.restarts == 4
    assert judged(waiting, Signs(name="loader-2")).health == "degraded"


def test_what_keeps_ending_is_degraded_until_it_has_settled() -> None:
    dying = Signs(restarts=3, started_s=NOW_S - 5, last_end="terminated by SIGKILL")
    assert judged(dying).health == "degraded"
    assert "keeps ending (terminated by SIGKILL)" in judged(dying).reason
    assert judged(Signs(restarts=3, started_s=NOW_S - 500)).health == "ok"
    assert judged(Signs(restarts=1, started_s=NOW_S - 1)).health == "ok"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("ok", "ok", ("ok", "")),
        ("ok", "degraded", ("degraded", "late")),
        ("degraded", "down", ("down", "slow; late")),
        ("down", "degraded", ("down", "slow")),
    ],
)
def test_a_second_opinion_can_only_make_it_worse(
    first: health.Health, second: health.Health, expected: tuple[str, str]
) -> None:
    found = health.worse(PartStatus("x", first, "" if first == "ok" else "slow"), second, "late")
    assert (found.health, found.reason) == expected


def test_all_together_are_as_well_as_the_worst() -> None:
    assert health.worst([]) == "ok"
    assert health.worst([PartStatus("a", "ok"), PartStatus("b", "down"), PartStatus("c", "degraded")]) == "down"
