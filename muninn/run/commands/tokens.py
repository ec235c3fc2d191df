"""Who may come in: `muninn token create|list|revoke`."""

from typing import Annotated

import typer

from muninn import settings as chosen
from muninn.run.commands import Json

app = typer.Typer()
token = typer.Typer(help="Who may come in: make, list and revoke tokens.", no_args_is_help=True)
app.add_typer(token, name="token")

Scopes = Annotated[
    list[str], typer.Option("--scope", help="ingest, read or admin; more than once for several", show_default=False)
]


@token.command()
def create(
    name: Annotated[str, typer.Argument(help="what it is called, such as the machine or program that will use it")],
    scope: Scopes,
    samples_per_s: Annotated[float | None, typer.Option(min=0.001, help="at most this many samples a second")] = None,
    requests_per_s: Annotated[float | None, typer.Option(min=0.001, help="at most this many requests a second")] = None,
    expires: Annotated[str | None, typer.Option(help='when it ends, such as "90d"; default: never')] = None,
    json: Json = False,
) -> None:
    """Make a token and print its secret, this once.

    It is kept nowhere.
    Where Muninn does not run, its embedded database is started for the moment.
    """
    from muninn.run.tokens import create as run

    run(chosen.load(), name, scope, samples_per_s, requests_per_s, expires, json)


@token.command("list")
def show(json: Json = False) -> None:
    """List the tokens that are valid."""
    from muninn.run.tokens import show as run

    run(chosen.load(), json)


@token.command()
def revoke(name: Annotated[str, typer.Argument(help="the token's name, as `muninn token list` shows it")]) -> None:
    """Revoke a token: within seconds it is refused everywhere."""
    from muninn.run.tokens import revoke as run

    run(chosen.load(), name)
