"""Show and follow a program's log, also over its rotation."""

import sys
import time
from collections import deque
from pathlib import Path

from muninn.errors import Invalid

_POLL_S = 0.25


def show(folder: Path, program: str, lines: int, *, follow: bool) -> None:
    """Print the last `lines` lines, then what comes until interrupted; Invalid names the logs that there are."""
    path = folder / f"{program}.log"
    if not path.is_file() and (folder / f"{program}-1.log").is_file():
        path = folder / f"{program}-1.log"
    if path.parent != folder or not path.is_file():
        found = ", ".join(sorted(log.stem for log in folder.glob("*.log")))
        raise Invalid(f"there is no log of {program!r}; there are: {found or 'none, nothing has run here yet'}")
    with path.open(errors="replace") as log:
        sys.stdout.writelines(deque(log, lines))
        place = log.tell()
    try:
        while follow:
            sys.stdout.flush()
            time.sleep(_POLL_S)
            place = _more(path, place)
    except KeyboardInterrupt:
        pass


def _more(path: Path, place: int) -> int:
    """Print what was added after `place`; a file that has become shorter is read from its start."""
    if not path.is_file():
        return 0
    with path.open("rb") as log:
        if log.seek(0, 2) < place:
            place = 0
        log.seek(place)
        sys.stdout.write(log.read().decode(errors="replace"))
        return log.tell()
