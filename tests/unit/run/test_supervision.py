"""Processes come back, end together, and never outlive the one that started them."""

import itertools
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from rig import BROKEN, PARENT, STEADY, STUBBORN, Rig, script
from servers import eventually, free_port
from supervisor.states import ProcessStates

from muninn.errors import Invalid
from muninn.home import Home, State
from muninn.run import embedded, probes, supervisor
from muninn.run.supervisor import FIRST_PAUSE_S, LONGEST_PAUSE_S, pause_s

pytestmark = pytest.mark.slow

Start = Callable[..., Rig]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    rigs = []

    def begin(*programs: dict[str, Any]) -> Rig:
        rigs.append(Rig(tmp_path / "home", *programs))
        return rigs[-1]

    yield begin
    for rig in rigs:
        rig.close()


def test_pauses_double_up_to_a_limit() -> None:
    pauses = [pause_s(failures) for failures in range(1, 40)]
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses[-1] == LONGEST_PAUSE_S
    assert all(later == min(2 * earlier, LONGEST_PAUSE_S) for earlier, later in itertools.pairwise(pauses))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything(start: Start, number: int) -> None:
    rig = start({"name": "a", "argv": STEADY}, {"name": "b", "argv": PARENT}).started()
    eventually(lambda: len(psutil.Process(rig.find("b").pid).children()) == 1, 10, "b has its child")
    code, out, err = rig.end(number)
    assert (code, err) == (0, "")
    assert "Everything has ended" in out
    assert len(rig.seen) >= 4
    assert rig.left() == []
    assert rig.home.read() is None


def telling(told: Path) -> str:
    """The text of a program that writes its name into a file when it is asked to end."""
    return (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    open({str(told)!r}, 'a').write(sys.argv[1] + ' ')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('listening', flush=True)\n"
        "while True: time.sleep(60)"
    )


def test_servers_end_after_the_programs_that_use_them(start: Start, tmp_path: Path) -> None:
    told = tmp_path / "told"
    note = telling(told)
    rig = start(
        {"name": "server", "argv": [*script(note), "server"], "group": "servers"},
        {"name": "slow", "argv": [*script(note.replace("    open", "    time.sleep(0.5)\n    open")), "slow"]},
    ).started()
    logs = [rig.home.logs / f"{name}.log" for name in ("server", "slow")]
    eventually(lambda: all("listening" in log.read_text() for log in logs), 10, "both handle the signal")
    assert rig.end()[0] == 0
    assert told.read_text() == "slow server "


def test_a_hung_process_is_killed_after_its_grace(start: Start) -> None:
    rig = start({"name": "stopped", "argv": STEADY, "grace_s": 1}, {"name": "deaf", "argv": STUBBORN, "grace_s": 1})
    rig.started()
    os.kill(rig.find("stopped").pid, signal.SIGSTOP)
    began = time.monotonic()
    assert rig.end()[0] == 0
    assert time.monotonic() - began < 10
    assert rig.left() == []


def test_it_goes_on_when_nobody_reads_what_it_prints(start: Start) -> None:
    port = free_port()
    listens = script(f"import socket, time\ns = socket.create_server(('127.0.0.1', {port}))\ntime.sleep(600)")
    rig = start({"name": "a", "argv": STEADY}, {"name": "late", "argv": listens, "port": port, "after": ["a"]})
    assert rig.process.stdout is not None
    rig.process.stdout.close()
    rig.process.stdout = None
    rig.started()
    eventually(lambda: probes.tcp("127.0.0.1", port)([]), 10, "the last one answers")
    assert rig.end()[0] == 0
    assert rig.left() == []


def test_a_terminal_that_is_closed_ends_everything_in_order(tmp_path: Path) -> None:
    told = tmp_path / "told"
    ours, theirs = pty.openpty()
    rig = Rig(tmp_path / "home", {"name": "server", "argv": [*script(telling(told)), "server"]}, output=theirs)
    os.close(theirs)
    try:
        log = rig.started().home.logs / "server.log"
        eventually(lambda: "listening" in log.read_text(), 10, "it handles the signal")
        os.close(ours)
        assert rig.end(signal.SIGHUP)[0] == 0
        assert told.read_text() == "server "
        assert rig.left() == []
    finally:
        rig.close()


