"""The detector's loop: the buffer in, scores and incidents out, what was learned kept.

Belongs here: the order of things between servers, and what happens when one is away. Does not: scores (detection),
rows (store).

An incident is in the store before its scores are in the log, and what could not be saved is saved with the next
step: a detector that dies loses no incident that it has told of, and makes none twice. With the incidents of each step
goes up to when scores had been told before; who takes over judges from there on (run.resuming).
"""

import dataclasses
import logging
import time
from collections.abc import Sequence

from muninn.clock import Clock
from muninn.detection import Tuning
from muninn.detection.incidents import Incident, Incidents
from muninn.detection.watch import GONE_US, Findings, Watch
from muninn.errors import Invalid, Unavailable
from muninn.meter import Meter
from muninn.model import BatchSource, ScoreBatch, ScoreLog, SeriesKey
from muninn.names import MODEL_SCORE
from muninn.run import resuming
from muninn.run.modelling import Modelling
from muninn.settings import Detection
from muninn.store import detector_state
from muninn.store import incidents as stored
from muninn.store.database import Database
from muninn.store.recent import Recent

log = logging.getLogger(__name__)

STATE, TRENDS = "series", "places"
# What came so long before the last step that was judged may be read from the buffer again after a start.
_REACH_BACK_MS = 60_000
_BLOCK_MS = 1_000
_MAX_ROWS = 1_000
_FORGET_EVERY_S = 600.0
# While nothing is found, how far scores were told is noted so often: a database that is away is not asked each step.
_NOTE_EVERY_S = 10.0
# Judging waits for it: a database that hangs must not hold it up for long.
_KEEP_S = 5.0


