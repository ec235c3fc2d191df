"""The scraper: pulls Prometheus text from targets, to the gateway like any client."""

from muninn.errors import Misconfigured
from muninn.run.programs import Context
from muninn.sources.client import GatewayClient
from muninn.sources.scrape.scraper import Scraper
from muninn.sources.scrape.targets import Defaults, Targets


def main(context: Context) -> None:
    """Scrape until stopped."""
    config = context.settings.scraper
    if not config.wanted:
        raise Misconfigured("nothing to scrape: set MUNINN_SCRAPER_TARGETS or MUNINN_SCRAPER_FILE")
    targets = Targets(config.targets, config.file, Defaults(config.job, config.interval_s, config.timeout_s))
    client = GatewayClient(config.url or context.settings.gateway_url, clock=context.clock, meter=context.meter)
    context.cleanup.callback(client.close)
    scraper = Scraper(
        targets.current, client.send, max_body_bytes=config.max_body_bytes, clock=context.clock, meter=context.meter
    )
    context.start_heartbeat()
    scraper.run(context.stop)
