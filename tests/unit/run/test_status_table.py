"""`muninn status` for people."""

from rich.console import Console

from muninn.operations.health import PartStatus
from muninn.run.status import Status


def test_a_reason_that_looks_like_markup_is_shown_as_it_is() -> None:
    part = PartStatus("loader", "down", "[/var/tmp/x] is full, [type=value_error]")
    console = Console(width=200)
    with console.capture() as shown:
        console.print(Status("home", None, (part,)).as_table())
    assert "[/var/tmp/x] is full, [type=value_error]" in shown.get()
    assert "[red]" not in shown.get()
