"""`muninn up` with everything: starts, tells, survives, ends; and starts again with what it had.

The tests of this file share one running stack and stand in order.
"""

import os
import random
import re
import signal
import time
from collections.abc import Iterator

import orjson
import psutil
import pytest
from known_samples import KnownSamples, assert_exactly_once, stored
from muninn_up import MuninnUp
from servers import eventually

from muninn.run.probes import fetch

PARTS = [
    "postgres",
    "valkey",
    "gateway",
    "loader",
    "refresher",
    "sidecar",
    "alerter",
    "detector",
    "collector",
    "dagster-code",
    "dagster-web",
    "dagster-daemon",
    "streamlit",
]

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300), pytest.mark.xdist_group("stack")]


@pytest.fixture(scope="module")
def stack() -> Iterator[MuninnUp]:
    with MuninnUp() as made:
        made.start()
        yield made


def database_url(stack: MuninnUp) -> str:
    return stack.state().database_url


def stored_metrics(stack: MuninnUp) -> dict[str, int]:
    """Metric name -> how many series, as the read API tells."""
    code, body = fetch(f"{stack.gateway_url}/api/v1/metrics")
    if code != 200:
        return {}
    return {metric["metric_name"]: metric["series_count"] for metric in orjson.loads(body)["metrics"]}


def test_it_prints_what_runs_where(stack: MuninnUp) -> None:
    text = stack.output()
    for part in PARTS:
        row = next(line for line in text.splitlines() if re.match(rf"{part} +\d+", line))
        assert psutil.pid_exists(int(row.split()[1]))
    dashboard = f"http://127.0.0.1:{stack.port('STREAMLIT_PORT')}"
    assert f"Open {dashboard}" in text
    # The dashboards are announced before lineage, which takes longer, is there.
    assert text.index(f"Open {dashboard}") < text.index("dagster-daemon is ready")
    assert stack.errors().count("Traceback") == 0


def test_everything_is_well(stack: MuninnUp) -> None:
    eventually(lambda: stack.status()["health"] == "ok", 60, "all is well", interval_s=1)
    found = stack.status()
    parts = {part["name"]: part for part in found["parts"]}
    assert list(parts)[: len(PARTS)] == PARTS
    for name in PARTS:
        assert psutil.pid_exists(parts[name]["pid"])
        assert parts[name]["restarts"] == 0
    assert parts["loader"]["lag_s"] < 10
    assert parts["store"]["lag_s"] < 10
    assert parts["refresher"]["lag_s"] is not None
    assert found["database_url"].startswith("postgresql://")
    assert found["redis_url"].startswith("unix://")
    assert parts["gateway"]["address"] == stack.gateway_url
    shown = stack.run("status")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in PARTS)


def test_every_address_answers(stack: MuninnUp) -> None:
    for name, path in {
        "GATEWAY_PORT": "/healthz",
        "SIDECAR_PORT": "/healthz",
        "STREAMLIT_PORT": "/_stcore/health",
        "DAGSTER_PORT": "/server_info",
    }.items():
        assert fetch(f"http://127.0.0.1:{stack.port(name)}{path}")[0] == 200, name
    code, body = fetch(f"{stack.gateway_url}/readyz")
    assert (code, orjson.loads(body)["status"]) == (200, "ok")
    code, body = fetch(f"{stack.gateway_url}/metrics")
    assert code == 200
    assert b"# TYPE muninn_ingest_samples_total counter" in body


def test_the_machine_and_muninn_itself_are_measured(stack: MuninnUp) -> None:
    eventually(lambda: len(stored_metrics(stack)) > 30, 30, "host and own metrics are in the store", interval_s=0.5)
    found = stored_metrics(stack)
    assert found["cpu_busy_pct"] == (os.cpu_count() or 1) + 1
    assert "muninn_loader_lag_s" in found
    assert 60 <= sum(count for name, count in found.items() if not name.startswith("muninn_")) <= 300


def test_a_second_one_says_so_and_ends(stack: MuninnUp) -> None:
    done = stack.run("up")
    assert done.returncode == 2
    assert f"(pid {stack.state().pid}): open http://127.0.0.1:{stack.port('STREAMLIT_PORT')}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert stack.status()["pid"] == stack.state().pid


def test_instances_can_be_added_and_removed(stack: MuninnUp) -> None:
    assert stack.run("scale", "loader", "2").stdout == "loader: 1 -> 2\n"

    def loaders() -> list[int]:
        return next(part["pids"] for part in stack.status()["parts"] if part["name"] == "loader")

    eventually(lambda: stack.status()["health"] == "ok" and len(loaders()) == 2, 30, "two loaders are well")
    assert stack.run("scale", "loader", "1").stdout == "loader: 2 -> 1\n"
    eventually(lambda: stack.status()["health"] == "ok" and len(loaders()) == 1, 30, "one loader is left")
    assert stack.run("scale", "gateway", "2").returncode == 1


def test_killed_programs_and_servers_come_back_and_lose_nothing(stack: MuninnUp) -> None:
    chance = random.Random(2026)
    client = KnownSamples(stack.gateway_url, seed=1).start()
    for victim in ("loader-1", "valkey", "postgres", "gateway"):
        time.sleep(chance.uniform(0.2, 1.0))  # the random moment: part of what is tested
        before, acknowledged = stack.pid(victim), len(client.acknowledged)
        os.kill(before, signal.SIGKILL)
        eventually(lambda name=victim, old=before: stack.pid(name) not in (0, old), 30, f"{victim} is back")
        eventually(lambda n=acknowledged: len(client.acknowledged) > n, 60, f"samples flow after {victim} died")
    client.finish(60)

    def loaded() -> bool:
        return (
            stack.run("status").returncode == 0
            and stored(database_url(stack), client.metric).keys() >= client.acknowledged.keys()
        )

    eventually(loaded, 60, "all is well and loaded", interval_s=1)
    assert_exactly_once(client, database_url(stack))
    restarts = {part["name"]: part["restarts"] for part in stack.status()["parts"]}
    assert all(restarts[name] >= 1 for name in ("loader", "valkey", "postgres", "gateway"))


def test_it_ends_with_all_its_processes_though_one_hangs(stack: MuninnUp) -> None:
    os.kill(stack.pid("sidecar"), signal.SIGSTOP)
    assert stack.end(signal.SIGINT) == 0
    assert len(stack.seen) > 2 * len(PARTS)
    assert stack.left() == []
    assert "Everything has ended." in stack.output()
    assert stack.run("status").returncode == 1


def test_a_second_start_goes_on_with_the_data_of_the_first(stack: MuninnUp) -> None:
    stack.start()
    found = stored(database_url(stack), "crash_test_level_1")
    assert len(found) > 1000
    eventually(lambda: stack.status()["health"] == "ok", 60, "all is well", interval_s=1)
    assert stack.run("down").stdout == "Ended.\n"
    assert stack.process is not None
    assert stack.process.wait(5) == 0
    assert stack.left() == []
