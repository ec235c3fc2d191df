"""The command line: `muninn COMMAND`. Each command is a few lines that call what does the work.

Belongs here: arguments, exit codes, what is printed. Does not: anything else.
Modules are imported inside the commands: `muninn --help` must not wait for a database driver.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from muninn import settings as chosen
from muninn.errors import MuninnError
from muninn.run.state import Home

app = typer.Typer(
    name="muninn",
    help="Performance monitoring over SQL. `muninn up` runs everything on this machine; "
    "settings are MUNINN_ environment variables (`muninn settings` lists them).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
)
# Exit codes: 0 all is well, 1 something is not, 2 wrong usage or a wrong setting.
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
Number = Annotated[int, typer.Option(min=1, help="which instance this is; each needs a number of its own")]


def main() -> None:
    """Run a command; an error of ours is one sentence on standard error."""
    try:
        app()
    except (MuninnError, OSError) as error:
        print(f"muninn: {error}", file=sys.stderr)
        sys.exit(1)


def _home() -> Home:
    return Home(chosen.load().home)


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

    home = _home()
    print("Ended." if end(home) else f"No Muninn runs on {home.path}.")


@app.command()
def status(json: Json = False) -> None:
    """Show every part: health, process, address, lag.

    Exit code 0 only if all is well.
    """
    from rich.console import Console

    from muninn.run.status import status as ask

    found = ask(_home(), os.environ)
    if json:
        import orjson

        print(orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2).decode())
    elif found.state is None:
        print(f"No Muninn runs on {found.home}: start it with `muninn up`.")
    else:
        console = Console()
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
    from muninn.run.supervisor import Control

    home = _home()
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

    show(_home().logs, program, lines, follow=follow)


@app.command()
def migrate() -> None:
    """Bring the schema of MUNINN_DATABASE_URL up to this code.

    `muninn up` does it by itself.
    """
    from muninn.store.database import Database
    from muninn.store.migrations import migrate as run

    with Database(chosen.load().require_database_url(), pool_size=1) as database:
        done = run(database)
    print("\n".join(f"applied {name}" for name in done.applied) or "The schema is up to date.")


Since = Annotated[str, typer.Option(help='start of the data: "-24h", epoch milliseconds or RFC 3339')]
Until = Annotated[str, typer.Option(help="end of the data")]


@app.command()
def sql(
    statement: Annotated[str | None, typer.Argument(help="one statement; without it, a prompt")] = None,
    since: Since = "-24h",
    until: Until = "now",
    form: Annotated[str, typer.Option("--format", help="table, csv or json (a line a row)")] = "table",
) -> None:
    """Ask the data in DuckDB, in SQL.

    There are performance_metrics, metrics_1min, metrics_5min, metrics_1hour, metrics_1day and merged_quantile().
    Example: muninn sql "select metric_name, count(*) from performance_metrics group by all"
    """
    from muninn.run.analysis import ask

    sys.exit(ask(chosen.load(), statement, since, until, form))


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="the .duckdb file to make")], since: Since = "-24h", until: Until = "now"
) -> None:
    """Write the data into a DuckDB file for other tools."""
    from muninn.run.analysis import export as run

    run(chosen.load(), path, since, until)


@app.command()
def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="print docs/settings.md instead")] = False,
) -> None:
    """List every setting with its value and what it does.

    Secrets are masked.
    """
    from muninn.run import reference

    if markdown:
        sys.stdout.write(reference.markdown())
        return
    from rich.console import Console

    Console().print(reference.table(chosen.load()))


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
def collector(number: Number = 1) -> None:
    """Run the collector alone: this machine's figures.

    They go to the gateway at MUNINN_COLLECTOR_URL.
    """
    _program("collector", number)


@app.command()
def scraper(number: Number = 1) -> None:
    """Run the scraper alone: pulls Prometheus text from MUNINN_SCRAPER_TARGETS.

    It sends to the gateway at MUNINN_SCRAPER_URL.
    """
    _program("scraper", number)


@app.command()
def statsd(number: Number = 1) -> None:
    """Run the StatsD listener alone: UDP on MUNINN_STATSD_PORT.

    It sends to the gateway at MUNINN_STATSD_URL.
    """
    _program("statsd", number)


def _program(name: str, number: int) -> None:
    from muninn.run.programs import run

    sys.exit(run(name, number))


if __name__ == "__main__":
    main()
