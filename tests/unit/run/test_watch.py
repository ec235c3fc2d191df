"""Silence is borne for a while, and not for ever."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from muninn import settings
from muninn.errors import Unavailable
from muninn.home import Home, Process, State
from muninn.run.stack import Part, Stack
from muninn.run.supervisor import Program
from muninn.run.up import Interrupted
from muninn.run.watch import EVERY_S, PATIENCE_S, Patience, Watch

WHO = ("gateway", 7)


def test_patience_runs_out_once() -> None:
    patience = Patience(30)
    assert patience.exhausted(0, {WHO: False}) == []
    assert patience.exhausted(29, {WHO: False}) == []
    assert patience.exhausted(30, {WHO: False}) == ["gateway"]
    assert patience.exhausted(31, {WHO: False}) == []


def test_an_answer_starts_it_anew() -> None:
    patience = Patience(30)
    patience.exhausted(0, {WHO: False})
    patience.exhausted(20, {WHO: True})
    assert patience.exhausted(40, {WHO: False}) == []
    assert patience.exhausted(70, {WHO: False}) == ["gateway"]


def test_a_new_process_has_all_the_time() -> None:
    patience = Patience(30)
    patience.exhausted(0, {WHO: False})
    assert patience.exhausted(40, {("gateway", 8): False}) == []


def test_one_does_not_answer_for_another() -> None:
    patience = Patience(30)
    other = ("sidecar", 9)
    patience.exhausted(0, {WHO: False, other: True})
    assert patience.exhausted(30, {WHO: False, other: False}) == ["gateway"]


class Restarts:
    """Stands for the control socket: keeps what it was asked to restart."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def restart(self, process: str) -> None:
        self.names.append(process)
        if process == "gone":
            raise Unavailable("the supervisor does not answer")


def running(name: str) -> Process:
    return Process(name, name, len(name), "running", 0.0, 0, "", 0.0)


def test_what_is_alive_decides_and_not_what_is_ready(tmp_path: Path) -> None:
    def no(_: Sequence[Process]) -> bool:
        return False

    def yes(_: Sequence[Process]) -> bool:
        return True

    def part(name: str, alive: Any) -> Part:
        return Part(Program(name, ("true",)), "", "", no, alive=alive)

    home, asked, restarts, now = Home(tmp_path), settings.load({}), Restarts(), [0.0]
    home.prepare()
    names = ("hung", "well", "gone", "waiting")
    processes = [running(name) for name in names[:3]] + [Process("waiting", "waiting", 0, "backoff", 0, 1, "", 9.0)]
    home.write(State(1, 2, 0.0, "", "", "", "", {}, tuple(processes)))
    parts = (part("hung", no), part("well", yes), part("gone", no), part("waiting", no))
    plan = Stack(asked, "", parts, (), ())
    watch = Watch(plan, home, cast(Any, restarts), lambda: now[0])
    for _ in range(round(PATIENCE_S / EVERY_S) + 1):
        assert restarts.names == []
        now[0] += watch.next_s()
        watch.look(lambda: None)
    assert restarts.names == ["hung", "gone"]


def test_who_wants_to_stop_does_not_wait_for_all_that_hang(tmp_path: Path) -> None:
    asked: list[str] = []

    def part(name: str) -> Part:
        def hangs(_: Sequence[Process]) -> bool:
            asked.append(name)
            return False

        return Part(Program(name, ("true",)), "", "", hangs, alive=hangs)

    def stop() -> None:
        if asked:
            raise Interrupted

    home, now = Home(tmp_path), [0.0]
    home.prepare()
    home.write(State(1, 2, 0.0, "", "", "", "", {}, (running("first"), running("second"))))
    plan = Stack(settings.load({}), "", (part("first"), part("second")), (), ())
    watch = Watch(plan, home, cast(Any, Restarts()), lambda: now[0])
    now[0] += watch.next_s()
    with pytest.raises(Interrupted):
        watch.look(stop)
    assert asked == ["first"]
