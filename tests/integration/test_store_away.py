"""PostgreSQL is away for long: samples are taken all the while, everybody says how far behind they are, and then all
are there.

MUNINN_TEST_OUTAGE_S says for how long (30 s); the lag is looked at by the addresses that people look at.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chain import ROOT, Chain
from known_samples import KnownSamples, assert_exactly_once
from servers import eventually, free_port

from muninn import settings
from muninn.home import Home, State
from muninn.run import environment
from muninn.run.probes import fetch

SECONDS = float(os.environ.get("MUNINN_TEST_OUTAGE_S", "30"))
# Beyond this the health of the buffer is no longer ok.
NOTICED_S = 12
MUNINN = str(Path(sys.executable).with_name("muninn"))


@pytest.fixture
def environ(chain: Chain, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What `muninn status` needs: a state folder that says what runs, as `muninn up` leaves it."""
    ours = {
        "MUNINN_HOME": str(tmp_path / "home"),
        "MUNINN_DATABASE_URL": chain.postgres.url,
        "MUNINN_REDIS_URL": chain.valkey.url,
        "MUNINN_GATEWAY_PORT": str(chain.port),
    }
    home = Home(tmp_path / "home")
    home.prepare()
    with home.locked():
        told = environment.without_secrets(settings.load(ours))
        home.write(State(os.getpid(), os.getpid(), time.time(), "postgresql://…", "redis://…", "", "", told))
        yield {**{name: text for name, text in os.environ.items() if not name.startswith("MUNINN_")}, **ours}


def metric(url: str, name: str) -> float:
    """The largest value of a metric in /metrics; -1 where nobody publishes it."""
    lines = fetch(f"{url}/metrics", timeout_s=10)[1].decode().splitlines()
    return max((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{")), default=-1.0)


def health(url: str) -> dict[str, str]:
    """part -> state, as the read API tells."""
    code, body = fetch(f"{url}/api/v1/overview", timeout_s=30)
    assert code == 200, body
    return {part["part"]: part["state"] for part in json.loads(body)["health"]["parts"]}


def status(environ: dict[str, str]) -> dict[str, dict[str, Any]]:
    """part -> what `muninn status` says."""
    done = subprocess.run(
        [MUNINN, "status", "--json"], env=environ, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )
    return {part["name"]: part for part in json.loads(done.stdout)["parts"]}


def post(port: int) -> tuple[int, str]:
    """(status, Retry-After) of one sample sent."""
    sample = {"metric": "store_away_probe", "timestamp": time.time_ns() // 1_000_000, "value": 1}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/metrics", json.dumps(sample).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Retry-After", "")


@pytest.mark.stack
@pytest.mark.timeout(400 + 2 * SECONDS)
def test_a_store_that_is_away_for_long_costs_nobody_a_sample(chain: Chain, environ: dict[str, str]) -> None:
    strict = Chain(chain.folder, 0, {"MUNINN_BUFFER_MAX_AGE_S": "5"}, chain.postgres, chain.valkey, free_port())
    strict._launch("gateway")
    chain.programs["strict"] = strict.programs["gateway"]
    client = KnownSamples(chain.url, 7, interval_s=0.05).start()
    eventually(lambda: client.batches > 20 and chain.depth() == 0, 60, "samples flow into the store")
    eventually(lambda: fetch(f"{strict.url}/readyz")[0] == 200, 60, "the other gateway is ready")
    assert health(chain.url)["store"] != "down"
    assert post(strict.port)[0] == 200

    chain.postgres.stop()
    since, seen = time.monotonic(), list[tuple[float, float]]()
    while (away_s := time.monotonic() - since) < SECONDS:
        taken = client.batches
        eventually(lambda taken=taken: client.batches > taken + 5, 60, "samples are taken all the while")  # type: ignore[misc]
        seen.append((away_s, metric(chain.url, "muninn_buffer_lag_s")))
        time.sleep(max(0.0, min(5.0, SECONDS - away_s)))
    lags = [lag for away_s, lag in seen if away_s > NOTICED_S]
    assert lags == sorted(lags), seen
    assert lags[-1] > lags[0] > 1, seen
    found = health(chain.url)
    assert (found["buffer"], found["store"]) == ("degraded" if SECONDS < 100 else "down", "down")
    code, body = fetch(f"{chain.url}/api/v1/pipeline", timeout_s=30)
    pipeline = json.loads(body)
    assert (code, pipeline["newest_sample_ms"], pipeline["partitions"]) == (200, None, None)
    assert "database" in pipeline["store_away"]
    assert pipeline["buffer_lag_s"] > 1
    assert pipeline["buffer_depth_entries"] > 0
    shown = status(environ)
    assert shown["store"]["health"] == "down"
    assert shown["buffer"]["health"] == found["buffer"]
    assert "samples take" in shown["buffer"]["reason"]
    assert shown["buffer"]["lag_s"] == shown["loader"]["lag_s"] >= SECONDS - 5
    code, retry_after = post(strict.port)
    assert code == 429, "who allows five seconds takes nothing more"
    assert int(retry_after) >= 1, "and says when to come again"

    chain.postgres.start()
    eventually(lambda: chain.depth() >= 0 and metric(chain.url, "muninn_buffer_lag_s") < 5, 120, "it has caught up")
    eventually(lambda: post(strict.port)[0] == 200, 60, "the other gateway takes samples again")
    client.finish(60)
    eventually(lambda: chain.depth() == 0, 120, "everything is loaded")
    assert client.batches > 5 * SECONDS
    assert_exactly_once(client, chain.postgres.url)
