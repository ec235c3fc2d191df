"""Raw rows that left the database, back for a refresh that is computed from them.

Belongs here: when they are needed, and that no refresh runs without them. Does not: files (muninn.analytics).
"""

from collections.abc import Sequence
from typing import Protocol

from muninn.errors import Unavailable
from muninn.model import Window
from muninn.model.window import as_datetime
from muninn.rollups import plan
from muninn.store.database import Session


class Thaw(Protocol):
    """Puts the raw rows of a window that left the database back into it, but those of which it has newer ones.

    Called while the caller's session holds the refresh lock: until it lets go, nobody takes them out again.
    Unavailable where they can not be read.
    """

    def __call__(self, session: Session, window: Window) -> int:
        """Returns how many came back."""
        ...


def bring_back(session: Session, steps: Sequence[plan.Step], thaw: Thaw | None) -> None:
    """Have all raw rows in the database that these steps read; Unavailable where that is not possible."""
    for step in steps:
        if step.source != plan.RAW:
            continue
        days = session.fetch("cold_moved_days", since_us=step.window.since_us, until_us=step.window.until_us)
        if days and thaw is None:
            raise Unavailable(
                f"the samples of {as_datetime(days[0].day_us).date()} are in the cold tier: buckets computed without"
                " them would be wrong"
            )
        if days and thaw is not None:
            thaw(session, step.window)
