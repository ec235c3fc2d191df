"""kill -9, one after the other and all at once: what was acknowledged is in the store exactly once."""

import random
import time

import pytest
from chain import Chain
from known_samples import KnownSamples, assert_exactly_once
from servers import eventually


@pytest.mark.stack
@pytest.mark.parametrize("seed", [7, 42])
def test_every_acknowledged_sample_is_stored_once(chain: Chain, seed: int) -> None:
    chance = random.Random(seed)
    client = KnownSamples(chain.url, seed).start()
    victims = ["loader-1", "valkey", "postgres", "gateway"]
    rounds = [[victim] for victim in victims[:3]] + [chance.sample(victims, 2), chance.sample(victims, 4)]
    for dying in rounds:
        time.sleep(chance.uniform(0.3, 1.2))  # the random moment: part of what is tested
        acknowledged = len(client.acknowledged)
        for victim in dying:
            chain.kill(victim)
        time.sleep(chance.uniform(0.0, 0.5))  # for so long it is away
        chain.restart(dying)
        eventually(
            lambda before=acknowledged: len(client.acknowledged) > before, 60, f"samples flow after {dying} died"
        )
    client.finish(60)
    eventually(lambda: chain.depth() == 0, 60, "everything is loaded")
    assert client.retries > 0
    assert client.batches > 50
    assert_exactly_once(client, chain.postgres.url)
