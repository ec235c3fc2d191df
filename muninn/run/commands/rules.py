"""Alert rules: `muninn rules check|list|test`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from muninn import settings as chosen
from muninn.run.commands import Json

app = typer.Typer()
rules = typer.Typer(help="Alert rules: check them, test them, run them over the past.", no_args_is_help=True)
app.add_typer(rules, name="rules")

Files = Annotated[list[Path] | None, typer.Argument(help="rules files; without any, those of the settings")]


@rules.command()
def check(files: Files = None) -> None:
    """Say what is wrong in rules files: file, rule and field.

    Exit code 0 only if nothing is.
    """
    from muninn.run.rules import check as run

    sys.exit(run(chosen.load(), files or []))


@rules.command("list")
def list_() -> None:
    """Show the rules of files, with where each comes from."""
    from muninn.run.rules import listed

    listed(chosen.load())


@rules.command("test")
def try_(
    files: Annotated[
        list[Path] | None, typer.Argument(help="files with `tests`; each is run against its rules")
    ] = None,
    since: Annotated[str | None, typer.Option(help='run over the store from then on, such as "-24h"')] = None,
    until: Annotated[str, typer.Option(help="... up to then")] = "now",
    data: Annotated[Path | None, typer.Option(help="run over samples in a CSV, NDJSON or Parquet file instead")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="only this rule; more than once for several")] = None,
    picture: Annotated[Path | None, typer.Option(help="write a time line of what fired to this SVG file")] = None,
    json: Json = False,
) -> None:
    """Run the tests of rules, or rules over the past.

    The same code judges as in the alerter. Over more than six hours it sees the means of minutes.
    """
    from muninn.run import rules as run

    if since is None and data is None:
        sys.exit(run.unit(chosen.load(), files or []))
    run.past(chosen.load(), run.Past(files or [], since, until, data, rule or [], picture, json))