def test_a_signal_in_the_moment_of_the_fork_is_not_lost(tmp_path: Path) -> None:
    """It would be taken by the handlers that the supervisor has from its parent until it has its own."""
    begin = (
        "import os, pathlib, signal, sys, time\n"
        "from muninn.home import Home, State\n"
        "from muninn.run import embedded, supervisor, up\n"
        "home = Home(pathlib.Path(sys.argv[1]))\n"
        "home.prepare()\n"
        "state = State(1, 0, 0.0, '', '', '', str(embedded.control_socket(home.path)), {})\n"
        "embedded.make_sockets_folder(home.path)\n"
        "with up.received_signals():\n"
        "    pid = supervisor.fork([], home, state, os.environ)\n"
        "    os.kill(pid, signal.SIGTERM)\n"
        "    while os.waitpid(pid, os.WNOHANG)[0] == 0:\n"
        "        time.sleep(0.01)\n"
    )
    assert (
        subprocess.run([sys.executable, "-c", begin, str(tmp_path / "home")], check=False, timeout=60).returncode == 0
    )


def test_a_full_disk_costs_lines_of_logs_and_nothing_else(start: Start, tmp_path: Path) -> None:
    count = tmp_path / "count"
    chatty = script(
        "import itertools, pathlib, time\n"
        "for number in itertools.count():\n"
        f"    pathlib.Path({str(count)!r}).write_text(str(number))\n"
        "    print('x' * 1000, flush=True)\n"
        "    time.sleep(0.01)"
    )
    rig = start({"name": "chatty", "argv": chatty}, {"name": "mortal", "argv": STEADY}).started()
    state = rig.state()
    assert state is not None
    before, supervisor = rig.find("mortal").pid, state.supervisor_pid
    eventually(lambda: (rig.home.logs / "chatty.log").stat().st_size > 0, 10, "it writes")

    def said() -> int:
        return int(count.read_text() or 0) if count.exists() else 0

    unlimited = resource.prlimit(supervisor, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    written = said()
    eventually(lambda: said() > written + 50, 20, "it has gone on though nothing could be written")
    os.kill(before, signal.SIGKILL)
    children = psutil.Process(supervisor).children
    eventually(lambda: len(children()) == 2 and before not in {child.pid for child in children()}, 20, "it is back")
    resource.prlimit(supervisor, resource.RLIMIT_FSIZE, unlimited)
    eventually(lambda: rig.find("mortal").pid not in (0, before), 10, "the state is written again")
    size = (rig.home.logs / "chatty.log").stat().st_size
    eventually(lambda: (rig.home.logs / "chatty.log").stat().st_size > size, 10, "and so are logs")
    assert rig.end()[0] == 0
    assert rig.left() == []


def test_a_second_signal_kills_at_once(start: Start) -> None:
    rig = start({"name": "deaf", "argv": STUBBORN, "grace_s": 600}).started()
    rig.state()
    rig.process.send_signal(signal.SIGINT)
    log = rig.home.logs / "supervisor.log"
    eventually(lambda: "exit request" in log.read_text(), 10, "the supervisor was asked to end")
    code, _, _ = rig.end(signal.SIGINT, timeout_s=10)
    assert code == 0
    assert rig.left() == []


def test_a_killed_process_comes_back(start: Start) -> None:
    rig = start({"name": "a", "argv": STEADY}, {"name": "b", "argv": STEADY}).started()
    before, other = rig.find("a").pid, rig.find("b").pid
    os.kill(before, signal.SIGKILL)
    eventually(lambda: rig.find("a").pid not in (0, before), 10, "it is back")
    found = rig.find("a")
    assert found.restarts == 1
    assert "SIGKILL" in found.last_end
    assert rig.find("b").pid == other


def test_children_of_a_dead_process_die_before_it_comes_back(start: Start) -> None:
    rig = start({"name": "p", "argv": PARENT}).started()
    before = psutil.Process(rig.find("p").pid)
    eventually(lambda: len(before.children()) == 1, 10, "it has its child")
    child = before.children()[0]
    before.kill()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10, "the child is gone")


def test_a_program_that_keeps_dying_leaves_the_others_alone(start: Start) -> None:
    dies_later = script("import time\ntime.sleep(0.2)\nraise SystemExit(4)")
    rig = start({"name": "dying", "argv": dies_later}, {"name": "good", "argv": STEADY}).started()
    good = rig.find("good").pid
    eventually(lambda: "exit status 4" in rig.find("dying").last_end, 10, "it has died")
    eventually(lambda: rig.find("dying").restarts >= 2, 20, "it has been tried again")
    eventually(lambda: rig.find("dying").state == "backoff", 10, "it waits for the next try")
    assert rig.find("dying").next_try_s > time.time() - 1
    assert rig.find("good").pid == good
    assert rig.process.poll() is None


def test_a_start_that_fails_is_one_sentence_and_leaves_nothing(start: Start) -> None:
    rig = start({"name": "good", "argv": STEADY}, {"name": "bad", "argv": BROKEN, "port": 1})
    eventually(lambda: rig.state() is not None or rig.process.poll() is not None, 10, "it has begun")
    eventually(lambda: rig.process.poll() is not None or rig.state() is None, 20, "it has given up")
    code, _, err = rig.wait()
    assert code == 1
    assert err.count("\n") == 1
    assert "bad ends again and again (exit status 3" in err
    assert "no such thing as a fish" in err
    assert rig.left() == []


