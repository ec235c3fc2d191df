"""Faults on purpose, to see what finds them: each bounded, each over by itself, only on this machine."""

import signal
import threading
from typing import Annotated

import typer

from muninn import settings as chosen

app = typer.Typer()
Seconds = Annotated[float, typer.Option(help="how long it lasts, at most an hour; Ctrl-C ends it earlier")]

KINDS = {
    "cpu": "cores kept busy",
    "memory": "memory held, ever more of it",
    "disk": "a file that grows in HOME/inject",
    "latency": "the rehearsal service answers slowly, and so does its database",
    "errors": "the rehearsal service fails",
    "traffic": "the rehearsal service is asked three times as much",
    "silence": "an instance of the rehearsal service sends nothing",
    "service": "the rehearsal service itself, in good health: start it first, hours before",
}


@app.command()
def inject(
    kind: Annotated[str, typer.Argument(help="; ".join(f"{name}: {what}" for name, what in KINDS.items()))],
    seconds: Seconds = 120.0,
    cores: Annotated[int, typer.Option(min=1, max=64, help="cpu: how many cores")] = 1,
    megabytes: Annotated[int, typer.Option(min=1, help="memory, disk: how much in the end")] = 1_000,
) -> None:
    """Make a fault on this machine, to see what finds it.

    It ends by itself, leaves nothing behind, and never takes the last GiB of memory or disk.
    """
    from muninn.run import injecting

    settings, stop = chosen.load(), threading.Event()
    injecting.check(kind, tuple(KINDS), seconds, megabytes)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    print(f"{kind}: {KINDS[kind]}, for {seconds:.0f} s")
    print(injecting.run(settings, kind, seconds, cores, megabytes, stop))
