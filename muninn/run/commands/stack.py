"""The whole on this machine: up, down, status, scale, logs."""

import os
import sys
from typing import Annotated

import typer

from muninn import settings as chosen
from muninn.run.commands import Json, state_folder

app = typer.Typer()


@app.command()
def up() -> None:
    """Start everything, in the foreground; Ctrl-C ends it.

    Embedded PostgreSQL and Valkey are started unless MUNINN_DATABASE_URL and MUNINN_REDIS_URL name real servers.
    """
    from muninn.run.display import Screen
    from muninn.run.up import up as run

    sys.exit(run(chosen.load(), Screen()))


@app.command()
def down() -> None:
    """End the Muninn that runs on MUNINN_HOME, and wait for it."""
    from muninn.run.up import down as end

    home = state_folder()
    print("Ended." if end(home) else f"No Muninn runs on {home.path}.")


@app.command()
def status(json: Json = False) -> None:
    """Show every part: health, process, address, lag.

    Exit code 0 only if all is well.
    """
    from muninn.run.paper import paper
    from muninn.run.status import status as ask

    found = ask(state_folder(), os.environ)
    if json:
        import orjson

        print(orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2).decode())
    elif found.state is None:
        print(f"No Muninn runs on {found.home}: start it with `muninn up`.")
    else:
        console = paper(markup=True)
        console.print(found.as_table())
        console.print(f"\ndashboards  {found.state.dashboard_url}", highlight=False)
        console.print(f"database    {found.state.database_url}\nredis       {found.state.redis_url}", highlight=False)
    sys.exit(0 if found.health == "ok" else 1)


@app.command()
def scale(
    program: Annotated[str, typer.Argument(help="the program, such as loader")],
    count: Annotated[int, typer.Argument(min=1, max=32, help="how many instances from now on")],
) -> None:
    """Change how many instances of a program run.

    It holds until the next start; MUNINN_LOADER_COUNT says how many are started then.
    """
    from muninn.errors import Unavailable
    from muninn.run.control import Control

    home = state_folder()
    state = home.running()
    if state is None:
        raise Unavailable(f"no Muninn runs on {home.path}: start it with `muninn up`")
    before = Control(state.control).scale(program, count)
    print(f"{program}: {before} -> {count}")


@app.command()
def logs(
    program: Annotated[str, typer.Argument(help="a process as `muninn status` names it, such as gateway or loader-1")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="how many lines of the past")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on with what comes")] = False,
) -> None:
    """Show a program's log."""
    from muninn.run.logfile import show

    show(state_folder().logs, program, lines, follow=follow)
