"""Progress bars on a terminal's standard error; elsewhere there are none.

Belongs here: how they look. Does not: what is counted.
"""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

# Called with what is at work, and how many of how many are done.
Done = Callable[[str, int, int], None]


def bar() -> Progress:
    """A bar that goes when its work ends; use it as a context manager."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def shown(bar: Progress, task: TaskID, doing: str) -> Done:
    """Shows each call as how far the task is."""

    def done(what: str, number: int, of: int) -> None:
        bar.update(task, description=f"{doing} {what}".rstrip(), completed=number, total=of)

    return done
