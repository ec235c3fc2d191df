"""The loader: moves the buffer into the store."""

from collections.abc import Sequence

from muninn.ingest.loader import Loader, LoaderLimits, consumer_name
from muninn.model import BatchHandle
from muninn.names import ingest_stream
from muninn.run.programs import Context
from muninn.store.writer import LoadResult, StoreWriter


class _OneStream:
    """The store as the sink of one stream's loader."""

    def __init__(self, writer: StoreWriter, stream: str):
        self._writer, self._stream = writer, stream

    def load(self, handles: Sequence[BatchHandle]) -> LoadResult:
        return self._writer.load(handles)

    def flush(self) -> None:
        self._writer.flush()

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
    loader = Loader(
        context.broker(),
        _OneStream(writer, ingest_stream()),
        consumer_name(context.host, context.number),
        limits=LoaderLimits(max_entries=config.max_entries, max_rows=config.max_rows, takeover_s=config.takeover_s),
        clock=context.clock,
        meter=context.meter,
    )
    context.start_heartbeat()
    loader.run(context.stop)
