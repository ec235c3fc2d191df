"""The commands of `muninn`, a module a group: each has a Typer `app` that the command line takes in.

Belongs here: arguments, exit codes, what is printed. Does not: anything else.
Modules are imported inside the commands: `muninn --help` must not wait for a database driver.
Exit codes: 0 all is well, 1 something is not, 2 wrong usage or a wrong setting.
"""

from typing import Annotated

import typer

from muninn import settings
from muninn.home import Home

Json = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
Since = Annotated[str, typer.Option(help='start of the data: "-24h", epoch milliseconds or RFC 3339')]
Until = Annotated[str, typer.Option(help="end of the data")]


def state_folder() -> Home:
    """The state folder of these settings."""
    return Home(settings.load().home)
