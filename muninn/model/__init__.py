"""Values and protocols that the rooms hand to each other. Pure: no I/O, no settings."""

from muninn.model.batch import SampleBatch
from muninn.model.distributions import Distributions
from muninn.model.protocols import BatchHandle, BatchSource, Broker
from muninn.model.resolution import RESOLUTIONS, Resolution, resolution_for
from muninn.model.scores import ScoreBatch, ScoreHandle, ScoreLog
from muninn.model.series import SeriesKey
from muninn.model.series_set import SeriesSet
from muninn.model.tallies import Tallies, TallyMove
from muninn.model.window import Window

__all__ = [
    "RESOLUTIONS",
    "BatchHandle",
    "BatchSource",
    "Broker",
    "Distributions",
    "Resolution",
    "SampleBatch",
    "ScoreBatch",
    "ScoreHandle",
    "ScoreLog",
    "SeriesKey",
    "SeriesSet",
    "Tallies",
    "TallyMove",
    "Window",
    "resolution_for",
]
