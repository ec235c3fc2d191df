"""What `muninn import` prints: a progress bar, a line a file, and what was refused.

Belongs here: words and bars, and the refresh at the end. Does not: importing (bulk_import).
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.table import Table

from muninn import settings as chosen
from muninn.analytics.cold_thaw import ColdThaw
from muninn.clock import SystemClock
from muninn.ingest.validate import Rules
from muninn.rollups.refresh import refresh_fresh
from muninn.run import bars
from muninn.run.bulk_import import Importer, Report, found_files, parsed_names
from muninn.run.paper import paper
from muninn.sources.files import refuse_left_out
from muninn.store.database import Database

_SHOWN_ERRORS = 5


def run(
    settings: chosen.Settings,
    patterns: Sequence[str],
    options: Sequence[str],
    ignored: Sequence[str] = (),
    *,
    dry_run: bool,
) -> None:
    """Import the files, or say what that would do; then refresh the buckets that they touched."""
    started = time.perf_counter()
    paths, named, clock = found_files(patterns), parsed_names(options), SystemClock()
    for path in paths:  # all of them, before any is written
        refuse_left_out(path, named, ignored)
    rules = Rules(settings.gateway.future_s, settings.store.raw_days)
    with (
        bars.bar() as bar,
        Database(settings.require_database_url(), pool_size=2, application_name="muninn-import") as database,
    ):
        task = bar.add_task("importing", total=len(paths))

        def show(path: Path, rows: int) -> None:
            bar.update(task, description=f"{path.name}: {rows:,} rows")

        importer = Importer(database, clock, rules, named)
        reports = []
        with _told_when_interrupted(dry_run=dry_run):
            for path in paths:
                reports.append(importer.look(path, show) if dry_run else importer.take(path, show))
                bar.advance(task)
        refreshed = 0
        if not dry_run and any(report.new for report in reports):
            show_refresh = bars.shown(bar, bar.add_task("refreshing", total=None), "refreshing")
            thaw = ColdThaw(settings.cold_folder)
            done = refresh_fresh(database, clock.now_us(), settings.rollups.settle_s, thaw, show_refresh)
            refreshed = sum(done.rows_by_resolution.values())
    _print(reports, dry_run=dry_run)
    if not dry_run:
        seconds = time.perf_counter() - started
        rows = sum(report.rows - report.skipped for report in reports)
        counted = "1 row" if rows == 1 else f"{rows:,} rows"
        print(f"{counted} in {seconds:.1f} s ({rows / seconds:,.0f}/s), {refreshed:,} rollup rows refreshed.")


@contextmanager
def _told_when_interrupted(*, dry_run: bool) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if not dry_run:
            print("muninn: interrupted: what is in stays; the same command takes the rest", file=sys.stderr)
        raise


def _print(reports: Sequence[Report], *, dry_run: bool) -> None:
    taken = "would be taken" if dry_run else "new"
    table = Table("file", "rows", taken, "in already", "refused", "metrics", "series", "span (UTC)")
    for report in reports:
        span = f"{report.window.since:%Y-%m-%d %H:%M} to {report.window.until:%Y-%m-%d %H:%M}" if report.window else ""
        counts = (report.rows, report.new, report.skipped, report.refused, len(report.metrics), len(report.series))
        table.add_row(report.path.name, *(f"{count:,}" for count in counts), span)
    paper().print(table)
    for report in reports:
        for error in report.errors[:_SHOWN_ERRORS]:
            print(f"{report.path.name}, row {error.index + 1}: {error.reason}")
        if len(report.errors) > _SHOWN_ERRORS:
            print(f"{report.path.name}: and {report.refused - _SHOWN_ERRORS:,} more")
