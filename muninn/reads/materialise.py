"""Answers computed ahead and laid into the hot cache, for the cache asset.

Belongs here: which answers are worth it. Does not: schedules and lineage (assets).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from muninn.cache import HotCache
from muninn.reads import catalogue, overview
from muninn.reads.facade import Reads
from muninn.reads.memo import Answer

T = TypeVar("T")


@dataclass(frozen=True)
class Materialised:
    """One answer written: its cache name, bytes, seconds to compute, seconds it stays."""

    name: str
    bytes: int
    seconds: float
    ttl_s: float


def materialise(reads: Reads, cache: HotCache) -> list[Materialised]:
    """Compute overview and catalogue now and put them; Unavailable when either server is away."""
    return [
        _put(cache, overview.ANSWER, lambda: reads.overview(reads.clock.now_us())),
        _put(cache, catalogue.ANSWER, reads.fresh_catalogue),
    ]


def _put(cache: HotCache, kind: Answer[T], compute: Callable[[], T]) -> Materialised:
    started = time.perf_counter()
    encoded = kind.adapter.dump_json(compute())
    seconds = time.perf_counter() - started
    cache.put(kind.name, encoded, kind.keep_s)
    return Materialised(kind.name, len(encoded), seconds, kind.keep_s)
