"""What could not be stored: `muninn deadletter list|show|replay|drop`."""

from typing import Annotated

import typer

from muninn import settings as chosen
from muninn.run.commands import Json

app = typer.Typer()
letters = typer.Typer(help="What could not be stored: list, show, send again, drop.", no_args_is_help=True)
app.add_typer(letters, name="deadletter")

Ids = Annotated[list[str] | None, typer.Argument(help="ids, as `muninn deadletter list` shows them")]
All = Annotated[bool, typer.Option("--all", help="all of them")]


@letters.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many, newest first")] = 50, json: Json = False
) -> None:
    """List what could not be stored, newest first, with the reason."""
    from muninn.run.deadletters import show_all

    show_all(chosen.load(), limit, json)


@letters.command()
def show(letter_id: Annotated[str, typer.Argument(help="its id")], json: Json = False) -> None:
    """Show one, with its samples."""
    from muninn.run.deadletters import show as run

    run(chosen.load(), letter_id, json)


@letters.command()
def replay(ids: Ids = None, everything: All = False) -> None:
    """Send them again, each once; what went is gone from here.

    If the reason is still there, it comes back.
    """
    from muninn.run.deadletters import replay as run

    run(chosen.load(), ids or [], everything)


@letters.command()
def drop(ids: Ids = None, everything: All = False) -> None:
    """Forget them."""
    from muninn.run.deadletters import drop as run

    run(chosen.load(), ids or [], everything)
