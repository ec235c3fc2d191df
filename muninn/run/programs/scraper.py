"""The scraper: pulls Prometheus text from targets, to the gateway like any client."""

from muninn.errors import Misconfigured
from muninn.run.programs import Context
from muninn.sources.scrape.scraper import Scraper
from muninn.sources.scrape.targets import Defaults, Targets


def main(context: Context) -> None:
    """Scrape until stopped."""
    config = context.settings.scraper
    if not config.wanted:
        raise Misconfigured("nothing to scrape: set MUNINN_SCRAPER_TARGETS or MUNINN_SCRAPER_FILE")
    targets = Targets(config.targets, config.file, Defaults(config.job, config.interval_s, config.timeout_s))
    client = context.gateway_client(config.url)
    scraper = Scraper(
        targets.current, client.send, max_body_bytes=config.max_body_bytes, clock=context.clock, meter=context.meter
    )
    context.start_heartbeat()
    scraper.run(context.stop)
