"""Group cache: answers computed ahead, which are shown while the database is away.

Belongs here: which of them are assets. Does not: how they are computed (muninn.reads).
"""

from collections.abc import Iterator

import dagster as dg

from assets.raw import raw_samples
from assets.resources import MuninnResource
from assets.rollups import HOURS
from muninn.reads.materialise import materialise

GROUP = "cache"


def _last(key: dg.AssetKey | str) -> dg.AssetDep:
    return dg.AssetDep(key, partition_mapping=dg.LastPartitionMapping())


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            "hot_overview",
            deps=[_last(raw_samples.key), _last(HOURS[0].view)],
            group_name=GROUP,
            kinds={"redis"},
            description="Health, totals, busiest hosts and what changed most, as the Overview page shows them.",
        ),
        dg.AssetSpec(
            "hot_catalogue",
            deps=[_last(raw_samples.key)],
            group_name=GROUP,
            kinds={"redis"},
            description="Every metric with its kind, unit, labels and number of series, as Explore lists them.",
        ),
    ]
)
def hot_answers(muninn: MuninnResource) -> Iterator[dg.MaterializeResult[None]]:
    """Compute the answers now and lay them into the cache."""
    with muninn.reads() as reads, muninn.cache() as cache:
        written = materialise(reads, cache)
    for answer in written:
        yield dg.MaterializeResult(
            asset_key=f"hot_{answer.name}",
            metadata={
                "bytes": dg.MetadataValue.int(answer.bytes),
                "seconds": dg.MetadataValue.float(round(answer.seconds, 3)),
                "kept_s": dg.MetadataValue.float(answer.ttl_s),
            },
        )
