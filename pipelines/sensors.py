"""What follows from events: hours that closed, late samples, dropped files.

Belongs here: noticing, recording what programs outside Dagster did, asking for runs. Does not: work of more than a
few queries, for a tick holds up the other sensors.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from assets.checks import days_match_raw, hours_match_raw
from assets.landing import Candidate, candidates
from assets.lineage import Counts, LateRefresh, counts, first_hour_us, late_refreshes, progress, raw_facts
from assets.partitions import FIRST_DAY, day_key, hour_key
from assets.raw import raw_event, raw_samples
from assets.resources import MuninnResource
from assets.rollups import DAY, HOURS, closed_event
from muninn.clock import DAY_US, HOUR_US, SECOND_US
from muninn.model import Window
from muninn.model.window import as_datetime, as_us
from muninn.store.database import Database
from pipelines.jobs import CAUSE_TAG, take_in_file, verify_days, verify_hours

MAX_HOURS_PER_TICK = 24
MAX_FILES_PER_TICK = 10
_MAX_REFRESHES_PER_TICK = 500
FILE_TAG = "muninn/file"
IDENTITY_TAG = "muninn/file_identity"
_FIRST_RETRY_S, _MAX_RETRY_S = 30.0, 3600.0
