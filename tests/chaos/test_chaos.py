"""Everything is killed (-9) and paused (SIGSTOP) at random moments, under a load of known samples.

At the end every acknowledged sample is in the store exactly once, and of what was never acknowledged each batch is
there once or not at all. A seed takes MUNINN_TEST_CHAOS_S seconds (10); `make chaos` takes longer, and other seeds.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chain import Chain
from known_samples import KnownSamples, assert_exactly_once
from one_shot import OneShots, assert_at_most_once
from servers import eventually

SECONDS = float(os.environ.get("MUNINN_TEST_CHAOS_S", "10"))
SEEDS = [int(seed) for seed in os.environ.get("MUNINN_TEST_CHAOS_SEEDS", "1,2").split(",")]
LOADERS = 2


@pytest.fixture(params=[1, 2], ids=["one shard", "two shards"])
def chain(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Chain]:
    made = Chain(tmp_path, loaders=LOADERS, environ={"MUNINN_BUFFER_SHARDS": str(request.param)})
    try:
        made.start()
        yield made
    finally:
        made.close()


def torment(chain: Chain, chance: random.Random, until: float) -> list[str]:
    """Kill and pause what chance picks, one to three at once, until it is time; what was done."""
    done = []
    while time.monotonic() < until:
        victims = chance.sample(chain.names, chance.choice([1, 1, 1, 2, 3]))
        hang = chance.random() < 0.4
        for victim in victims:
            (chain.pause if hang else chain.kill)(victim)
        # The random moments are what is tested. A hang outlasts the patience of clients, and of the other loader.
        time.sleep(chance.uniform(0.5, 4.0) if hang else chance.uniform(0.0, 1.0))
        if hang:
            for victim in victims:
                chain.unpause(victim)
        else:
            chain.restart(victims)
        done.append(f"{'paused' if hang else 'killed'} {' and '.join(victims)}")
        time.sleep(chance.uniform(0.2, 1.0))  # some load between two blows
    return done


@pytest.mark.stack
@pytest.mark.timeout(240 + 3 * SECONDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost_and_nothing_is_doubled(chain: Chain, seed: int) -> None:
    chance = random.Random(seed)
    steady = [KnownSamples(chain.url, seed * 10 + number) for number in range(2)]
    once = OneShots(chain.url, (int(time.time()) - 600) * 1_000_000)
    for client in (*steady, once):
        client.start()
    eventually(lambda: bool(once.acknowledged) and all(client.batches for client in steady), 60, "samples flow")
    done = torment(chain, chance, time.monotonic() + SECONDS)
    for client in (*steady, once):
        client.finish(120)
    eventually(lambda: chain.depth() == 0, 120, f"everything is loaded after {done}")
    assert done
    for client in steady:
        assert client.batches > 10
        assert_exactly_once(client, chain.postgres.url)
    assert_at_most_once(once, chain.postgres.url)