def test_what_waits_is_started_later(start: Start) -> None:
    late = {"name": "late", "argv": STEADY, "after": ["never"]}
    rig = start({"name": "never", "argv": STEADY, "port": 1}, late)
    eventually(lambda: (state := rig.state()) is not None and bool(state.processes), 10, "the state is written")
    eventually(lambda: rig.find("never").pid != 0, 10, "the first one runs")
    assert rig.find("late").state == "stopped"
    assert rig.end()[0] == 0
    assert rig.left() == []


def test_killing_the_supervisor_ends_everything(start: Start) -> None:
    rig = start({"name": "a", "argv": PARENT}, {"name": "deaf", "argv": STUBBORN}).started()
    eventually(lambda: len(psutil.Process(rig.find("a").pid).children()) == 1, 10, "a has its child")
    state = rig.state()
    assert state is not None
    os.kill(state.supervisor_pid, signal.SIGKILL)
    code, _, err = rig.wait()
    assert code == 1
    assert "the supervisor ended by itself" in err
    assert rig.left() == []


def test_killing_up_itself_ends_everything(start: Start) -> None:
    rig = start({"name": "a", "argv": PARENT}, {"name": "b", "argv": STEADY}).started()
    eventually(lambda: len(psutil.Process(rig.find("a").pid).children()) == 1, 10, "a has its child")
    assert rig.end(signal.SIGKILL)[0] == -signal.SIGKILL
    eventually(lambda: rig.left() == [], 20, "nothing is left")
    eventually(lambda: not rig.home.is_locked(), 5, "the folder is free")


def names_of(rig: Rig, program: str) -> list[str]:
    state = rig.state()
    return [] if state is None else [process.name for process in state.processes if process.program == program]


def test_instances_come_and_go_at_run_time(start: Start) -> None:
    rig = start({"name": "many", "argv": STEADY, "instances": 1}, {"name": "one", "argv": STEADY}).started()
    first = rig.find("many-1").pid
    assert rig.control.scale("many", 3) == 1
    rig.started()
    assert names_of(rig, "many") == ["many-1", "many-2", "many-3"]
    gone = rig.find("many-2").pid
    assert rig.control.scale("many", 1) == 3
    eventually(lambda: names_of(rig, "many") == ["many-1"], 10, "two are gone")
    assert rig.find("many-1").pid == first
    assert not psutil.pid_exists(gone)
    with pytest.raises(Invalid, match="one runs once"):
        rig.control.scale("one", 2)
    with pytest.raises(Invalid, match="nobody"):
        rig.control.scale("nobody", 2)


def test_one_that_has_just_ended_by_itself_leaves_too(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    many = supervisor.Program("many", ("sleep", "600"), instances=2, scalable=True)
    state = State(1, 2, 0.0, "", "", "", str(tmp_path / "control.sock"), {})
    options = supervisor._options([many], home, tmp_path / "control.sock")
    kept = supervisor._Kept(options, [many], home, state)
    for group in options.process_group_configs:
        kept.add_process_group(group)
    _, second = kept.children()
    second.laststart, second.state = time.time(), ProcessStates.EXITED
    supervisor._Interface(kept).scale("many", 1)
    for group in kept.process_groups.values():
        group.transition()
    kept.tick()
    assert second.pid == 0
    assert [child.config.name for child in kept.children()] == ["many-1"]


def test_any_name_of_the_home_will_do(tmp_path: Path) -> None:
    home = tmp_path / 'it\'s 100% "ödd" $HOME'
    rig = Rig(
        home, {"name": "a", "argv": [*script("import sys, time\nprint(sys.argv)\ntime.sleep(600)"), "% $(x) 'y'"]}
    )
    try:
        rig.started()
        log = rig.home.logs / "a.log"
        eventually(lambda: "% $(x) 'y'" in log.read_text(), 10, "its log is there")
        assert rig.end()[0] == 0
        assert rig.left() == []
    finally:
        rig.close()
        shutil.rmtree(embedded.make_sockets_folder(home))


def test_a_log_is_kept_per_process_and_rotates(start: Start) -> None:
    line = "x" * 1023
    chatty = script(f"print('{line}\\n' * 10_000, flush=True)\nimport time\ntime.sleep(600)")
    rig = start({"name": "chatty", "argv": chatty}, {"name": "quiet", "argv": STEADY}).started()
    rotated = rig.home.logs / "chatty.log.1"
    eventually(rotated.exists, 20, "the log has been rotated")
    assert rotated.stat().st_size <= 9 << 20
    assert (rig.home.logs / "quiet.log").read_text() == ""
