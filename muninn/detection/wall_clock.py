"""What clocks on the wall show: instants moved by what a time zone is ahead of UTC, summer time included.

Belongs here: that, for arrays of instants. Does not: what is learned of an hour (season, places).
"""

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from muninn.clock import SECOND_US
from muninn.detection.state import Ints

UTC = "UTC"
# No zone changes its offset within a quarter of an hour.
_QUARTER_S = 900
_QUARTERS = (0, 253_000_000_000 // _QUARTER_S)


def local_us(at_us: Ints, time_zone: str) -> Ints:
    """int64[n]: microseconds since 1970-01-01 of the zone's own clocks, at these instants (since 1970 in UTC)."""
    if time_zone == UTC or not len(at_us):
        return at_us
    quarters, place = np.unique(at_us // (_QUARTER_S * SECOND_US), return_inverse=True)
    ahead = np.array([_ahead_us(quarter, time_zone) for quarter in quarters.tolist()], np.int64)
    return at_us + ahead[place]


@lru_cache(maxsize=4096)
def _ahead_us(quarter: int, time_zone: str) -> int:
    at_s = min(max(quarter, _QUARTERS[0]), _QUARTERS[1]) * _QUARTER_S
    ahead = datetime.fromtimestamp(at_s, ZoneInfo(time_zone)).utcoffset()
    return 0 if ahead is None else round(ahead.total_seconds()) * SECOND_US
