"""The process table: real, and made up."""

import os
import time

import pytest

from muninn.sources import processes
from muninn.sources.processes import MAX_NAMES, OTHER, Process, ProcessTable


def table(
    monkeypatch: pytest.MonkeyPatch, *readings: list[Process], top: int = 2
) -> tuple[ProcessTable, list[list[Process]]]:
    left = list(readings)
    monkeypatch.setattr(processes, "read", lambda: left.pop(0))
    return ProcessTable(top), left


def made(pid: int, name: str, cpu_s: float, memory: int = 0, start: float = 0.0) -> Process:
    return Process((pid, start), name, cpu_s, memory)


def test_usage_is_summed_by_name_and_new_processes_count_from_their_start(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [made(1, "a", 10, 5), made(2, "a", 20, 6), made(3, "b", 1, 100)]
    second = [made(1, "a", 11, 5), made(2, "a", 20.5, 6), made(3, "b", 1, 100), made(4, "b", 0.5, 1)]
    found, _ = table(monkeypatch, first, second)
    count, usage = found.busiest(100.0)
    assert count == 3
    assert {name: (entry.cpu_pct, entry.resident_bytes) for name, entry in usage.items()} == {
        "a": (0, 11),
        "b": (0, 100),
    }
    count, usage = found.busiest(105.0)
    assert count == 4
    assert {name: (entry.cpu_pct, entry.resident_bytes) for name, entry in usage.items()} == {
        "a": (30, 11),
        "b": (10, 101),
    }


def test_a_pid_that_is_used_again_is_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = table(monkeypatch, [made(1, "a", 500)], [made(1, "a", 1, start=9.0)])
    found.busiest(0.0)
    _, usage = found.busiest(10.0)
    assert usage["a"].cpu_pct == pytest.approx(10.0)


def test_the_busiest_by_cpu_and_by_memory_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [made(pid, f"p{pid}", 0, memory=pid) for pid in range(6)]
    later = [made(pid, f"p{pid}", 6 - pid, memory=pid) for pid in range(6)]
    found, _ = table(monkeypatch, names, later)
    found.busiest(0.0)
    _, usage = found.busiest(1.0)
    assert set(usage) == {"p0", "p1", "p4", "p5"}


def test_names_are_bounded_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = [[made(pid, f"job-{round_}-{pid}", 0, 10) for pid in range(100)] for round_ in range(4)]
    found, _ = table(monkeypatch, *readings, top=100)
    seen: set[str] = set()
    for round_ in range(4):
        _, usage = found.busiest(float(round_))
        seen |= set(usage)
    assert len(seen) == MAX_NAMES + 1
    assert usage[OTHER].resident_bytes == 1000


@pytest.mark.parametrize(
    "reader", [processes._from_psutil] + ([processes._from_proc] if os.path.isdir("/proc/self") else [])
)
def test_this_process_is_in_the_real_table(reader: object) -> None:
    started = time.process_time()
    while time.process_time() - started < 0.05:
        pass
    own = [process for process in reader() if process.identity[0] == os.getpid()]  # type: ignore[operator]
    assert len(own) == 1
    assert own[0].cpu_s > 0.01
    assert own[0].resident_bytes > 1 << 20
    assert own[0].name


def test_kernel_threads_share_a_name_and_odd_names_stay_readable() -> None:
    assert processes._name(b"kworker/0:1-events", True) == "kworker"
    assert processes._name(b"my/app", False) == "my/app"
    assert processes._name(b"\xff\0 ", False) == "\N{REPLACEMENT CHARACTER}"
    assert processes._name(b"", False) == "unknown"
