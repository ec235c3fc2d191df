"""The command line: `muninn COMMAND`, made of the groups in muninn.run.commands."""

import sys

import typer

from muninn.errors import Misconfigured, MuninnError
from muninn.run.commands import (
    data,
    deadletters,
    door,
    imports,
    inject,
    lifecycle,
    models,
    programs,
    rules,
    stack,
    tokens,
)

app = typer.Typer(
    name="muninn",
    help="Performance monitoring over SQL. `muninn up` runs everything on this machine; "
    "settings are MUNINN_ environment variables (`muninn settings` lists them).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
)
GROUPS = (
    stack,
    data,
    imports,
    deadletters,
    inject,
    lifecycle,
    models,
    tokens,
    door,
    rules,
    programs,
)
for group in GROUPS:
    app.add_typer(group.app)


def main() -> None:
    """Run a command; an error of ours is one sentence on standard error."""
    try:
        app()
    except (MuninnError, OSError) as error:
        print(f"muninn: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, Misconfigured) else 1)


if __name__ == "__main__":
    main()
