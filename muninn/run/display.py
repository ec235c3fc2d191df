"""What `muninn up` shows: a live table on a terminal, plain lines elsewhere.

Belongs here: words and layout. Does not: what happens (launch, up).
"""

import os
import sys
import time
from collections.abc import Sequence
from typing import TextIO, cast

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from muninn.home import Process
from muninn.run.outlets import LikePipe
from muninn.run.paper import width
from muninn.run.stack import Stack


class Screen(Console):
    """Standard output; when its reader goes away we go on without one."""

    def __init__(self) -> None:
        super().__init__(file=cast(TextIO, LikePipe(sys.stdout)), width=width())

    def on_broken_pipe(self) -> None:
        """Instead of ending the program, as rich does."""
        self.quiet = True
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


class Display:
    """Shows a start; use it as a context manager."""

    def __init__(self, stack: Stack, console: Console):
        self._stack = stack
        self._console = console
        self._began = time.monotonic()
        self._rows = {item.name: ("waiting", 0.0) for item in stack.items}
        self._announced = False
        self._live: Live | None = None

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self._console, transient=True, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def changed(self, name: str, state: str, seconds: float) -> None:
        """See launch.Watcher."""
        self._rows[name] = (state, seconds if state == "ready" else time.monotonic())
        if self._live is None and state == "ready":
            self._console.print(f"  {name} is ready after {seconds:.1f} s", highlight=False)
        self._announce()

    def _announce(self) -> None:
        """Tell the address as soon as the dashboards answer and samples can flow."""
        needed = {part.name for part in self._stack.parts if not part.name.startswith("dagster")}
        if self._announced or any(self._rows[name][0] != "ready" for name in needed):
            return
        self._announced = True
        self._console.print(
            f"[bold]Open {self._stack.dashboard_url}[/bold]  (live after {time.monotonic() - self._began:.1f} s; "
            "lineage follows)",
            highlight=False,
        )

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for name, (state, when) in self._rows.items():
            sign: RenderableType = Text(" ")
            told = "waits"
            if state == "starting":
                sign, told = Spinner("dots"), f"starting, {time.monotonic() - when:.0f} s"
            elif state == "ready":
                sign, told = Text("✓", "green"), f"ready after {when:.1f} s"
            table.add_row(sign, name, Text(told, "dim" if state == "waiting" else ""))
        return table


def summary(stack: Stack, processes: Sequence[Process]) -> Table:
    """What runs where, with process ids."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("program", "pid", "address", "what it does"):
        table.add_column(head, overflow="fold")
    for part in stack.parts:
        pids = ", ".join(str(process.pid) for process in processes if process.program == part.name)
        table.add_row(part.name, pids, part.address or "-", part.does)
    return table
