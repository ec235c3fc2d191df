"""The machine's own metrics: CPU, memory, disks, network, load, files, the busiest processes.

Belongs here: reading them, cheaply, and never failing because one of them cannot be read. Does not: sending.
"""

import logging
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from muninn.clock import SECOND_US, Clock, SystemClock
from muninn.model import SampleBatch, SeriesKey
from muninn.names import HOST_AGENT
from muninn.sources.processes import ProcessTable
from muninn.sources.rates import Rates

log = logging.getLogger(__name__)

_MODES = ("user", "system", "nice", "idle", "iowait", "irq", "softirq", "steal")
_WAITING = ("idle", "iowait")
# Beyond this many cores only `total` is split by mode: a large machine would send hundreds of series.
_MAX_SPLIT_CORES = 8
_MAX_DEVICES = 16
_VIRTUAL_DISKS = ("loop", "ram", "zram", "fd", "sr")
# Each container brings a device of its own under a new name.
_VIRTUAL_NETWORKS = ("veth",)
# Linux says here how long tasks had to wait; a kernel may be built without, and a container may hide it.
_PRESSURE = "/proc/pressure"
_SLOW_EVERY_S = 5.0
# The process table is read so seldom that it takes at most this share of one core.
_PROCESS_SHARE = 0.0015

Figure = tuple[str, dict[str, str], float]


