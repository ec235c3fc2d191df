"""The alerter in a process of its own, which ends itself by kill -9 at a given step of its first notification.

python tests/alerter_victim.py after_commit|before_mark; settings are in the environment.
"""

import os
import signal
import sys
from collections.abc import Iterable, Sequence

from muninn.alerting.dispatch import Notification, Told
from muninn.alerting.evaluate import Change
from muninn.alerting.outbox import Outcome
from muninn.run.programs import alerter, run
from muninn.store.alerts import AlertStore

FATAL = sys.argv[1]


def at(step: str) -> None:
    """The end, where this is the step."""
    if step == FATAL:
        os.kill(os.getpid(), signal.SIGKILL)


class Victim(AlertStore):
    """The real store, up to the step."""

    def commit(self, changes: Sequence[Change], told: Iterable[Told], due: Sequence[Notification]) -> None:
        super().commit(changes, told, due)
        if due:
            at("after_commit")

    def outcomes(self, outcomes: Sequence[Outcome]) -> None:
        at("before_mark")
        super().outcomes(outcomes)


if __name__ == "__main__":
    vars(alerter)["AlertStore"] = Victim
    sys.exit(run("alerter", 1))
