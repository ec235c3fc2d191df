"""CPU and memory of the machine's processes, summed by name so that the number of series stays bounded.

Belongs here: reading the process table cheaply and choosing the busiest. Does not: other metrics of the machine.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil

MAX_NAMES = 200
OTHER = "other"
_KERNEL_THREAD = 0x00200000


@dataclass(frozen=True)
class Process:
    """One process: `identity` is never used again, cpu_s is CPU time since its start."""

    identity: tuple[int, float]
    name: str
    cpu_s: float
    resident_bytes: int


@dataclass
class Usage:
    """What all processes of one name use: cpu_pct (100 is one core) and resident memory."""

    cpu_pct: float = 0.0
    resident_bytes: int = 0


@dataclass
class ProcessTable:
    """Remembers CPU times between readings, and which names it has given out."""

    top: int
    _cpu_s: dict[tuple[int, float], float] = field(default_factory=dict)
    _at_s: float | None = None
    _names: set[str] = field(default_factory=set)

    def busiest(self, at_s: float) -> tuple[int, dict[str, Usage]]:
        """How many processes there are, and the busiest names by CPU and by memory, `top` of each.

        At the first reading nothing is known of CPU, and it is 0 for all.
        """
        processes = list(read())
        elapsed_s = 0.0 if self._at_s is None else at_s - self._at_s
        usage: dict[str, Usage] = defaultdict(Usage)
        for process in processes:
            entry = usage[process.name]
            entry.resident_bytes += process.resident_bytes
            if elapsed_s > 0:
                # A process that was not there before has used all of its time since then.
                entry.cpu_pct += max(0.0, process.cpu_s - self._cpu_s.get(process.identity, 0.0)) / elapsed_s * 100
        self._cpu_s = {process.identity: process.cpu_s for process in processes}
        self._at_s = at_s
        return len(processes), self._bounded(_top(usage, self.top))

    def _bounded(self, usage: dict[str, Usage]) -> dict[str, Usage]:
        """The same under at most MAX_NAMES names in the life of this table; the rest together."""
        result: dict[str, Usage] = {}
        for name, entry in usage.items():
            if name not in self._names and len(self._names) >= MAX_NAMES:
                total = result.setdefault(OTHER, Usage())
                total.cpu_pct += entry.cpu_pct
                total.resident_bytes += entry.resident_bytes
            else:
                self._names.add(name)
                result[name] = entry
        return result


def _top(usage: dict[str, Usage], count: int) -> dict[str, Usage]:
    by_cpu = sorted(usage, key=lambda name: (-usage[name].cpu_pct, name))[:count]
    by_memory = sorted(usage, key=lambda name: (-usage[name].resident_bytes, name))[:count]
    return {name: usage[name] for name in dict.fromkeys([*by_cpu, *by_memory])}


def read() -> Iterator[Process]:
    """All processes that may be looked at."""
    return _from_proc() if os.path.isdir("/proc/self") else _from_psutil()


def _from_proc() -> Iterator[Process]:
    """From /proc/PID/stat: one small file each, a fifth of what psutil takes."""
    tick_s, page_bytes = 1 / os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                stat = file.read()
        except OSError:  # it has ended meanwhile
            continue
        # The name stands in parentheses and may hold some itself; what follows is numbers (man 5 proc).
        head, _, tail = stat.rpartition(b")")
        fields = tail.split()
        if len(fields) < 22:
            continue
        name = _name(head.partition(b"(")[2], int(fields[6]) & _KERNEL_THREAD != 0)
        cpu_s = (int(fields[11]) + int(fields[12])) * tick_s
        yield Process((int(entry), float(fields[19])), name, cpu_s, int(fields[21]) * page_bytes)


def _name(raw: bytes, kernel_thread: bool) -> str:
    name = raw.decode("utf-8", "replace").replace("\0", "").strip()
    if kernel_thread:  # kworker/0:1-events and the like: one name for all
        name = name.partition("/")[0]
    return name or "unknown"


def _from_psutil() -> Iterator[Process]:
    for process in psutil.process_iter(["name", "create_time", "cpu_times", "memory_info"]):
        found = process.info
        if found["cpu_times"] is not None and found["memory_info"] is not None:
            cpu_s = found["cpu_times"].user + found["cpu_times"].system
            name = _name((found["name"] or "").encode(), False)
            yield Process((process.pid, found["create_time"]), name, cpu_s, found["memory_info"].rss)
