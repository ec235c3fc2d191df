"""The loader: moves the buffer into the store."""

from collections.abc import Sequence

from muninn.ingest.buffer.leases import Leases
from muninn.ingest.loader import Aside, Loader, LoaderLimits, consumer_name
from muninn.ingest.shards import run_shards
from muninn.model import BatchHandle
from muninn.model.series_set import LANES
from muninn.names import ingest_stream
from muninn.run.programs import Context
from muninn.store.writer import LoadResult, StoreWriter

_BLOCK_MS = 1_000


class _OneStream:
    """The store as the sink of one stream's loader."""

    def __init__(self, writer: StoreWriter, stream: str):
        self._writer, self._stream = writer, stream

    def load(self, handles: Sequence[BatchHandle], aside: Aside) -> LoadResult:
        return self._writer.load(handles, aside)

    def flush(self) -> None:
        self._writer.flush(at_once=1)

    def prune_entries(self, before_id: str) -> int:
        return self._writer.prune_entries(before_id, self._stream)


def main(context: Context) -> None:
    """Load until stopped."""
    config, store = context.settings.loader, context.settings.store
    writer = StoreWriter(
        context.database(),
        raw_days=store.raw_days,
        ahead_days=store.ahead_days,
        duplicates=store.duplicates,
        clock=context.clock,
    )
    consumer = consumer_name(context.host, context.number)

    def loader(shard: int, block_ms: int) -> Loader:
        limits = LoaderLimits(
            max_entries=config.max_entries, max_rows=config.max_rows, takeover_s=config.takeover_s, block_ms=block_ms
        )
        sink = _OneStream(writer, ingest_stream(shard))
        broker = context.one_stream(shard)
        return Loader(broker, sink, consumer, limits=limits, clock=context.clock, meter=context.meter)

    context.start_heartbeat()
    shards = _shards(context)
    if shards == [0]:
        loader(0, _BLOCK_MS).run(context.stop)
        return
    leases = Leases(context.settings.require_redis_url(), consumer, shards, clock=context.clock)
    context.cleanup.callback(leases.close)
    run_shards(lambda shard: loader(shard, 0), leases, context.stop, clock=context.clock, meter=context.meter)


def _shards(context: Context) -> list[int]:
    """Those that are written to, and what is left in others, of a time when there were more."""
    count = context.settings.buffer.shards
    return [*range(count), *(shard for shard in range(count, LANES) if context.one_stream(shard).depth())]
