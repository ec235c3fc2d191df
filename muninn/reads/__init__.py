"""What a person asks, one module a question: pages, the JSON API and the stream's seed all come here.

Belongs here: questions and their answers, from cache, then store. Does not: writing, drawing, HTTP servers.

    with reads.connect(settings) as ask:
        ask.trend("cpu_busy_pct", ask.window("-1h"))
"""

from muninn.reads.connect import connect
from muninn.reads.facade import Reads
from muninn.reads.incidents import AffectedSeries, IncidentDetail, IncidentInfo, ProbableCause
from muninn.reads.materialise import Materialised, materialise
from muninn.reads.rankings import (
    Compared,
    Latest,
    LatestValue,
    MeanChange,
    Ranked,
    Regression,
    Regressions,
    Shift,
    Top,
)
from muninn.reads.rising import Rising, RisingSeries
from muninn.reads.times import parse_instant, parse_span_us, parse_window
from muninn.reads.values import (
    Change,
    Health,
    HostLoad,
    MetricInfo,
    Overview,
    PartHealth,
    PartitionInfo,
    PipelineState,
    ProgramState,
    Recent,
    RecentSeries,
    RollupFreshness,
    Totals,
    Trend,
    TrendSeries,
    UnknownMetric,
)

__all__ = [
    "AffectedSeries",
    "Change",
    "Compared",
    "Health",
    "HostLoad",
    "IncidentDetail",
    "IncidentInfo",
    "Latest",
    "LatestValue",
    "Materialised",
    "MeanChange",
    "MetricInfo",
    "Overview",
    "PartHealth",
    "PartitionInfo",
    "PipelineState",
    "ProbableCause",
    "ProgramState",
    "Ranked",
    "Reads",
    "Recent",
    "RecentSeries",
    "Regression",
    "Regressions",
    "Rising",
    "RisingSeries",
    "RollupFreshness",
    "Shift",
    "Top",
    "Totals",
    "Trend",
    "TrendSeries",
    "UnknownMetric",
    "connect",
    "materialise",
    "parse_instant",
    "parse_span_us",
    "parse_window",
]
