"""One night of the cold tier in a process of its own, which ends itself by kill -9 at a given step.

python tests/cold_victim.py DATABASE_URL NOW_US [STEP]
"""

import os
import signal
import sys

from muninn.analytics import lifecycle
from muninn.settings import load
from muninn.store.database import Database


def main(url: str, now_us: int, fatal: str = "") -> None:
    def step(name: str, day_us: int) -> None:
        if name == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = load()
    with Database(url, pool_size=1) as database:
        lifecycle.export(database, settings, now_us, step)
        lifecycle.move(database, settings, now_us, step)
        lifecycle.retain(database, settings, now_us)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
