"""The loader: moves the buffer into the store."""

from muninn.ingest.loader import Loader, LoaderLimits, consumer_name
from muninn.run.programs import Context
from muninn.store.writer import StoreWriter


def main(context: Context) -> None:
    """Load until stopped."""
    config, store = context.settings.loader, context.settings.store
    writer = StoreWriter(context.database(), raw_days=store.raw_days, ahead_days=store.ahead_days, clock=context.clock)
    host = context.instance.rpartition(":")[0]
    loader = Loader(
        context.broker(),
        writer,
        consumer_name(host, context.number),
        limits=LoaderLimits(max_entries=config.max_entries, max_rows=config.max_rows, takeover_s=config.takeover_s),
        clock=context.clock,
        meter=context.meter,
    )
    context.start_heartbeat()
    loader.run(context.stop)
