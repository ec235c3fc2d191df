"""One rule over all its series: judged as columns, and what changed by it as alerts.

Belongs here: levels, hysteresis, `for`, no data, grace, flapping; the life of an alert. Does not: where figures
come from (windows, long), who is told (dispatch).
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muninn.alerting.alert import Alert, Labels, alert_id_of, fingerprint_of
from muninn.alerting.rules import Rule
from muninn.alerting.templates import fill
from muninn.clock import SECOND_US

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_FIRST = 64


@dataclass(frozen=True)
class About:
    """What is known of one instance besides its figure: labels that alerts on it carry, and, of an incident, texts."""

    extra: Labels = ()
    summary: str = ""
    description: str = ""
    runbook: str = ""


_NOTHING = About()


@dataclass(frozen=True, eq=False)
class Frame:
    """What a rule looks at now: n instances (series or groups). From frame to frame each keeps its place, and
    new ones are added at the end.

    value: float64[n], NaN where it is not known. levels: float64[n, k] where each level has a figure of its own
    (burn rates), else None. last_us, first_us: int64[n], when it was last and first heard of.
    about: of those instances of which there is more to say, by their place.
    """

    labels: Sequence[Mapping[str, str]]
    value: Floats
    last_us: Ints
    first_us: Ints
    levels: Floats | None = None
    about: Mapping[int, About] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What became of an alert: "pending", "fired", "severity", "resolved", "dropped" (it never fired), or "moved":
    the same as before, but what a restart has to go on with is another.
    """

    what: str
    alert: Alert


