"""`muninn import`: files straight into the store."""

from typing import Annotated

import typer

from muninn.home import reached

app = typer.Typer()


@app.command(name="import")
def import_files(
    files: Annotated[list[str], typer.Argument(help="CSV, NDJSON or Parquet files, or patterns such as 'days/*.csv'")],
    named: Annotated[
        list[str] | None, typer.Option("--map", help="OURS=THEIRS: the files' name of a column, such as timestamp=ts")
    ] = None,
    ignored: Annotated[
        list[str] | None, typer.Option("--ignore", help="a column of the files that may be lost; give it once a column")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would happen, and write nothing")] = False,
) -> None:
    """Take files into the store at bulk speed, each sample once.

    Columns: metric, timestamp (RFC 3339, or epoch milliseconds), value; optional labels (a JSON object) or one
    label.NAME a label, source_agent_id, instance_id. A file with any other column is refused
    unless --map or --ignore says what becomes of it. A file that is given again adds nothing.
    """
    from muninn.run.importing import run

    run(reached(), files, named or [], ignored or [], dry_run=dry_run)
