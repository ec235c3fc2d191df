"""Events for what programs outside Dagster wrote: hours and days, each asset partition once, or again for a cause.

Belongs here: which events are due, from what the database says. Does not: when to look (sensors).
"""

import dagster as dg

from assets.lineage import Cause, Counts, counts, raw_facts
from assets.partitions import day_key, hour_key
from assets.raw import raw_event, raw_samples
from assets.rollups import DAY, HOURS, closed_event
from muninn.clock import DAY_US, HOUR_US
from muninn.model import Window
from muninn.store.database import Database

_RAW = raw_samples.key.to_user_string()


class Recorder:
    """Collects events during one tick; what Dagster already has is asked once."""

    def __init__(self, database: Database, instance: dg.DagsterInstance):
        self.events: list[dg.AssetMaterialization] = []
        self._database = database
        self._known = {
            name: instance.get_materialized_partitions(dg.AssetKey(name))
            for name in (_RAW, *(each.view for each in HOURS), DAY.view)
        }
        self._looked: dict[int, Counts] = {}

    @property
    def newest_hour(self) -> str | None:
        """The last hour whose raw samples are recorded."""
        return max(self._known[_RAW], default=None)

    def look(self, hour_us: int) -> Counts:
        """The hour's counts, asked once."""
        if hour_us not in self._looked:
            self._looked[hour_us] = counts(self._database, Window(hour_us, hour_us + HOUR_US), HOUR_US)[0]
        return self._looked[hour_us]

    def hour(self, hour_us: int, cause: Cause, *, again: bool = False) -> bool:
        """Record a closed hour where it is not recorded, its rollups `again` in any case; True if it was due."""
        key, before = hour_key(hour_us), len(self.events)
        if key not in self._known[_RAW]:
            found = self.look(hour_us)
            facts = raw_facts(self._database, Window(hour_us, hour_us + HOUR_US), found.samples.get("raw", 0))
            self.events.append(raw_event(found, facts))
        for resolution in HOURS:
            if again or key not in self._known[resolution.view]:
                self.events.append(closed_event(resolution, self.look(hour_us), cause))
        return len(self.events) > before

    def day(self, day_us: int, cause: Cause, *, again: bool = False) -> bool:
        """Record a closed day's rollups where they are not recorded, or `again` in any case; True if it was due."""
        if not again and day_key(day_us) in self._known[DAY.view]:
            return False
        found = counts(self._database, Window(day_us, day_us + DAY_US), DAY_US)[0]
        self.events.append(closed_event(DAY, found, cause))
        return True
