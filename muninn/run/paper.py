"""Standard output for tables: as wide as the terminal, and as wide as they need where there is none.

Belongs here: the width. Does not: what is printed.
"""

import os
import sys

from rich.console import Console

# Where a line is read by `grep` or kept in a file, an address that is folded is none.
BOUNDLESS = 10_000


def paper(*, markup: bool = False) -> Console:
    """What tables are printed on; COLUMNS holds everywhere."""
    return Console(markup=markup, emoji=False, width=width())


def width() -> int | None:
    """None is what the terminal or COLUMNS says."""
    return None if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit() else BOUNDLESS
