"""How a detector goes on where another one stopped: what came in between is read from the store.

Belongs here: which stretch of time is read, up to when it is only learned. Does not: judging (detection), rows (store).

What was saved last may be minutes old. What lies between it and `judged_us` was judged and told by the other
detector: it is learned and not told again. What lies after it is judged as if it came now.
"""

import logging
from collections.abc import Callable

import numpy as np

from muninn.clock import MINUTE_US, SECOND_US
from muninn.detection.watch import Watch
from muninn.model import SampleBatch, Window

log = logging.getLogger(__name__)

# Who was away for longer has missed what came before.
REACH_BACK_US = 15 * MINUTE_US
_PIECE_US = MINUTE_US
# A stretch as long as this in which nothing at all came: nobody could be heard, and no series is to blame.
_HOLE_S = 60

Read = Callable[[Window], SampleBatch]


def read_on(watch: Watch, read: Read, judged_us: int, now_us: int) -> int:
    """Give a restored watch what it missed; up to when that is only to be learned.

    It is judged with the next call of `watch.judge`. Silence is not counted from before a time in which nothing came.
    """
    since_us = max(watch.steps.until_us, now_us - REACH_BACK_US)
    since_us = -(-since_us // watch.steps.step_us) * watch.steps.step_us
    heard = np.zeros(max(1, (now_us - since_us) // SECOND_US + 1), bool)
    if since_us > watch.steps.until_us:
        log.warning("what came in %.0f s before is missed", (since_us - watch.steps.until_us) / SECOND_US)
        watch.steps.start_from(since_us)
        watch.hears_again(since_us)
    samples = 0
    for begin_us in range(since_us, now_us, _PIECE_US):
        batch = read(Window(begin_us, min(begin_us + _PIECE_US, now_us)))
        watch.take(batch)
        heard[(batch.at_us - since_us) // SECOND_US] = True
        samples += len(batch)
    deaf_s = _end_of_last_hole(heard)
    if deaf_s:
        watch.hears_again(since_us + deaf_s * SECOND_US)
    log.info("read %d samples of the last %.0f s from the store", samples, (now_us - since_us) / SECOND_US)
    return max(judged_us, since_us)


def _end_of_last_hole(heard: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> int:
    """The second after the last long stretch without anything; 0 where there is none."""
    seconds = np.flatnonzero(heard)
    bounds = np.concatenate([[-1], seconds, [len(heard)]])
    holes = np.flatnonzero(np.diff(bounds) > _HOLE_S)
    return int(bounds[holes[-1] + 1]) if len(holes) else 0
