"""The collector: this machine's figures, and every program's own, to the gateway like any client's."""

import logging
import socket
from urllib.parse import urlsplit

from muninn.clock import SECOND_US
from muninn.errors import Unavailable
from muninn.operations.selfwatch import OwnMetrics
from muninn.run.programs import Context
from muninn.sources.host import HostCollector

log = logging.getLogger(__name__)

_GATEWAY_START_S = 60.0
_KNOCK_S = 0.1


def main(context: Context) -> None:
    """Collect until stopped."""
    config = context.settings.collector
    host = HostCollector(context.clock, top_processes=config.top_processes)
    own = OwnMetrics(context.board(), context.clock)
    url = config.url or context.settings.gateway_url
    client = context.gateway_client(config.url)
    context.start_heartbeat()
    _await_gateway(context, url)
    while not context.clock.wait(_until_next(context, config.interval_s), context.stop):
        client.send(host.read())
        context.meter.count("muninn_collector_readings_total")
        try:
            client.send(own.read())
        except Unavailable as error:
            log.debug("the board is away: %s", error)


def _await_gateway(context: Context, url: str) -> None:
    """Wait for the gateway to listen: at a start of everything, a client's growing pauses would come later."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    for _ in range(round(_GATEWAY_START_S / _KNOCK_S)):
        try:
            socket.create_connection(address, timeout=1.0).close()
        except OSError:
            if context.clock.wait(_KNOCK_S, context.stop):
                return
        else:
            return


def _until_next(context: Context, interval_s: float) -> float:
    """Seconds to the next multiple of the interval, so that all hosts read at the same instants."""
    interval_us = round(interval_s * SECOND_US)
    return (interval_us - context.clock.now_us() % interval_us) / SECOND_US
