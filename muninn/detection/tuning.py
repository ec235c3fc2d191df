"""The numbers that detection stands on: few, the same for every series, each in the middle of a plateau.

Belongs here: what a number means and why it is what it is. Does not: anything about one series or one metric.
`bench/detect.py --sensitivity` shows what 30 % more or less of each does to the benchmark.
"""

from dataclasses import dataclass

from muninn.detection.wall_clock import UTC
from muninn.model.scores import ANOMALY, WARNING

__all__ = ["ANOMALY", "WARNING", "Tuning"]


@dataclass(frozen=True)
class Tuning:
    """Spans are counted in rows (samples of a series), because what can be learned depends on their number.

    warm_up_rows, warm_up_s: both must have passed before a series gets a score other than 0: each hour of the day
        has been seen once.
    fast_rows, slow_rows: the two time scales of smoothing; a trend is their difference.
    patience_rows, patience_s: for so long (the longer of both) after an alarm the remembered ranges stand still;
        then the new is taken in.
    memory_rows, memory_s: a remembered extreme sinks back to the middle of the range with this time constant
        (the longer of both).
    residual_memory: what depends on the learned season forgets faster while the season is still young:
        its time constant is rows / residual_memory until that exceeds memory_rows.
    absorb: share of an excess by which a range grows.
    return_rows, return_s: for exponential tails, excesses over `n` remembered rows pass ln(return / n) / ln(n)
        ranges about once in `return` rows (the more of both); evidence is measured in that unit, so a young
        series has a higher bar, and one sampled each second alarms no more often than one sampled in minutes.
    young_days: the bar of what depends on the learned season is raised by this over the days that are known: after
        one visit an hour tells little about the next.
    new_weekday: while an hour of the week, or what comes before it, is seen for the first time, the bar of what depends
        on the season, of volatility and of the views in logarithms is raised so many times: the first days off, and the
        first way back from them, are news that nothing announces.
    young_extremes_days: the same for floor and ceiling: a series that wanders for hours has few separate valleys and
        peaks a day, and each next one may be the deepest yet.
    fast_s, fast_power: the bar of a series that is sampled faster than fast_s is raised by this power of the ratio:
        more samples an hour are more chances to be odd.
    departure_rows: after so many samples a trend that leaves its past is learned.
    departure_bar: how much higher the bar of departures is: the series has had all that time to leave.
    young_departure_spans: that bar is raised by this over the spans of slow_rows that are known.
    departure_edge: this share of the range of values, from its end, is where a departure counts in full; up to twice
        that, in part.
    evidence: the sum of the views' excesses (in that unit) that scores 0.8.
    view_limit: the most that one view can add to the evidence; a single view can raise an alarm.
    noise_rows: the span over which the usual step from row to row is averaged.
    noise_floor: a range is taken to be wider by so many usual steps.
    level_floor: a range is taken to be wider by this share of the level.
    season_pull: share by which an hour of the day moves towards what it showed, per visit.
    gap_steps: a pause longer than so many usual intervals is a gap.
    time_zone: the IANA zone whose hours and weekdays the season is learned by.
    """

    warm_up_rows: int = 150
    warm_up_s: float = 86_400.0
    fast_rows: float = 24.0
    slow_rows: float = 240.0
    patience_rows: int = 48
    patience_s: float = 1800.0
    memory_rows: float = 30_000.0
    memory_s: float = 30 * 86_400.0
    residual_memory: float = 0.4
    absorb: float = 0.7
    return_rows: float = 1e6
    return_s: float = 3e8
    young_days: float = 5.0
    new_weekday: float = 3.0
    young_extremes_days: float = 12.0
    fast_s: float = 300.0
    fast_power: float = 0.15
    departure_rows: int = 48
    departure_bar: float = 5.0
    young_departure_spans: float = 0.8
    departure_edge: float = 0.1
    evidence: float = 0.25
    view_limit: float = 0.5
    noise_rows: float = 1_000.0
    noise_floor: float = 3.0
    level_floor: float = 1e-3
    season_pull: float = 0.15
    gap_steps: float = 6.0
    time_zone: str = UTC
