"""Each long-running program alone."""

import sys
from typing import Annotated

import typer

Number = Annotated[int, typer.Option(min=1, help="which instance this is; each needs a number of its own")]


app = typer.Typer()


@app.command()
def gateway(number: Number = 1) -> None:
    """Run the HTTP door alone: ingest and JSON read API.

    It needs MUNINN_DATABASE_URL and MUNINN_REDIS_URL, as every program that runs alone does.
    """
    _program("gateway", number)


@app.command()
def loader(number: Number = 1) -> None:
    """Run a loader alone: from the buffer to the store."""
    _program("loader", number)


@app.command()
def refresher(number: Number = 1) -> None:
    """Run the refresher alone: rollups and partitions."""
    _program("refresher", number)


@app.command()
def sidecar(number: Number = 1) -> None:
    """Run the WebSocket stream alone."""
    _program("sidecar", number)


@app.command()
def detector(number: Number = 1) -> None:
    """Run the detector alone: judges every series, keeps incidents.

    One is enough: a second one would find the same incidents again.
    """
    _program("detector", number)


@app.command()
def collector(number: Number = 1) -> None:
    """Run the collector alone: this machine's figures.

    They go to the gateway at MUNINN_COLLECTOR_URL.
    """
    _program("collector", number)


@app.command()
def scraper(number: Number = 1) -> None:
    """Run the scraper alone: pulls from MUNINN_SCRAPER_TARGETS.

    It sends to the gateway at MUNINN_SCRAPER_URL.
    """
    _program("scraper", number)


@app.command()
def statsd(number: Number = 1) -> None:
    """Run the StatsD listener alone: UDP on MUNINN_STATSD_PORT.

    It sends to the gateway at MUNINN_STATSD_URL.
    """
    _program("statsd", number)


@app.command()
def alerter(number: Number = 1) -> None:
    """Run the alerter alone: judges rules, keeps alerts, notifies."""
    _program("alerter", number)


def _program(name: str, number: int) -> None:
    from muninn.run.programs import run

    sys.exit(run(name, number))
