"""`muninn lifecycle`: what becomes of closed days, in words and with a progress bar.

Belongs here: tables, progress, exit codes. Does not: what is due and how it is done (analytics).
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date

from rich.table import Table

from muninn import settings as chosen
from muninn.analytics import lifecycle
from muninn.analytics.cold_export import Exported, Moved, Step
from muninn.clock import DAY_US, SystemClock
from muninn.errors import Invalid
from muninn.model.window import as_datetime
from muninn.run import bars
from muninn.run.paper import paper
from muninn.store.database import Database
from muninn.store.partitions import RAW

_MIB = 1 << 20
_COMING = 10


def show_plan(settings: chosen.Settings) -> None:
    """What is due now, and what comes next."""
    now_us = SystemClock().now_us()
    with _database(settings) as database:
        tasks = lifecycle.plan(database, settings, now_us)
    due = [task for task in tasks if task.due_us <= now_us]
    coming = [task for task in tasks if task.due_us > now_us][:_COMING]
    if not tasks:
        print("No day has closed yet: there is nothing to export, move or drop.")
        return
    _print_tasks([*due, *coming], now_us)


def _print_tasks(tasks: Sequence[lifecycle.Task], now_us: int) -> None:
    if not tasks:
        print("Nothing was due.")
        return
    table = Table("when", "what", "of", "day", "size")
    for task in tasks:
        when = "now" if task.due_us <= now_us else f"{as_datetime(task.due_us):%Y-%m-%d %H:%M}"
        table.add_row(when, task.action, task.table, _day(task.day_us), f"{task.bytes / _MIB:,.1f} MiB")
    paper().print(table)


def export(settings: chosen.Settings, days: Sequence[str], *, again: bool) -> None:
    """Export what is due, or the given days; then move what has been in the database for long enough."""
    now_us = SystemClock().now_us()
    with _database(settings) as database:
        tasks = lifecycle.plan(database, settings, now_us)
        closed = {task.day_us for task in tasks if task.table == RAW}
        only = [_parsed(text, closed) for text in days] if days else sorted(closed) if again else None
        wanted = {"export", "export again"}
        due = [task for task in tasks if task.action in wanted and task.due_us <= now_us]
        with _progress("exporting", len(due if only is None else only), "recorded") as step:
            exported = lifecycle.export(database, settings, now_us, step, only=only)
        moves = [task for task in lifecycle.plan(database, settings, now_us) if task.action == "move"]
        with _progress("moving", sum(task.due_us <= now_us for task in moves), "moved") as step:
            moved = lifecycle.move(database, settings, now_us, step)
    _report(exported, moved)


def retention(settings: chosen.Settings, *, dry_run: bool = False) -> None:
    """Drop what is no longer kept, or say what that would be."""
    now_us = SystemClock().now_us()
    if dry_run:
        with _database(settings) as database:
            tasks = lifecycle.plan(database, settings, now_us)
        _print_tasks([task for task in tasks if task.action == "drop" and task.due_us <= now_us], now_us)
        return
    with bars.bar() as bar, _database(settings) as database:
        show = bars.shown(bar, bar.add_task("dropping", total=None), "dropping")
        done = lifecycle.retain(database, settings, now_us, show)
    size = sum(part.bytes for part in done.partitions)
    print(
        f"Dropped {len(done.partitions)} partitions ({size / _MIB:,.1f} MiB), {len(done.days)} days of the cold tier"
        f" and {done.files} files ({done.file_bytes / _MIB:,.1f} MiB) in {done.seconds:.1f} s."
    )


def verify(settings: chosen.Settings, sample: int | None) -> int:
    """Read files of the cold tier again; 1 where one is not what its record says."""
    with bars.bar() as bar, _database(settings) as database:
        show = bars.shown(bar, bar.add_task("verifying", total=None), "verifying")
        found = lifecycle.verify(database, settings.cold_folder, sample, show)
    for fault in found.faults:
        print(f"muninn: {fault}", file=sys.stderr)
    print(f"{found.files - len(found.faults)} of {found.files} files are what their records say ({found.rows:,} rows).")
    return 1 if found.faults else 0


def _report(exported: Sequence[Exported], moved: Sequence[Moved]) -> None:
    if not exported and not moved:
        print("Nothing was due.")
        return
    table = Table("day", "rows", "in the database", "in files", "B a row", "rollups", "seconds", "")
    left = {each.day_us for each in moved}
    for each in exported:
        table.add_row(
            _day(each.day_us),
            f"{each.rows:,}",
            f"{each.bytes_before / _MIB:,.1f} MiB",
            f"{each.bytes / _MIB:,.1f} MiB",
            f"{each.bytes / each.rows:.2f}" if each.rows else "",
            f"{each.rollup_bytes / _MIB:,.1f} MiB",
            f"{each.seconds:.1f}",
            "left the database" if each.day_us in left else "",
        )
    paper().print(table)
    others = [_day(each.day_us) for each in moved if each.day_us not in {one.day_us for one in exported}]
    if others:
        print(f"Left the database: {', '.join(others)}.")


@contextmanager
def _progress(what: str, total: int, last: str) -> Iterator[Step]:
    with bars.bar() as bar:
        task = bar.add_task(what, total=total)

        def step(name: str, day_us: int) -> None:
            bar.update(task, description=f"{what} {_day(day_us)}: {name}", advance=1 if name == last else 0)

        yield step


def _database(settings: chosen.Settings) -> Database:
    return Database(settings.require_database_url(), pool_size=1, application_name="muninn-lifecycle")


def _day(day_us: int) -> str:
    return f"{as_datetime(day_us):%Y-%m-%d}"


def _parsed(text: str, closed: set[int]) -> int:
    try:
        day_us = (date.fromisoformat(text) - date(1970, 1, 1)).days * DAY_US
    except ValueError:
        raise Invalid(f"{text} is not a day: write it as 2026-03-01") from None
    if day_us not in closed:
        raise Invalid(f"{text} is not a closed day that has samples: `muninn lifecycle plan` lists them")
    return day_us
