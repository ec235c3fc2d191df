"""The host collector: on this machine, and on machines that show less."""

import time
from collections import Counter, namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from muninn import names
from muninn.clock import ManualClock
from muninn.model import SampleBatch
from muninn.sources import host
from muninn.sources.host import HostCollector


def values(batch: SampleBatch) -> dict[tuple[str, str], float]:
    """(metric, the labels besides host) -> value."""
    return {
        (key.metric, " ".join(text for name, text in key.labels if name != "host")): value
        for key, value in zip(batch.keys, batch.value.tolist(), strict=True)
    }


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(time.time_ns() // 1000)


def read_twice(collector: HostCollector, clock: ManualClock) -> SampleBatch:
    collector.read()
    before = time.process_time()
    while time.process_time() - before < 0.03:  # a tick of CPU time must pass for there to be shares
        pass
    clock.advance(10)
    return collector.read()


def test_this_machine_gives_a_sensible_picture(clock: ManualClock) -> None:
    collector = HostCollector(clock, hostname="h")
    batch = read_twice(collector, clock)
    found = values(batch)
    assert 40 <= len(found) <= 400
    assert set(batch.at_us.tolist()) == {clock.now_us()}
    assert {(key.source_agent_id, key.instance_id, dict(key.labels)["host"]) for key in batch.keys} == {
        ("host-collector", "h", "h")
    }
    assert len(set(batch.keys)) == len(batch.keys)
    modes = [
        value for (metric, labels), value in found.items() if metric == "cpu_usage_pct" and labels.startswith("total ")
    ]
    assert sum(modes) == pytest.approx(100)
    assert 0 <= found["cpu_busy_pct", "total"] <= 100
    assert 0 < found["memory_used_bytes", ""] < found["memory_total_bytes", ""] == psutil.virtual_memory().total
    assert found["process_count", ""] > 1
    assert found["uptime_s", ""] > 1
    assert 0 <= found["filesystem_used_pct", "/"] <= 100
    assert any(metric == "process_memory_bytes" for metric, _ in found)


PRESSURE = "some avg10=1.00 avg60=2.00 avg300=3.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total={}\n"


def test_pressure_is_the_share_of_time_that_tasks_waited(
    clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_PRESSURE", str(tmp_path))
    collector = HostCollector(clock)
    (tmp_path / "cpu").write_text(PRESSURE.format(1_000_000, 0))
    (tmp_path / "io").write_text(PRESSURE.format(0, 5_000_000))
    assert not [metric for metric, _ in values(collector.read()) if metric == "pressure_pct"], "rates need two"
    clock.advance(10)
    (tmp_path / "cpu").write_text(PRESSURE.format(3_500_000, 0))
    (tmp_path / "io").write_text(PRESSURE.format(0, 30_000_000))
    found = {labels: value for (metric, labels), value in values(collector.read()).items() if metric == "pressure_pct"}
    assert found == {"some cpu": 25.0, "some io": 0.0, "full io": 100.0}, "a kernel may show only some"


def test_every_metric_is_registered_with_unit_and_help(clock: ManualClock) -> None:
    batch = read_twice(HostCollector(clock), clock)
    for key in batch.keys:
        assert names.REGISTRY[key.metric].help, key.metric
        assert names.REGISTRY[key.metric].kind == "gauge"


def test_the_first_reading_has_no_rates(clock: ManualClock) -> None:
    collector = HostCollector(clock)
    first = {key.metric for key in collector.read().keys}
    assert "memory_used_pct" in first
    assert not [metric for metric in first if metric.endswith("_per_s") or metric.startswith("cpu_")]


def test_slow_parts_are_read_now_and_then(clock: ManualClock) -> None:
    collector = HostCollector(clock)
    seen = []
    for _ in range(12):
        seen.append({key.metric for key in collector.read().keys})
        clock.advance(1)
    with_files = [second for second, metrics in enumerate(seen) if "filesystem_used_pct" in metrics]
    assert with_files == [0, 5, 10]
    assert 1 <= sum("process_count" in metrics for metrics in seen) <= 3


Net = namedtuple("Net", "bytes_recv bytes_sent packets_recv packets_sent errin errout dropin dropout")
Disk = namedtuple("Disk", "read_bytes write_bytes read_count write_count busy_time")
Cpu = namedtuple("Cpu", "user system idle iowait")


def test_rates_by_device_resets_and_devices_that_do_not_count(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = {"eth0": Net(1000, 10, 5, 5, 0, 0, 0, 0), "lo": Net(7, 7, 7, 7, 0, 0, 0, 0), "veth1": Net(*[9] * 8)}
    disks = {"sda": Disk(100, 200, 1, 2, 1000), "loop0": Disk(*[1] * 5), "ram1": Disk(*[1] * 5)}
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: networks)
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk: disks)
    collector = HostCollector(clock)
    collector.read()
    clock.advance(2)
    networks["eth0"] = Net(3000, 10, 5, 5, 1, 2, 0, 4)
    networks["lo"] = Net(0, 9, 7, 7, 0, 0, 0, 0)
    disks["sda"] = Disk(300, 200, 2, 2, 9000)
    found = values(collector.read())
    assert found["network_received_bytes_per_s", "eth0"] == 1000
    assert found["network_errors_per_s", "eth0"] == 1.5
    assert found["network_drops_per_s", "eth0"] == 2
    assert ("network_received_bytes_per_s", "lo") not in found, "a reset is no sample"
    assert found["network_sent_bytes_per_s", "lo"] == 1
    assert found["disk_read_bytes_per_s", "sda"] == 100
    assert found["disk_busy_pct", "sda"] == 100
    assert {labels for metric, labels in found if metric.startswith("disk_")} == {"sda"}
    assert not [labels for metric, labels in found if labels == "veth1"]


def test_cpu_shares_add_up_and_a_mode_that_goes_back_is_left_out(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores = [Cpu(10, 10, 100, 5), Cpu(0, 0, 0, 0)]
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: cores)
    collector = HostCollector(clock)
    collector.read()
    cores[0] = Cpu(12, 11, 105, 4)
    found = values(collector.read())
    assert found["cpu_usage_pct", "0 user"] == pytest.approx(25)
    assert found["cpu_usage_pct", "0 system"] == pytest.approx(12.5)
    assert found["cpu_busy_pct", "0"] == pytest.approx(37.5)
    assert ("cpu_usage_pct", "0 iowait") not in found
    assert ("cpu_busy_pct", "1") not in found, "a core that stood still has no shares"


def test_a_large_machine_is_split_by_mode_only_in_total(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = [Cpu(0, 0, 0, 0)] * 64
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: cores)
    collector = HostCollector(clock)
    collector.read()
    cores = [Cpu(1, 1, 1, 1)] * 64
    counted = Counter(key.metric for key in collector.read().keys)
    assert counted["cpu_busy_pct"] == 65
    assert counted["cpu_usage_pct"] <= 8


CALLS = ["cpu_times", "virtual_memory", "swap_memory", "disk_io_counters", "net_io_counters", "getloadavg", "cpu_stats"]
CALLS += ["boot_time", "disk_partitions", "disk_usage"]


@pytest.mark.parametrize("denied", CALLS)
@pytest.mark.parametrize("error", [psutil.AccessDenied(), PermissionError("no"), AttributeError("no such"), None])
def test_what_one_call_does_not_show_is_left_out_and_told_once(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, denied: str, error: Any
) -> None:
    def deny(*args: Any, **kwargs: Any) -> Any:
        if error is not None:
            raise error

    monkeypatch.setattr(psutil, denied, deny)
    collector = HostCollector(clock)
    collector.read()
    clock.advance(10)
    assert len(collector.read()) > 20
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) <= 1


def test_one_mount_that_may_not_be_looked_at_hides_no_other(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = psutil.disk_usage("/")
    parts = [SimpleNamespace(mountpoint=mount, fstype="ext4") for mount in ("/a", "/z")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: parts)

    def usage(mount: str) -> Any:
        if mount == "/a":
            raise PermissionError("no")
        return real

    monkeypatch.setattr(psutil, "disk_usage", usage)
    found = values(HostCollector(clock).read())
    assert [labels for metric, labels in found if metric == "filesystem_used_pct"] == ["/", "/z"]


def test_a_reading_is_cheap() -> None:
    collector = HostCollector()
    collector.read()
    started = time.process_time()
    for _ in range(20):
        collector.read()
    # Processes are read every five seconds: once more than 20 readings of one second would hold.
    assert (time.process_time() - started) / 20 < 0.02


def test_keys_are_made_once(clock: ManualClock) -> None:
    collector = HostCollector(clock)
    readings = []
    for _ in range(3):
        readings.append({key: id(key) for key in collector.read().keys})
        clock.advance(1)
    shared = readings[1].keys() & readings[2].keys()
    assert len(shared) > 20
    assert all(readings[1][key] == readings[2][key] for key in shared)
