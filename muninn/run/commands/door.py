"""What comes in at the door: series and what makes them many, rules at the door."""

from pathlib import Path
from typing import Annotated

import typer

from muninn.home import reached
from muninn.run.commands import Json

app = typer.Typer()
door = typer.Typer(help="Rules at the door: check a file, and see what it does.", no_args_is_help=True)
app.add_typer(door, name="door")

File = Annotated[Path, typer.Argument(help="the TOML file, as MUNINN_CARDINALITY_RULES names it")]


@app.command()
def cardinality(
    metric: Annotated[str | None, typer.Option(help="labels of this metric alone")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="rows of each table")] = 10,
    json: Json = False,
) -> None:
    """Show where series come from and how fast they grow."""
    from muninn.run.cardinality import show

    show(reached(), metric, limit, json)


@door.command()
def check(file: File) -> None:
    """Read a file of rules; exit code 1 where one is wrong."""
    from muninn.run.cardinality import check as run

    run(file)


@door.command("try")
def try_(
    file: File,
    metric: Annotated[str, typer.Argument(help="name of a metric")],
    labels: Annotated[list[str] | None, typer.Argument(help="its labels: name=value ...")] = None,
    source: Annotated[str, typer.Option(help="its source agent")] = "",
) -> None:
    """Show what a file's rules make of a series."""
    from muninn.run.cardinality import try_out

    try_out(file, metric, labels or [], source)
