"""`muninn sql` and `muninn export`: the data in DuckDB, for a question or for another tool.

Belongs here: prompts, formats, progress. Does not: what a session holds (analytics).
"""

import sys
from pathlib import Path

import duckdb
import polars as pl

from muninn import settings as chosen
from muninn.analytics.session import connect
from muninn.clock import SystemClock
from muninn.errors import Invalid
from muninn.reads.times import parse_window
from muninn.run import bars
from muninn.run.paper import paper
from muninn.store.database import Database

FORMATS = ("table", "csv", "json")
_PROMPT, _MORE = "muninn> ", "     -> "


def ask(settings: chosen.Settings, statement: str | None, since: str, until: str, form: str) -> int:
    """Run one statement, or read them from the terminal or a pipe until it ends; returns the exit code.

    1: the statement failed, or one of those that came through a pipe.
    """
    if form not in FORMATS:
        raise Invalid(f"--format must be one of {', '.join(FORMATS)}")
    session = opened(settings, since, until, None)
    if statement is not None:
        return answer(session, statement, form)
    person = sys.stdin.isatty()
    if person:
        print("Views: performance_metrics, metrics_1min, metrics_5min, metrics_1hour, metrics_1day. Ctrl-D ends.")
    failed = 0
    while (typed := _typed(person=person)) is not None:
        if typed:
            failed |= answer(session, typed, form)
    if person:
        print()
    return 0 if person else failed


def export(settings: chosen.Settings, path: Path, since: str, until: str, *, linked: bool = False) -> None:
    """Write the window into a new DuckDB file; Invalid if there is a file already, or none can be made.

    It has its name once it is whole: what is interrupted leaves nothing.
    """
    if path.exists():
        raise Invalid(f"{path} is there already: name another file, or remove it")
    part = path.with_name(f"{path.name}.part")
    try:
        opened(settings, since, until, part, linked=linked).close()
        part.rename(path)
    except duckdb.IOException as error:
        raise Invalid(f"{path} can not be written: {error}") from error
    finally:
        for left in (part, part.with_name(f"{part.name}.wal")):
            left.unlink(missing_ok=True)
    print(f"{path}: {path.stat().st_size / 2**20:,.1f} MiB")


def opened(
    settings: chosen.Settings, since: str, until: str, path: Path | None, *, linked: bool = False
) -> duckdb.DuckDBPyConnection:
    """A session over the window, with a progress bar on a terminal's standard error."""
    span = parse_window(since, until, SystemClock().now_us())
    bar = bars.bar()
    with bar, Database(settings.require_database_url(), pool_size=1, application_name="muninn-sql") as database:
        show = bars.shown(bar, bar.add_task("reading"), "reading")
        return connect(database, span, path, show, folder=settings.cold_folder, linked=linked)


def answer(session: duckdb.DuckDBPyConnection, statement: str, form: str) -> int:
    """Print what a statement gives; its error, if it has one, on standard error."""
    try:
        result: duckdb.DuckDBPyRelation | None = session.sql(statement)
        if result is None:
            return 0
        if form == "table":
            result.show(max_width=paper().width)
        elif form == "csv":
            sys.stdout.write(_as_csv(session, result.pl()))
        else:
            sys.stdout.write(result.pl().write_ndjson())
    except duckdb.Error as error:
        print(f"muninn: {error}", file=sys.stderr)
        return 1
    return 0


def _as_csv(session: duckdb.DuckDBPyConnection, frame: pl.DataFrame) -> str:
    """Lists and structures, such as a sketch, become JSON text: a cell of CSV holds no others."""
    nested = {name for name, kind in frame.schema.items() if kind.is_nested()}
    if nested:
        columns = [
            duckdb.FunctionExpression("to_json", duckdb.ColumnExpression(name)).cast("VARCHAR").alias(name)
            if name in nested
            else duckdb.ColumnExpression(name)
            for name in frame.columns
        ]
        frame = session.from_arrow(frame.to_arrow()).select(*columns).pl()
    return frame.write_csv()


def _typed(*, person: bool) -> str | None:
    """One statement, which a semicolon or the end of the input ends; None where nothing more comes."""
    lines: list[str] = []
    try:
        while True:
            line = input((_MORE if lines else _PROMPT) if person else "")
            lines.append(line)
            if line.rstrip().endswith(";") or not "".join(lines).strip():
                return "\n".join(lines).strip()
    except EOFError:
        return "\n".join(lines).strip() or None
