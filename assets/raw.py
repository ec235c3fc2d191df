"""Group raw: raw samples as the lineage sees them, an event per closed hour, written by programs outside Dagster.

Belongs here: the asset and what its event says. Does not: when it is reported (pipelines.sensors), ingest.
"""

import dagster as dg

from assets.landing import landing_files
from assets.lineage import Counts, RawFacts
from assets.partitions import HOURLY, hour_key
from muninn.model.window import as_datetime

GROUP = "raw"

raw_samples = dg.AssetSpec(
    "raw_samples",
    deps=[landing_files],
    partitions_def=HOURLY,
    group_name=GROUP,
    kinds={"postgres"},
    description=(
        "Every sample as it came: the table `raw_samples`, the view `performance_metrics`. Loaders write it all the "
        "time; each hour is recorded here once, when it is closed. Samples that come later show with the rollups."
    ),
)


def raw_event(counts: Counts, facts: RawFacts) -> dg.AssetMaterialization:
    """The one event of a closed hour."""
    metadata: dict[str, dg.MetadataValue] = {
        "rows": dg.MetadataValue.int(facts.rows),
        "dagster/partition_row_count": dg.MetadataValue.int(facts.rows),
        "series": dg.MetadataValue.int(facts.series),
        "bytes": dg.MetadataValue.int(facts.bytes),
        "late_rows": dg.MetadataValue.int(counts.late_refreshed + counts.late_waiting),
    }
    if facts.first_us is not None and facts.last_us is not None:
        metadata["min_at"] = dg.MetadataValue.text(as_datetime(facts.first_us).isoformat())
        metadata["max_at"] = dg.MetadataValue.text(as_datetime(facts.last_us).isoformat())
    return dg.AssetMaterialization(
        raw_samples.key,
        partition=hour_key(counts.since_us),
        description=f"{facts.rows:,} rows of {facts.series:,} series",
        metadata=metadata,
    )