class HostCollector:
    """Reads this machine; rates need two readings, so the first one has none."""

    def __init__(self, clock: Clock | None = None, *, top_processes: int = 5, hostname: str | None = None):
        self._clock = clock or SystemClock()
        self._host = hostname or socket.gethostname()
        self._rates = Rates()
        self._cpu: dict[str, dict[str, float]] = {}
        self._processes = ProcessTable(top_processes)
        self._keys: dict[tuple[str, tuple[tuple[str, str], ...]], SeriesKey] = {}
        self._silent: set[str] = set()
        self._next_slow_s = self._next_processes_s = float("-inf")

    def read(self) -> SampleBatch:
        """What can be read now, all at one instant. Cheap: about a millisecond of CPU, processes now and then."""
        at_us = self._clock.now_us()
        figures = [figure for reader in self._readers() for figure in self._safely(reader)]
        self._rates.forget_before(self._clock.monotonic() - 60)
        return SampleBatch.of([(self._key(name, labels), at_us, float(value)) for name, labels, value in figures])

    def _readers(self) -> list[Callable[[], Iterator[Figure]]]:
        readers = [
            self._cpus,
            self._memory,
            self._swap,
            self._disks,
            self._network,
            self._load,
            self._pressure,
            self._kernel,
            self._files,
        ]
        now_s = self._clock.monotonic()
        if now_s >= self._next_slow_s:
            self._next_slow_s = now_s + _SLOW_EVERY_S
            readers.append(self._filesystems)
        if now_s >= self._next_processes_s:
            readers.append(self._process_table)
        return readers

    def _safely(self, reader: Callable[[], Iterator[Figure]]) -> list[Figure]:
        """What a reader gives before it fails; a failure is logged once."""
        figures: list[Figure] = []
        try:
            with warnings.catch_warnings():
                # psutil warns, each time, of what a container does not show.
                warnings.simplefilter("ignore", RuntimeWarning)
                figures.extend(reader())
        except Exception as error:  # whatever a machine does not show must not hide the rest
            name = reader.__name__.strip("_")
            if name not in self._silent:
                self._silent.add(name)
                log.warning("this machine does not show its %s: %s", name, error)
        return figures

    def _key(self, name: str, labels: dict[str, str]) -> SeriesKey:
        ident = (name, tuple(labels.items()))
        key = self._keys.get(ident)
        if key is None:
            key = SeriesKey.of(name, {"host": self._host, **labels}, HOST_AGENT, self._host)
            self._keys[ident] = key
        return key

    def _rate(self, name: str, labels: dict[str, str], total: float, scale: float = 1.0) -> Iterator[Figure]:
        rate = self._rates.per_s((name, *labels.values()), total, self._clock.monotonic())
        if rate is not None:
            yield name, labels, rate * scale

    def _cpus(self) -> Iterator[Figure]:
        cores = [times._asdict() for times in psutil.cpu_times(percpu=True)]
        total = {mode: sum(core.get(mode, 0.0) for core in cores) for mode in _MODES}
        split_all = len(cores) <= _MAX_SPLIT_CORES
        for cpu, times in [("total", total), *((str(number), core) for number, core in enumerate(cores))]:
            shares = self._shares(cpu, {mode: times[mode] for mode in _MODES if mode in times})
            if not shares:
                continue
            if split_all or cpu == "total":
                for mode, share in shares.items():
                    yield "cpu_usage_pct", {"cpu": cpu, "mode": mode}, share
            busy = sum(share for mode, share in shares.items() if mode not in _WAITING)
            yield "cpu_busy_pct", {"cpu": cpu}, min(100.0, busy)

    def _shares(self, cpu: str, times: dict[str, float]) -> dict[str, float]:
        """Each mode's share of the time since the last reading, in percent; {} at the first one."""
        before, self._cpu[cpu] = self._cpu.get(cpu), times
        if before is None:
            return {}
        # iowait may go back by a little, all of them when a core was off: such a mode has no sample.
        grown = {mode: times[mode] - before.get(mode, 0.0) for mode in times if times[mode] >= before.get(mode, 0.0)}
        elapsed = sum(grown.values())
        return {mode: seconds / elapsed * 100 for mode, seconds in grown.items()} if elapsed > 0 else {}

    def _memory(self) -> Iterator[Figure]:
        memory = psutil.virtual_memory()
        for field in ("total", "used", "available", "cached", "buffers"):
            if hasattr(memory, field):
                yield f"memory_{field}_bytes", {}, getattr(memory, field)
        yield "memory_used_pct", {}, (memory.total - memory.available) / memory.total * 100

    def _swap(self) -> Iterator[Figure]:
        swap = psutil.swap_memory()
        yield "swap_total_bytes", {}, swap.total
        yield "swap_used_bytes", {}, swap.used
        yield "swap_used_pct", {}, swap.used / swap.total * 100 if swap.total else 0.0

    def _disks(self) -> Iterator[Figure]:
        disks = psutil.disk_io_counters(perdisk=True)
        for device in _whole_disks(disks):
            counted, labels = disks[device], {"device": device}
            yield from self._rate("disk_read_bytes_per_s", labels, counted.read_bytes)
            yield from self._rate("disk_written_bytes_per_s", labels, counted.write_bytes)
            yield from self._rate("disk_reads_per_s", labels, counted.read_count)
            yield from self._rate("disk_writes_per_s", labels, counted.write_count)
            if hasattr(counted, "busy_time"):
                for name, busy, ms_per_s in self._rate("disk_busy_pct", labels, counted.busy_time):
                    yield name, busy, min(100.0, ms_per_s / 10)

    def _network(self) -> Iterator[Figure]:
        networks = psutil.net_io_counters(pernic=True)
        for device in sorted(name for name in networks if not name.startswith(_VIRTUAL_NETWORKS))[:_MAX_DEVICES]:
            counted, labels = networks[device], {"device": device}
            yield from self._rate("network_received_bytes_per_s", labels, counted.bytes_recv)
            yield from self._rate("network_sent_bytes_per_s", labels, counted.bytes_sent)
            yield from self._rate("network_received_packets_per_s", labels, counted.packets_recv)
            yield from self._rate("network_sent_packets_per_s", labels, counted.packets_sent)
            yield from self._rate("network_errors_per_s", labels, counted.errin + counted.errout)
            yield from self._rate("network_drops_per_s", labels, counted.dropin + counted.dropout)

    def _load(self) -> Iterator[Figure]:
        for minutes, load in zip((1, 5, 15), psutil.getloadavg(), strict=True):
            yield f"load_{minutes}m", {}, load

    def _pressure(self) -> Iterator[Figure]:
        """Shares of time in which tasks waited: `some` at least one, `full` all that had something to do."""
        for resource in ("cpu", "memory", "io"):
            try:
                with open(f"{_PRESSURE}/{resource}", encoding="ascii") as file:
                    lines = [line.split() for line in file]
            except OSError:
                continue
            for kind, *fields in lines:
                # Of the whole machine's processors all tasks can never wait: the kernel says 0.
                if (resource, kind) != ("cpu", "full"):
                    total_us = float(fields[-1].removeprefix("total="))
                    labels = {"resource": resource, "kind": kind}
                    for name, _, us_per_s in self._rate("pressure_pct", labels, total_us):
                        yield name, labels, min(100.0, us_per_s / 10_000)

    def _kernel(self) -> Iterator[Figure]:
        yield "uptime_s", {}, self._clock.now_us() / SECOND_US - psutil.boot_time()
        stats = psutil.cpu_stats()
        yield from self._rate("context_switches_per_s", {}, stats.ctx_switches)
        yield from self._rate("interrupts_per_s", {}, stats.interrupts)

    def _files(self) -> Iterator[Figure]:
        if os.path.exists("/proc/sys/fs/file-nr"):
            with open("/proc/sys/fs/file-nr", encoding="ascii") as file:
                allocated, unused, _ = map(int, file.read().split())
            yield "open_files", {}, allocated - unused

    def _filesystems(self) -> Iterator[Figure]:
        mounts = {"/"} | {part.mountpoint for part in psutil.disk_partitions(all=False) if _is_storage(part)}
        for mount in sorted(mounts)[:_MAX_DEVICES]:
            try:
                usage = psutil.disk_usage(mount)
            except OSError:  # not ours to look at, or unmounted meanwhile
                continue
            yield "filesystem_used_pct", {"mount": mount}, usage.percent
            yield "filesystem_free_bytes", {"mount": mount}, usage.free

    def _process_table(self) -> Iterator[Figure]:
        started = time.process_time()
        now_s = self._clock.monotonic()
        count, busiest = self._processes.busiest(now_s)
        took_s = time.process_time() - started
        self._next_processes_s = now_s + max(_SLOW_EVERY_S, took_s / _PROCESS_SHARE)
        yield "process_count", {}, count
        for name, usage in busiest.items():
            yield "process_cpu_pct", {"process": name}, usage.cpu_pct
            yield "process_memory_bytes", {"process": name}, usage.resident_bytes


def _whole_disks(disks: dict[str, Any]) -> list[str]:
    """The devices worth a series: no loop or memory devices, no partitions where that can be told."""
    real = [name for name in disks if not name.startswith(_VIRTUAL_DISKS)]
    whole = [name for name in real if os.path.exists(f"/sys/block/{name}")]
    return sorted(whole or real)[:_MAX_DEVICES]


def _is_storage(partition: Any) -> bool:
    return partition.fstype not in ("squashfs", "iso9660", "") and "/snap/" not in partition.mountpoint
