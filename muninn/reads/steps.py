"""How finely a trend is answered, and from what: a step and a resolution for a window.

Belongs here: the arithmetic of ranges, steps and the point budget. Does not: SQL, time texts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from muninn.clock import DAY_US, MINUTE_US, SECOND_US
from muninn.errors import Invalid
from muninn.model import RESOLUTIONS, Window, resolution_for
from muninn.settings import Store

RAW = "raw"
# Up to this range samples themselves are shown; beyond it only where a step under a minute is asked for.
RAW_RANGE_US = 15 * MINUTE_US
# Steps that clocks and axes like; beyond the last, whole days.
_LADDER_US = tuple(
    seconds * SECOND_US
    for seconds in (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
)
_MAX_POINTS = 20_000


@dataclass(frozen=True)
class Kept:
    """For how many days back each resolution can be read; a missing one is kept for ever."""

    days: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store) -> "Kept":
        """As the store's retention settings say."""
        rollups = {name: getattr(store, f"rollup_{name}_days", None) for name in _WIDTHS}
        return cls({RAW: store.raw_days} | {name: days for name, days in rollups.items() if days is not None})

    def reaches(self, resolution: str, since_us: int, now_us: int) -> bool:
        """Whether rows of this resolution are still there for `since_us`."""
        days = self.days.get(resolution)
        return days is None or since_us >= now_us - days * DAY_US


@dataclass(frozen=True)
class Plan:
    """Read `resolution` and answer by `step_us`; `window` is whole steps and holds the one asked for."""

    resolution: str
    step_us: int
    window: Window


def plan(window: Window, step_us: int | None, max_points: int, now_us: int, kept: Kept, *, raw: bool = True) -> Plan:
    """The finest answer within the budget, from the cheapest rows that give it exactly.

    A given step is rounded up to a multiple of what is read. raw: whether that may be samples. Invalid names `step`
    or `max_points`.
    """
    if not 1 <= max_points <= _MAX_POINTS:
        raise Invalid(f"max_points must be from 1 to {_MAX_POINTS:,}", "max_points")
    if step_us is not None and step_us <= 0:
        raise Invalid("step must be more than nothing", "step")
    width_us = max(_finest_width(window, step_us, max_points), _kept_width(window.since_us, now_us, kept))
    width_us = width_us if raw else max(width_us, MINUTE_US)
    step_us = _fitting(window, max(width_us, step_us or 0), width_us, max_points)
    aligned = window.aligned(step_us)
    return Plan(_coarsest_that_divides(step_us, aligned.since_us, now_us, kept), step_us, aligned)


def _finest_width(window: Window, step_us: int | None, max_points: int) -> int:
    """The bucket width that the range calls for; a second stands for raw samples."""
    budget_us = window.length_us / max_points
    asked_us = budget_us if step_us is None else max(step_us, budget_us)
    raw = window.length_us <= RAW_RANGE_US if step_us is None else step_us < MINUTE_US
    return SECOND_US if raw and asked_us < MINUTE_US else resolution_for(window.length_us).width_us


def _kept_width(since_us: int, now_us: int, kept: Kept) -> int:
    """The finest width whose rows retention has not dropped yet."""
    return next(width for name, width in _WIDTHS_WITH_RAW if kept.reaches(name, since_us, now_us) or width == DAY_US)


def _fitting(window: Window, at_least_us: int, width_us: int, max_points: int) -> int:
    """The smallest good step, a multiple of the width, with at most `max_points` of them in the window."""
    step_us = -(-at_least_us // width_us) * width_us
    while window.aligned(step_us).length_us // step_us > max_points and step_us < 2 * window.length_us:
        step_us = next((step for step in _LADDER_US if step > step_us and step % width_us == 0), step_us + DAY_US)
        step_us = -(-step_us // DAY_US) * DAY_US if step_us > DAY_US else step_us
    return step_us


def _coarsest_that_divides(step_us: int, since_us: int, now_us: int, kept: Kept) -> str:
    """Rollups merge exactly, so the widest buckets that make up a step give the same answer for less."""
    whole = [name for name, width in _WIDTHS_WITH_RAW if step_us % width == 0]
    return next((name for name in reversed(whole) if kept.reaches(name, since_us, now_us)), whole[-1])


def pieces(window: Window, coarsest: str) -> list[tuple[str, Window]]:
    """The window cut into whole buckets, none coarser than asked for, and samples at both ends; in order of time."""
    levels = [(RAW, 1), *((each.name, each.width_us) for each in RESOLUTIONS)]
    allowed = levels[: [name for name, _ in levels].index(coarsest) + 1]
    return [piece for piece in _whole(window, allowed) if piece[1].length_us]


def _whole(window: Window, levels: Sequence[tuple[str, int]]) -> Iterator[tuple[str, Window]]:
    name, width_us = levels[-1]
    since_us = -(-window.since_us // width_us) * width_us
    until_us = window.until_us // width_us * width_us
    if len(levels) == 1:
        yield name, window
    elif since_us >= until_us:
        yield from _whole(window, levels[:-1])
    else:
        yield from _whole(Window(window.since_us, since_us), levels[:-1])
        yield name, Window(since_us, until_us)
        yield from _whole(Window(until_us, window.until_us), levels[:-1])


_WIDTHS = {resolution.name: resolution.width_us for resolution in RESOLUTIONS}
_WIDTHS_WITH_RAW = ((RAW, SECOND_US), *_WIDTHS.items())
