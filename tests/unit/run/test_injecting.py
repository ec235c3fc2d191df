"""Faults on purpose: bounded, over by themselves, and nothing is left of them."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from muninn.errors import Misconfigured
from muninn.run import injecting
from muninn.settings import Settings
from muninn.sources.rehearsal import ILLS, INSTANCES, Service

KINDS = ("cpu", "memory", "disk", "service", *ILLS)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def test_memory_is_held_up_to_a_bound() -> None:
    assert 8_000_000 <= injecting.leak_memory(1.0, 12_000_000, threading.Event()) <= 12_000_000 + (4 << 20)


def test_a_disk_is_filled_up_to_a_bound_and_the_file_is_gone(tmp_path: Path) -> None:
    assert 8_000_000 <= injecting.fill_disk(1.0, 12_000_000, tmp_path, threading.Event()) <= 12_000_000 + (4 << 20)
    assert list(tmp_path.iterdir()) == []


def test_cpu_is_burnt_by_processes_that_end() -> None:
    started = time.process_time()
    injecting.burn_cpu(0.5, 1, threading.Event())
    assert time.process_time() - started < 0.5, "it burns elsewhere"


def test_whoever_stops_a_fault_ends_it_at_once(tmp_path: Path, settings: Settings) -> None:
    stop = threading.Event()
    stop.set()
    assert injecting.leak_memory(3_600.0, 1 << 30, stop) == 0
    assert injecting.fill_disk(3_600.0, 1 << 30, tmp_path, stop) == 0


def test_an_ill_needs_a_service_and_is_over_by_itself(settings: Settings) -> None:
    stop, where = threading.Event(), injecting.folder(settings)
    with pytest.raises(Misconfigured, match="inject service"):
        injecting.ail(settings, "latency", 60.0, stop)
    (where / "service").write_text(f"{time.time() + 60}")
    thread = threading.Thread(target=injecting.ail, args=(settings, "latency", 60.0, stop))
    thread.start()
    while not injecting.ills_now(where):
        assert thread.is_alive()
    assert injecting.ills_now(where) == {"latency"}
    stop.set()
    thread.join()
    assert injecting.ills_now(where) == frozenset()
    (where / "errors").write_text(f"{time.time() - 1}")
    (where / "traffic").write_text("what?")
    assert injecting.ills_now(where) == frozenset(), "what was left behind is over, too"


@pytest.mark.parametrize(
    ("kind", "seconds", "megabytes"),
    [("earthquake", 10, 1), ("cpu", 0, 1), ("cpu", 4_000, 1), ("memory", 10, 9_000), ("disk", 10, 30_000)],
)
def test_what_has_no_bounds_is_refused(kind: str, seconds: float, megabytes: int) -> None:
    with pytest.raises(Misconfigured):
        injecting.check(kind, KINDS, seconds, megabytes)


@pytest.mark.parametrize("ill", ILLS)
def test_an_ill_service_is_told_from_its_twin(ill: str) -> None:
    service = Service()
    well = np.stack([service.read(second * 1_000_000).value for second in range(60)])
    batch = service.read(0, {ill})
    if ill == "silence":
        assert {key.instance_id for key in batch.keys} == {INSTANCES[1]}
        return
    far = np.abs(batch.value - well.mean(axis=0)) / well.std(axis=0)
    sick = np.array([batch.keys[place].instance_id == INSTANCES[0] for place in batch.key_index])
    assert far[sick].max() > 8
    assert far[~sick].max() < 6