class Judge:
    """A rule's memory: for each instance since when it has been bad, what fires, how often it changed."""

    def __init__(self, rule: Rule):
        self.rule = rule
        self.alerts: dict[int, Alert] = {}
        self._places: dict[str, int] = {}
        self._labels: list[dict[str, str]] = []
        self._fingerprints: list[str] = []
        self._changed: dict[int, deque[int]] = {}
        self._changed_before: Mapping[str, Sequence[int]] = {}
        self._of_frame = np.empty(0, np.intp)
        self._about: dict[int, About] = {}
        levels = rule.levels
        self._sign = levels[0].sign
        self._limit = np.array([level.limit for level in levels]) * self._sign
        self._recovery = np.array([level.recovery for level in levels]) * self._sign
        self._hold_us = np.array([level.hold_s * SECOND_US for level in levels], np.int64)
        self._since = np.zeros((_FIRST, len(levels)), np.int64)
        self._level = np.full(_FIRST, -1, np.int64)
        self._clear = np.zeros(_FIRST, np.int64)
        self._end_hold = np.full(_FIRST, round(rule.recover_for_s * SECOND_US), np.int64)

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def flapping(self) -> int:
        """How many instances are damped now."""
        return int((self._end_hold[: len(self)] > self.rule.recover_for_s * SECOND_US).sum())

    @property
    def changes(self) -> dict[str, tuple[int, ...]]:
        """fingerprint -> when it fired and ended lately."""
        return {self._fingerprints[place]: tuple(changed) for place, changed in self._changed.items()}

    def restore(self, open_alerts: Iterable[Alert], changes: Mapping[str, Sequence[int]]) -> None:
        """Go on with what was there before a restart; changes: fingerprint -> when it fired and ended lately, also of
        instances that are fine now: one that flapped before still does."""
        self._changed_before = changes
        for alert in open_alerts:
            place = self._place(dict(alert.labels))
            self.alerts[place] = alert
            since = (*alert.since_us, *(0 for _ in self.rule.levels))[: len(self.rule.levels)]
            self._since[place] = since
            self._clear[place] = alert.clear_since_us
            if alert.state == "firing":
                names: list[str] = [level.severity for level in self.rule.levels]
                self._level[place] = names.index(alert.severity) if alert.severity in names else 0

    def forget_frame(self) -> None:
        """The next frame has its instances in another order."""
        self._of_frame = np.empty(0, np.intp)

    def judge(self, frame: Frame, now_us: int) -> list[Change]:
        """Every change as of now. Instances that the frame does not have count as those without data."""
        places = self._places_of(frame)
        self._about = {int(places[row]): about for row, about in frame.about.items()}
        count = len(self)
        value = np.full(count, np.nan)
        value[places] = frame.value
        last_us, first_us = np.zeros(count, np.int64), np.zeros(count, np.int64)
        last_us[places], first_us[places] = frame.last_us, frame.first_us
        figures = np.repeat(value[:, None], len(self.rule.levels), axis=1)
        if frame.levels is not None:
            figures[places] = frame.levels
        absent = self._absent(value, last_us, now_us)
        bad, kept = self._bad(figures, absent, now_us - first_us, count)
        given_up = absent if self.rule.no_data == "ignore" else np.zeros(count, bool)
        level = self._decide(bad, kept, given_up, now_us)
        return self._changes(level, figures, absent, now_us)

    def _places_of(self, frame: Frame) -> NDArray[np.intp]:
        fresh = frame.labels[len(self._of_frame) :]
        if fresh:
            added = np.fromiter((self._place(dict(labels)) for labels in fresh), np.intp, len(fresh))
            self._of_frame = np.concatenate([self._of_frame, added])
        return self._of_frame

    def _absent(self, value: Floats, last_us: Ints, now_us: int) -> Bools:
        """Which instances have had no data for so long that the policy says what it means."""
        return np.isnan(value) & (now_us - last_us >= round(self.rule.no_data_after_s * SECOND_US))

    def _bad(self, figures: Floats, absent: Bools, age_us: Ints, count: int) -> tuple[Bools, Bools]:
        """bool[n, k]: the level is bad. bool[n]: nothing is known, so that all stays as it was."""
        active = self._level[:count, None] >= np.arange(figures.shape[1])
        signed = figures * self._sign
        with np.errstate(invalid="ignore"):
            bad = np.where(active, signed > self._recovery, signed > self._limit)
            # At its limit it is not over it; but a recovery level is not yet reached by standing on the limit.
            bad |= active & (signed > self._limit)
        # What is bad already stays so: after a restart every series is new.
        young = (age_us < round(self.rule.grace_s * SECOND_US))[:, None]
        bad &= ~young | active | (self._since[:count] > 0)
        unknown = np.isnan(figures).all(axis=1)
        kept = unknown & (~absent | (self.rule.no_data == "keep"))
        if self.rule.no_data == "alert":
            bad[absent, 0] = True
        return bad, kept

    def _decide(self, bad: Bools, kept: Bools, given_up: Bools, now_us: int) -> Ints:
        """int64[n]: the level that holds now, -1 for none; remembers since when what has been bad.

        given_up: bool[n], instances whose alert ends at once, however long it should be good before."""
        count = len(kept)
        since = self._since[:count]
        moving = ~kept
        since[moving] = np.where(bad, np.where(since == 0, now_us, since), 0)[moving]
        active = self._level[:count, None] >= np.arange(bad.shape[1])
        ready = bad & ((now_us - since >= self._hold_us) | active)
        wanted = np.where(ready.any(axis=1), bad.shape[1] - 1 - ready[:, ::-1].argmax(axis=1), -1)
        level = self._level[:count]
        lower = moving & (wanted < level)
        clear = self._clear[:count]
        clear[lower & (clear == 0)] = now_us
        clear[~lower & ~kept] = 0
        waits = lower & ~given_up & (now_us - clear < self._end_hold[:count])
        return np.where(kept | waits, level, wanted)

    def _changes(self, level: Ints, figures: Floats, absent: Bools, now_us: int) -> list[Change]:
        count = len(level)
        was = self._level[:count].copy()
        pending = (level < 0) & (was < 0) & (self._since[:count] > 0).any(axis=1)
        busy = np.zeros(count, bool)
        busy[list(self.alerts)] = True
        changes = []
        for place in np.flatnonzero((level != was) | pending | busy):
            alert = self._alert(int(place), figures, absent, int(level[place]), now_us)
            changes += self._step(int(place), alert, int(was[place]), int(level[place]), bool(pending[place]), now_us)
        return changes

    def _step(self, place: int, alert: Alert, was: int, level: int, pending: bool, now_us: int) -> list[Change]:
        before = self.alerts.get(place)
        self._level[place] = level
        if level >= 0:
            self.alerts[place] = alert
            if was < 0:
                self._note(place, now_us)
                self.alerts[place] = replace(alert, state="firing", fired_us=now_us, flapping=self._is_damped(place))
                return [Change("fired", self.alerts[place])]
            return [Change("severity", alert)] if level != was else _moved(before, alert)
        if was >= 0:
            del self.alerts[place]
            self._clear[place] = 0
            self._note(place, now_us)
            return [Change("resolved", replace(alert, state="resolved", resolved_us=now_us))]
        if pending:
            self.alerts[place] = alert
            return [Change("pending", alert)] if before is None else _moved(before, alert)
        if before is not None:
            del self.alerts[place]
            return [Change("dropped", replace(alert, state="resolved", resolved_us=now_us))]
        return []

    def _alert(self, place: int, figures: Floats, absent: Bools, level: int, now_us: int) -> Alert:
        """The alert of an instance as it is now: the one that is there with fresh figures, or a new one."""
        rule, before = self.rule, self.alerts.get(place)
        bad_levels = np.flatnonzero(self._since[place])
        shown = level if level >= 0 else int(bad_levels[-1]) if len(bad_levels) else 0
        if before is not None and level < 0:
            severity, limit = before.severity, before.limit
        else:
            severity, limit = rule.levels[shown].severity, rule.levels[shown].limit
        figure = float(figures[place, shown])
        known = None if np.isnan(figure) else figure
        no_data = bool(absent[place]) and rule.no_data == "alert"
        labels, about = self._labels[place], self._about.get(place, _NOTHING)
        told: dict[str, Any] = {"labels": {**rule.labels, **labels}, "value": known, "limit": limit}
        told |= {"severity": severity, "title": about.summary}
        if before is None:
            first_us = int(self._since[place][self._since[place] > 0].min(initial=now_us))
            before = Alert(
                alert_id_of(self._fingerprints[place], first_us),
                rule.name,
                self._fingerprints[place],
                tuple(sorted(labels.items())),
                severity,
                "pending",
                known,
                limit,
                first_us,
                now_us,
                extra=_merged(rule.added, about.extra),
                runbook=rule.runbook,
            )
        elif rule.kind == "anomaly":
            before = replace(before, extra=_merged(dict(before.extra), about.extra))
        summary, description, runbook = self._texts(before, about, told, no_data)
        return replace(
            before,
            severity=severity,
            value=before.value if known is None else known,
            limit=limit,
            at_us=now_us,
            summary=summary,
            description=description,
            runbook=runbook,
            no_data=no_data,
            since_us=tuple(int(each) for each in self._since[place]),
            clear_since_us=int(self._clear[place]),
        )

    def _texts(self, before: Alert, about: About, told: Mapping[str, Any], no_data: bool) -> tuple[str, str, str]:
        """Summary, description, runbook; an incident that is over says what it last did."""
        rule = self.rule
        if rule.kind == "incident":
            if about is _NOTHING:
                return before.summary, before.description, before.runbook
            summary = fill(rule.summary or "{{ title }}", rule, told)
            description = fill(rule.description, rule, told) or about.description
            return summary, description, about.runbook or rule.runbook
        summary = fill(rule.summary or _summary(rule, no_data), rule, told)
        return summary, fill(rule.description, rule, told), before.runbook

    def acknowledge(self, alert_id: str, at_us: int | None, by: str) -> None:
        """Someone looks after it (or no longer, with None)."""
        for place, alert in self.alerts.items():
            if alert.alert_id == alert_id:
                self.alerts[place] = replace(alert, acknowledged_us=at_us, acknowledged_by=by)

    def _note(self, place: int, now_us: int) -> None:
        self._changed.setdefault(place, deque()).append(now_us)
        self._damp(place, now_us)

    def _damp(self, place: int, now_us: int) -> None:
        flapping, changed = self.rule.flapping, self._changed[place]
        while changed and now_us - changed[0] > flapping.within_s * SECOND_US:
            changed.popleft()
        hold_s = self.rule.recover_for_s
        if len(changed) >= flapping.changes:
            hold_s = max(hold_s, flapping.hold_s)
        self._end_hold[place] = round(hold_s * SECOND_US)

    def _is_damped(self, place: int) -> bool:
        return bool(self._end_hold[place] > self.rule.recover_for_s * SECOND_US)

    def _place(self, labels: dict[str, str]) -> int:
        fingerprint = fingerprint_of(self.rule.name, labels)
        place = self._places.get(fingerprint)
        if place is None:
            place = self._places[fingerprint] = len(self._labels)
            self._labels.append(labels)
            self._fingerprints.append(fingerprint)
            if place == len(self._level):
                self._grow()
            before = self._changed_before.get(fingerprint)
            if before:
                self._changed[place] = deque(before)
                self._damp(place, before[-1])
        return place

    def _grow(self) -> None:
        size = len(self._level)
        self._since = np.concatenate([self._since, np.zeros_like(self._since)])
        self._level = np.concatenate([self._level, np.full(size, -1, np.int64)])
        self._clear = np.concatenate([self._clear, np.zeros(size, np.int64)])
        hold = np.full(size, round(self.rule.recover_for_s * SECOND_US), np.int64)
        self._end_hold = np.concatenate([self._end_hold, hold])


def _moved(before: Alert | None, alert: Alert) -> list[Change]:
    return [] if before is not None and _to_keep(before) == _to_keep(alert) else [Change("moved", alert)]


def _to_keep(alert: Alert) -> tuple[object, ...]:
    """What a restart or a page has to know; texts of most rules hold a figure that changes each time."""
    texts = (alert.summary, alert.description) if any(name == "incident" for name, _ in alert.labels) else ()
    return alert.since_us, alert.clear_since_us, alert.no_data, alert.extra, texts


def _merged(first: Mapping[str, str], more: Labels) -> Labels:
    return tuple(sorted({**first, **dict(more)}.items()))


def _summary(rule: Rule, no_data: bool) -> str:
    if no_data:
        return f"{rule.name}: no data of {rule.metric} on {{{{ labels }}}}"
    return f"{rule.name}: {rule.metric or 'error budget'} is {{{{ value }}}} on {{{{ labels }}}}"