class Detecting:
    """One detector at work; `restore`, then `turn` again and again, `save` at the end."""

    def __init__(
        self, config: Detection, source: BatchSource, scores: ScoreLog, database: Database, clock: Clock, meter: Meter
    ):
        self._config, self._clock, self._meter = config, clock, meter
        self._source, self._scores, self._database = source, scores, database
        tuning = dataclasses.replace(Tuning(), warm_up_s=config.warm_up_s, time_zone=config.time_zone)
        self.watch = Watch(
            step_s=config.step_s,
            max_series=config.max_series,
            ignored=config.ignored,
            tuning=tuning,
            calm_s=config.calm_s,
        )
        self.incidents = Incidents()
        self.modelling = Modelling(database, config.calm_s, config.time_zone)
        self._after = _entry_before(clock.now_us())
        # Told of everything before; up to when what comes is only learned, because another detector told of it.
        self._told_us = self._known_us = 0
        self._unsaved: dict[object, Incident] = {}
        self._away = False
        self._told_left_out = False
        self._saved_s = self._forgot_s = self._noted_s = clock.monotonic()

    def restore(self) -> None:
        """Go on where another detector stopped: what it learned, the incidents that are open, what came since.

        Unavailable while the database is away: without it nobody knows what was told already.
        """
        now_us = self._clock.now_us()
        self._told_us = min(now_us, detector_state.judged(self._database, STATE))
        opened = stored.load_open(self._database)
        self.incidents.restore(opened)
        if self._load():
            if self.watch.is_ahead(now_us):
                self._put_back(now_us)
            told_us = max(self._told_us, self.watch.steps.until_us)
            self._known_us = resuming.read_on(self.watch, Recent(self._database).read, told_us, now_us)
            self._after = _entry_before(min(now_us, self._known_us))
        else:
            self.watch.hears_again(now_us)
        if self._known_us <= self.watch.steps.until_us:
            self._settle()

    def _load(self) -> bool:
        """Whether anything that was learned could be restored."""
        try:
            found = detector_state.load(self._database, STATE)
            if found is None:
                return False
            self.watch.restore(found[0])
            trends = detector_state.load(self._database, TRENDS)
            if trends is not None:
                self.modelling.places.restore(trends[0], self._clock.now_us())
            log.info("goes on with %d series, learned until %.0f s ago", len(self.watch), self._age_s(found[1]))
        except Invalid as error:
            log.warning("what was learned cannot be read, so series are learned anew: %s", error)
            return False
        return True

    def _settle(self) -> None:
        """The episodes that go on are those that the other detector told of."""
        self._known_us = 0
        series: list[SeriesKey] = []
        for incident in self.incidents.open.values():
            for key, member in incident.members.items():
                if member.closed_us is None and key.metric == MODEL_SCORE:
                    self.modelling.resume(key, self._clock.now_us())
                elif member.closed_us is None:
                    series.append(key)
        unwatched = self.watch.settle(series, self._clock.now_us())
        left = self.incidents.leave(unwatched, self._clock.now_us())
        self._unsaved |= {incident.incident_id: incident for incident in left}
        if unwatched:
            log.warning("%d series in trouble are watched no more: raise MUNINN_DETECTION_MAX_SERIES", len(unwatched))

    def turn(self) -> None:
        """Take in what came, judge what is whole; errors of servers are waited out."""
        try:
            handles = self._source.follow(self._after, _BLOCK_MS)
        except Unavailable as error:
            if not self._away:
                log.warning("the buffer is away: %s", error)
            self._away = True
            return
        now_us = self._clock.now_us()
        if self._away:
            self._away = False
            self.watch.hears_again(now_us)
        started = time.thread_time()
        for handle in handles:
            self.watch.take(handle.batch)
            self._after = handle.entry_id
        # A burst is read to its end before anything is judged: a step must be whole.
        if len(handles) < 2 or self._caught_up(handles[-1].entry_id, now_us):
            self._judge(now_us - round(self._config.settle_s * 1e6))
        self._meter.count("muninn_detector_cpu_seconds_total", time.thread_time() - started)
        self._housekeeping()

    def save(self) -> None:
        """Keep what was learned; never without the incidents that were found meanwhile."""
        self._saved_s = self._clock.monotonic()
        if not self._keep_incidents():
            return
        try:
            now_us = self._clock.now_us()
            size = detector_state.save(self._database, STATE, self.watch.to_bytes(), now_us)
            detector_state.save(self._database, TRENDS, self.modelling.places.to_bytes(), now_us)
        except Unavailable as error:
            self._meter.count("muninn_detector_unsaved_total")
            log.warning("what was learned could not be saved: %s", error)
        else:
            self._meter.gauge("muninn_detector_saved_bytes", size)

    def _put_back(self, now_us: int) -> None:
        ahead_s = (self.watch.steps.until_us - now_us) / 1e6
        log.warning("the clock was put back by %.0f s: what comes is judged from now on", ahead_s)
        self.watch.put_back(now_us)
        self.modelling.put_back(now_us)
        self._told_us, self._known_us = min(self._told_us, now_us), min(self._known_us, now_us)

    def _judge(self, until_us: int) -> None:
        if self.watch.is_ahead(until_us):
            self._put_back(until_us)
        if self._known_us:
            self._learn(min(until_us, self._known_us))
        for found in self.watch.judge(until_us):
            self._act(found)
            self.modelling.places.take(self.watch.keys, found.index, found.watched)
            of_places = self.modelling.turn(found.scores.until_us)
            if of_places is not None:
                self._act(of_places)
            self._told_us = found.scores.until_us
            self._meter.gauge("muninn_detector_lag_s", max(0.0, (self._clock.now_us() - found.scores.until_us) / 1e6))
        self._meter.gauge("muninn_detector_series", len(self.watch))
        self._meter.gauge("muninn_detector_left_out_series", self.watch.left_out)
        self._meter.gauge("muninn_detector_episodes", int(self.watch.episodes.open.sum()))
        self._meter.gauge("muninn_detector_incidents", len(self.incidents.open))
        if self.watch.left_out and not self._told_left_out:
            log.warning(
                "%d series are watched and no more: raise MUNINN_DETECTION_MAX_SERIES, or ignore some",
                self._config.max_series,
            )
        self._told_left_out = self.watch.left_out > 0

    def _learn(self, until_us: int) -> None:
        """What another detector has judged teaches, and is not told again."""
        for found in self.watch.judge(until_us):
            self.modelling.places.take(self.watch.keys, found.index, found.watched)
            self.modelling.places.close(found.scores.until_us)
        if self.watch.steps.until_us >= self._known_us // self.watch.steps.step_us * self.watch.steps.step_us:
            self._settle()

    def _act(self, found: Findings) -> None:
        """Incidents first, then their scores."""
        changed = self.incidents.take(found, self.watch.announced.deployed_us)
        self._unsaved |= {incident.incident_id: incident for incident in changed}
        self._meter.count("muninn_detector_judged_total", found.judged)
        self._meter.count("muninn_detector_opened_total", len(found.opened))
        self._keep_incidents()
        self._tell(found.scores)

    def _keep_incidents(self) -> bool:
        """Those that changed, and how far scores have been told, in one transaction; False while that cannot be."""
        now_s = self._clock.monotonic()
        if not self._unsaved and now_s - self._noted_s < _NOTE_EVERY_S:
            return True
        self._noted_s = now_s
        try:
            with self._database.transaction(statement_timeout_s=_KEEP_S) as transaction:
                stored.save(transaction, list(self._unsaved.values()))
                detector_state.note_judged(transaction, STATE, self._told_us)
        except Unavailable as error:
            self._meter.count("muninn_detector_unsaved_total")
            log.warning("incidents could not be saved, and wait: %s", error)
            return False
        self._unsaved = {}
        return True

    def _tell(self, scores: ScoreBatch) -> None:
        try:
            for part in parts(scores):
                self._scores.append(part)
        except Unavailable as error:
            self._meter.count("muninn_detector_untold_total")
            log.warning("scores could not be sent: %s", error)

    def _caught_up(self, entry_id: str, now_us: int) -> bool:
        return now_us // 1000 - int(entry_id.partition("-")[0]) < round(self._config.settle_s * 1000)

    def _housekeeping(self) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._saved_s >= self._config.save_s:
            self.save()
        if now_s - self._forgot_s >= _FORGET_EVERY_S:
            self._forgot_s = now_s
            gone = self.watch.forget_gone(self._clock.now_us())
            if gone:
                self.modelling.forget_gone(self.watch.keys, self._clock.now_us() - GONE_US)
                log.info("%d series sent nothing for a day and are forgotten", gone)

    def _age_s(self, at_us: int) -> float:
        return max(0.0, (self._clock.now_us() - at_us) / 1e6)


def _entry_before(at_us: int) -> str:
    """Before every entry of the buffer with samples of that time."""
    return f"{max(0, at_us // 1000 - _REACH_BACK_MS)}-0"


def parts(scores: ScoreBatch) -> Sequence[ScoreBatch]:
    """At most so many rows in each as an entry of the log may have."""
    if len(scores) <= _MAX_ROWS:
        return [scores]
    rows = scores.score.argsort(kind="stable")[::-1]
    return [scores.take(rows[start : start + _MAX_ROWS]) for start in range(0, len(rows), _MAX_ROWS)]
