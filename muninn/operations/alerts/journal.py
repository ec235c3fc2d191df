"""The journal: changes and notifications go into the store first, then out. Without the store they go out anyway.

Belongs here: what waits for a store that is away, and in which order. Does not: what changes (alerting), SQL (store).
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from muninn.alerting.alert import Alert
from muninn.alerting.dispatch import Notification, Told
from muninn.alerting.evaluate import Change
from muninn.alerting.outbox import Waiting
from muninn.clock import Clock
from muninn.errors import Unavailable
from muninn.operations.alerts.outbox import Outbox
from muninn.store.alert_lead import Superseded
from muninn.store.alerts import AlertStore, Evaluated, Kept

log = logging.getLogger(__name__)

# While the store is away it is asked this often: each time may wait for a silence.
_PATIENCE_S = 5.0
_MAX_BACKLOG = 20_000
Work = Callable[[AlertStore], object]


class Journal:
    """Owned by one thread."""

    def __init__(self, store: AlertStore, outbox: Outbox, clock: Clock):
        self._store, self._outbox, self._clock = store, outbox, clock
        self._changes: list[Change] = []
        self._told: dict[tuple[str, str], Told] = {}
        self._due: dict[str, Notification] = {}
        self._evaluated: list[Evaluated] = []
        self._away_until = 0.0
        self.away = False

    @property
    def backlog(self) -> int:
        """Changes and notifications that are not kept yet."""
        return len(self._changes) + len(self._due)

    def write(
        self, changes: Sequence[Change], told: Mapping[tuple[str, str], Told], due: Sequence[Notification]
    ) -> None:
        """Keep and send. Nothing goes out before it is kept, unless the store is away."""
        self._changes += changes
        self._told |= told
        self._due |= {each.key: each for each in due}
        self._bound()
        self.flush()
        # Those that were made before count as known there; with the store away this is the only way out.
        self._outbox.add(Waiting(each) for each in due)

    def flush(self) -> bool:
        """Keep what waits; whether all is kept."""
        if self._changes or self._told or self._due:
            kept = self.attempt(
                lambda store: store.commit(self._changes, list(self._told.values()), list(self._due.values()))
            )
            if not kept:
                return False
            self._changes, self._told, self._due = [], {}, {}
        return self._flush_outcomes()

    def close(self) -> None:
        """Keep what can be kept: of one who leads no longer, how notifications went."""
        try:
            self.flush()
        except Superseded:
            self._flush_outcomes()

    def count(self, counts: Iterable[Evaluated]) -> None:
        """The rules' history, for when the store is there."""
        self._evaluated += counts
        del self._evaluated[:-_MAX_BACKLOG]
        if self._evaluated and self.attempt(lambda store: store.evaluated(self._evaluated)):
            self._evaluated = []

    def load(self, ends_s: float, changes_s: float) -> Kept | None:
        """What was before; None while the store is away."""
        found: list[Kept] = []
        now_us = self._clock.now_us()
        self.attempt(lambda store: found.append(store.load(now_us, ends_s, changes_s)))
        return found[0] if found else None

    def supersede(self, kept: Sequence[Alert]) -> None:
        """These are open in the store: what was begun on them without knowing is no news."""
        known = {alert.fingerprint for alert in kept}
        self._changes = [change for change in self._changes if change.alert.fingerprint not in known]

    def attempt(self, work: Work) -> bool:
        """Do something with the store; False where it is away, at once where it was a moment ago.

        Superseded where another alerter leads."""
        if self._clock.monotonic() < self._away_until:
            return False
        try:
            work(self._store)
        except Superseded:
            raise
        except Unavailable as error:
            if not self.away:
                log.warning("the store of alerts is away: %s", error)
        except Exception:
            # Whatever is wrong with what is kept, rules go on being judged and people being told.
            log.exception("alerts are not kept")
        else:
            if self.away:
                log.info("the store of alerts is back")
            self.away, self._away_until = False, 0.0
            return True
        self.away, self._away_until = True, self._clock.monotonic() + _PATIENCE_S
        return False

    def _flush_outcomes(self) -> bool:
        outcomes = self._outbox.take_outcomes()
        if outcomes and not self.attempt(lambda store: store.outcomes(outcomes)):
            self._outbox.give_back(outcomes)
            return False
        return True

    def _bound(self) -> None:
        """With the store away for long: the last state of an alert is enough."""
        if len(self._changes) > _MAX_BACKLOG:
            last = {change.alert.alert_id: change for change in self._changes}
            self._changes = list(last.values())[-_MAX_BACKLOG:]
        for key in list(self._due)[:-_MAX_BACKLOG]:
            del self._due[key]
