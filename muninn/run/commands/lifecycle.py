"""What becomes of closed days: exported, moved to the cold tier, dropped."""

import sys
from typing import Annotated

import typer

from muninn.home import reached

app = typer.Typer()
group = typer.Typer(
    help="Export closed days to Parquet, drop what is no longer kept.",
    no_args_is_help=True,
)
app.add_typer(group, name="lifecycle")


@group.command()
def plan() -> None:
    """Show what is due now, and what comes next."""
    from muninn.run.lifecycle import show_plan

    show_plan(reached())


@group.command()
def export(
    days: Annotated[list[str] | None, typer.Argument(help="days such as 2026-03-01; without any, what is due")] = None,
    again: Annotated[bool, typer.Option("--again", help="export every closed day anew")] = False,
) -> None:
    """Export closed days to files, move old ones out.

    What is exported already and has not changed is left as it is.
    """
    from muninn.run.lifecycle import export as run

    run(reached(), days or [], again=again)


@group.command()
def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be dropped, and drop nothing")] = False,
) -> None:
    """Drop partitions and files of days that are no longer kept.

    For how long is a setting: MUNINN_STORE_RAW_DAYS and others.
    """
    from muninn.run.lifecycle import retention as run

    run(reached(), dry_run=dry_run)


@group.command()
def verify(
    sample: Annotated[int | None, typer.Option(min=1, help="read so many files, by chance; without it: all")] = None,
) -> None:
    """Read the files again, compare them with what was recorded."""
    from muninn.run.lifecycle import verify as run

    sys.exit(run(reached(), sample))
