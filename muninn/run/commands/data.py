"""The store: its schema, questions in SQL, exports; and the settings."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muninn import settings as chosen
from muninn.home import reached
from muninn.run.commands import Since, Until

if TYPE_CHECKING:
    from muninn.store.migrations import Planned

app = typer.Typer()


@app.command()
def migrate(plan: Annotated[bool, typer.Option("--plan", help="only say what would run")] = False) -> None:
    """Bring the database's schema up to this code.

    The database is MUNINN_DATABASE_URL, or that of the Muninn that runs here; `muninn up` does it by itself.
    """
    from muninn.store import migrations
    from muninn.store.database import Database

    with Database(reached().require_database_url(), pool_size=1) as database:
        if plan:
            print(_what_would_run(migrations.plan(database)))
            return
        done = migrations.migrate(database)
    lines = [f"applied {name}" for name in done.applied]
    lines += [f"made {name} anew: the refresher computes it from samples" for name in done.rebuilt]
    print("\n".join(lines) or "The schema is up to date.")


def _what_would_run(planned: "Planned") -> str:
    lines = [f"would apply {name}" for name in planned.pending] + [f"would renew {name}" for name in planned.renewed]
    if planned.changed.refusal:
        lines.append(f"would be refused: {planned.changed.refusal}")
    else:
        lines += [f"would compute {name} anew from samples: its definition changed" for name in planned.changed.names]
    return "\n".join([f"engine: {planned.engine}", *(lines or ["The schema is up to date."])])


@app.command()
def sql(
    statement: Annotated[str | None, typer.Argument(help="one statement; without it, a prompt")] = None,
    since: Since = "-24h",
    until: Until = "now",
    form: Annotated[str, typer.Option("--format", help="table, csv or json (a line a row)")] = "table",
) -> None:
    """Ask the data in DuckDB, in SQL.

    There are performance_metrics, metrics_1min, metrics_5min, metrics_1hour, metrics_1day, series and alerts;
    merged_quantile(), counter_increase(), counter_rate() and sample_increase() count right over many rows.

    \b
    muninn sql "select metric_name, count(*) from performance_metrics group by all"
    """
    from muninn.run.analysis import ask

    sys.exit(ask(reached(), statement, since, until, form))


Target = Annotated[Path, typer.Argument(help="the .duckdb file to make")]
analytics = typer.Typer(help="The data for analysts' own tools.", no_args_is_help=True)
app.add_typer(analytics, name="analytics")


@analytics.command(name="export")
def analytics_export(
    path: Target,
    since: Since = "-24h",
    until: Until = "now",
    linked: Annotated[bool, typer.Option("--linked", help="a small file that reads the cold tier in place")] = False,
) -> None:
    """Write the data into a DuckDB file for other tools."""
    from muninn.run.analysis import export as run

    run(reached(), path, since, until, linked=linked)


@app.command()
def export(path: Target, since: Since = "-24h", until: Until = "now") -> None:
    """Write the data into a DuckDB file for other tools."""
    from muninn.run.analysis import export as run

    run(reached(), path, since, until)


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
    from muninn.run.paper import paper

    paper(markup=True).print(reference.table(chosen.load()))
