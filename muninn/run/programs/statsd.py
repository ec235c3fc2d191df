"""The StatsD listener: UDP lines, summed up at each flush, to the gateway like any client."""

from muninn.errors import Misconfigured
from muninn.operations import listening
from muninn.run.programs import Context
from muninn.sources.statsd.aggregate import Bounds
from muninn.sources.statsd.listener import StatsdListener


def main(context: Context) -> None:
    """Listen until stopped."""
    config = context.settings.statsd
    if config.port is None:
        raise Misconfigured("no port to listen on: set MUNINN_STATSD_PORT, such as 8125")
    listening.check_unasking(context.settings)
    client = context.gateway_client(config.url)
    listener = StatsdListener(
        (config.host, config.port),
        client.send,
        instance=f"{context.host}:{config.port}",
        flush_s=config.flush_s,
        bounds=Bounds(config.max_series, config.max_values),
        clock=context.clock,
        meter=context.meter,
    )
    context.start_heartbeat()
    listener.run(context.stop)
